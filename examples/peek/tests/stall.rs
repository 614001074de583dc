//! A way to RabbitMQ that stops in the middle of an answer, so that a program can be stopped there.

use carrier_tests::rabbitmq;
use tokio::io::{self, AsyncReadExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub(crate) struct Stall {
    pub(crate) url: String,
    reached: watch::Receiver<bool>,
    go_on: watch::Sender<bool>,
}

impl Stall {
    /// Passes this many bytes from the broker to one client, and the rest after [`Stall::go_on`].
    pub(crate) async fn after(bytes: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let broker = rabbitmq().await.url();
        let (start, rest) = broker.split_once('@').unwrap();
        let (address, vhost) = rest.split_once('/').unwrap();
        let url = format!("{start}@{}/{vhost}", listener.local_addr().unwrap());
        let (go_on, mut wait) = watch::channel(false);
        let (is_reached, reached) = watch::channel(false);
        let address = address.to_owned();
        tokio::spawn(async move {
            let (mut from_client, mut to_client) = listener.accept().await.unwrap().0.into_split();
            let (mut from_broker, mut to_broker) = TcpStream::connect(address).await.unwrap().into_split();
            let requests = async { io::copy(&mut from_client, &mut to_broker).await };
            let answers = async {
                io::copy(&mut (&mut from_broker).take(bytes), &mut to_client).await?;
                is_reached.send_replace(true);
                let _ = wait.wait_for(|go_on| *go_on).await;
                io::copy(&mut from_broker, &mut to_client).await
            };
            // The end of one side is the end of both, as if there were no proxy.
            tokio::select! { _ = requests => {}, _ = answers => {} }
        });
        Self { url, reached, go_on }
    }

    /// Waits until this many bytes have passed.
    pub(crate) async fn reached(&self) {
        self.reached.clone().wait_for(|reached| *reached).await.unwrap();
    }

    pub(crate) fn go_on(&self) {
        self.go_on.send_replace(true);
    }
}

//! A port that passes all to another one, until the connections are cut.

use std::net::Ipv4Addr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) port: u16,
    cuts: watch::Sender<()>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a port of the loopback, in front of port `to`.
    pub(crate) async fn new(to: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let (port, cuts) = (listener.local_addr()?.port(), watch::Sender::new(()));
        let subscribe = cuts.clone();
        let accept = async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut cut = subscribe.subscribe();
                tokio::spawn(async move {
                    let Ok(mut broker) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).await else { return };
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut broker) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        };
        Ok(Self { port, cuts, accepting: tokio::spawn(accept) })
    }

    /// Closes all connections that there are; new ones can be made at once.
    pub(crate) fn cut(&self) {
        self.cuts.send_replace(());
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

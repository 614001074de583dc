//! A sender and a handler that go to the next node if they lose their connection.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use carrier_amqp::Instrumentation;
use carrier_amqp::instrumentation::PublisherConfirm;
use futures::future::{FutureExt as _, join_all};
use futures::stream::StreamExt as _;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::TraceContextExt as _;
use tokio::time::{sleep, timeout};

use crate::ledger::sender;
use crate::work::{CALL_LIMIT, Work, within};

/// A pause before the next node.
const RETRY: Duration = Duration::from_millis(200);

/// How long a lost connection may take to close, and its confirmations to arrive as errors.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

pub(crate) async fn connect(url: &str) -> anyhow::Result<(Connection, Channel)> {
    let connection = within(Connection::connect(url, ConnectionProperties::default())).await?;
    let channel = within(connection.create_channel()).await?;
    Ok((connection, channel))
}

/// A sender or a handler of one queue.
pub(super) struct Client {
    pub(super) work: Arc<Work>,
    pub(super) amqp: Instrumentation,
    pub(super) urls: [String; 3],
    pub(super) queue: String,
}

/// Published messages without their confirmation.
type Waiting = VecDeque<(u64, PublisherConfirm)>;

impl Client {
    pub(super) async fn send(self, window: usize) {
        for url in self.urls.iter().cycle() {
            if self.send_to(url, window).await.is_ok() || !self.work.is_sending() {
                return;
            }
            sleep(RETRY).await;
        }
    }

    async fn send_to(&self, url: &str, window: usize) -> anyhow::Result<()> {
        let (connection, channel) = connect(url).await?;
        let channel = self.amqp.channel(channel);
        within(channel.confirm_select(ConfirmSelectOptions::default())).await?;
        let mut waiting = Waiting::new();
        let sent = self.publish(&channel, window, &mut waiting).await;
        if sent.is_err() {
            self.work.in_flight(-waiting.len().cast_signed());
            // Most have an answer now, which is an error. The others are dropped.
            let rest = waiting.into_iter().map(|(number, confirm)| async move {
                let _ = self.answered(number, confirm.await);
            });
            let _ = timeout(CLOSE_LIMIT, join_all(rest)).await;
        }
        let _ = timeout(CLOSE_LIMIT, connection.close(200, "".into())).await;
        sent
    }

    async fn publish(
        &self,
        channel: &carrier_amqp::instrumentation::Channel,
        window: usize,
        waiting: &mut Waiting,
    ) -> anyhow::Result<()> {
        let mut pace = Work::pace();
        // Without it, the broker confirms a message that no queue gets.
        let mandatory = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        while self.work.is_sending() {
            pace.tick().await;
            let number = self.work.ledger.next();
            let persistent = BasicProperties::default().with_delivery_mode(2);
            let (queue, body) = (self.queue.as_str().into(), number.to_string());
            let publish = channel.basic_publish("".into(), queue, mandatory, body.as_bytes(), persistent);
            waiting.push_back((number, within(publish.with_context(sender(number))).await?));
            self.work.in_flight(1);
            self.reap(waiting, window).await?;
        }
        self.reap(waiting, 1).await
    }

    /// Takes the answers that have arrived, and waits until fewer than `window` are missing.
    async fn reap(&self, waiting: &mut Waiting, window: usize) -> anyhow::Result<()> {
        loop {
            let is_full = waiting.len() >= window;
            let Some((number, confirm)) = waiting.front_mut() else { return Ok(()) };
            let (number, answer) = match (*number, confirm.now_or_never()) {
                (number, Some(answer)) => (number, answer),
                (number, None) if is_full => (number, Ok(within(confirm).await?)),
                _ => return Ok(()),
            };
            waiting.pop_front();
            self.work.in_flight(-1);
            self.answered(number, answer)?;
        }
    }

    fn answered(&self, number: u64, answer: lapin::Result<Confirmation>) -> lapin::Result<()> {
        let answer = answer?;
        if matches!(answer, Confirmation::Ack(_)) {
            self.work.ledger.confirmed(number);
        }
        if let Some(returned) = answer.take_message() {
            self.work.ledger.returned(&returned.data);
        }
        Ok(())
    }

    pub(super) async fn handle(self) {
        for url in self.urls.iter().cycle() {
            // It never ends without an error.
            let _ = self.handle_from(url).await;
            sleep(RETRY).await;
        }
    }

    async fn handle_from(&self, url: &str) -> anyhow::Result<()> {
        let (connection, channel) = connect(url).await?;
        let end = self.consume(&channel).await;
        // lapin keeps a connection whose `basic_consume` was given up, and the messages that the broker sends to it.
        let _ = timeout(CLOSE_LIMIT, connection.close(200, "".into())).await;
        end
    }

    async fn consume(&self, channel: &Channel) -> anyhow::Result<()> {
        within(channel.basic_qos(50, BasicQosOptions::default())).await?;
        let options = BasicConsumeOptions::default();
        let queue = self.queue.as_str();
        let consume = channel.basic_consume(queue.into(), "".into(), options, FieldTable::default());
        let mut deliveries = within(consume).await?;
        while let Some(delivery) = deliveries.next().await.transpose()? {
            let delivery = self.amqp.process(queue, delivery);
            let handler = async {
                let trace = Context::current().span().span_context().trace_id();
                self.work.handled(&delivery.data, trace);
                timeout(CALL_LIMIT, delivery.ack(Default::default())).await
            };
            delivery.run(handler).await??;
        }
        anyhow::bail!("the queue has gone away")
    }
}

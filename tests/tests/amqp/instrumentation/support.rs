//! A program with telemetry of its own, and what its spans and metrics are expected to be.

use carrier_amqp::Instrumentation;
use carrier_amqp::instrumentation::{AmqpInstrumentationBuilder, Channel, Processing, PublisherConfirm};
use carrier_tests::picture;
use carrier_tests::telemetry::{Meters, Recorder};
use carrier_tests::unique_name;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicPublishOptions, QueueDeclareOptions};
use lapin::types::AMQPValue;
use lapin::{BasicProperties, Confirmation};
use opentelemetry::Context;
use opentelemetry::trace::{TraceContextExt as _, Tracer as _};
use tracing::subscriber::{DefaultGuard, set_default};

use crate::support::{Queue, next, table, within};

/// A program with lapin and this crate, whose spans and metrics can be looked at.
pub(crate) struct Program {
    pub(crate) recorder: Recorder,
    pub(crate) meters: Meters,
    pub(crate) amqp: Instrumentation,
    pub(crate) queue: Queue,
    channel: Channel,
    /// The thread's `tracing` subscriber, if spans are created through it.
    _subscriber: Option<DefaultGuard>,
}

/// Whether spans are created through `tracing`: each test is compiled twice.
pub(crate) fn is_through_tracing() -> bool {
    module_path!().contains("through_tracing")
}

impl Program {
    pub(crate) async fn new() -> Self {
        Self::with(|builder| builder).await
    }

    pub(crate) async fn with(
        choose: impl FnOnce(AmqpInstrumentationBuilder) -> AmqpInstrumentationBuilder,
    ) -> Self {
        Self::recorded_by(Recorder::new(), choose).await
    }

    pub(crate) async fn recorded_by(
        recorder: Recorder,
        choose: impl FnOnce(AmqpInstrumentationBuilder) -> AmqpInstrumentationBuilder,
    ) -> Self {
        let meters = Meters::new();
        let subscriber = is_through_tracing().then(|| set_default(recorder.subscriber()));
        let builder = Instrumentation::builder()
            .tracing_spans(is_through_tracing())
            .tracer_provider(recorder.provider().clone())
            .meter_provider(meters.provider().clone())
            .body_size(true);
        let (amqp, queue) = (choose(builder).build(), Queue::new().await);
        let channel = amqp.channel(queue.channel.clone());
        Self { recorder, meters, amqp, queue, channel, _subscriber: subscriber }
    }

    pub(crate) fn channel(&self) -> &Channel {
        &self.channel
    }

    /// With a queue that other connections may use too, so that one that is closed gives its messages back.
    pub(crate) async fn with_open_queue(
        choose: impl FnOnce(AmqpInstrumentationBuilder) -> AmqpInstrumentationBuilder,
    ) -> Self {
        let mut program = Self::with(choose).await;
        program.queue.name = unique_name("open");
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        // Where the test fails, it goes by itself.
        let arguments = table([("x-expires", AMQPValue::LongInt(60_000))]);
        let name = program.queue.name.as_str().into();
        program.queue.channel.queue_declare(name, options, arguments).await.unwrap();
        program
    }

    /// Publishes to the queue and waits for the confirmation.
    pub(crate) async fn publish(&self) {
        self.publish_with(BasicProperties::default()).await;
    }

    pub(crate) async fn publish_with(&self, properties: BasicProperties) {
        let confirmation = confirmed(self.channel(), "", &self.queue.name, properties).await;
        assert_eq!(confirmation, Confirmation::Ack(None));
    }

    /// Publishes without waiting for the confirmation.
    pub(crate) async fn sent(&self, exchange: &str, routing_key: &str) -> lapin::Result<PublisherConfirm> {
        let properties = BasicProperties::default();
        self.channel.basic_publish(exchange.into(), routing_key.into(), mandatory(), b"17", properties).await
    }

    /// The next message on a channel and connection of its own, which give it back when they are closed.
    pub(crate) async fn received_elsewhere(&self) -> (lapin::Channel, Processing<Delivery>) {
        let channel = crate::support::channel().await;
        let received = next(&mut crate::support::consumer(&channel, &self.queue.name).await).await;
        (channel, self.amqp.process(&self.queue.name, received))
    }

    /// The next message of a consumer of its own, which stays subscribed as long as the channel.
    pub(crate) async fn received(&self) -> Delivery {
        next(&mut self.queue.consumer().await).await
    }

    /// All metrics as text, where the queue is called `QUEUE`.
    pub(crate) fn metrics(&self) -> String {
        picture::metrics(&self.meters.points()).replace(&self.queue.name, "QUEUE")
    }

    /// All spans as text, where the queue is called `QUEUE`; none is open.
    #[track_caller]
    pub(crate) fn assert_spans(&self, expected: &str) {
        assert_eq!(self.recorder.open_spans(), 0, "spans that have not ended");
        let spans = picture::spans(&self.recorder.spans()).replace(&self.queue.name, "QUEUE");
        assert_eq!(spans.trim_end(), expected.trim());
    }

    /// What is said of the end of the one span of a name: its settlement, error type and status.
    #[track_caller]
    pub(crate) fn end_of(&self, operation: &str) -> Vec<String> {
        assert_eq!(self.recorder.open_spans(), 0, "spans that have not ended");
        let spans = picture::spans(&[self.span(operation)]);
        let says = ["  carrier.settlement", "  error.type", "  status"];
        let lines = spans.lines().filter(|line| says.iter().any(|start| line.starts_with(start)));
        lines.map(|line| line.trim().to_owned()).collect()
    }

    #[track_caller]
    pub(crate) fn span(&self, operation: &str) -> opentelemetry_sdk::trace::SpanData {
        self.recorder.span(&format!("{operation} {}", self.queue.name))
    }
}

/// Publishes through an instrumented channel and waits for the confirmation.
pub(crate) async fn confirmed(
    channel: &Channel,
    exchange: &str,
    routing_key: &str,
    properties: BasicProperties,
) -> Confirmation {
    let confirm = channel.basic_publish(exchange.into(), routing_key.into(), mandatory(), b"17", properties);
    within("the confirmation", confirm.await.unwrap()).await.unwrap()
}

pub(crate) fn mandatory() -> BasicPublishOptions {
    BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() }
}

pub(crate) fn ack() -> BasicAckOptions {
    BasicAckOptions::default()
}

/// A context in which a span of the program's is current; it ends with the context.
pub(crate) fn inside(recorder: &Recorder, name: &'static str) -> Context {
    let empty = Context::new();
    let span = recorder.tracer().start_with_context(name, &empty);
    empty.with_span(span)
}

//! A service with telemetry of its own, and the spans that it is expected to export.

use carrier_core::Propagation;
use carrier_kafka::Instrumentation;
use carrier_kafka::instrumentation::KafkaInstrumentationBuilder;
use carrier_tests::telemetry::{MEASURED, Meters, Recorder, Whole};
use carrier_tests::{Kafka, unique_name};
use opentelemetry::trace::{Span as _, SpanContext, SpanKind, TraceContextExt as _, Tracer as _};
use opentelemetry::{Context, Value};
use rdkafka::ClientConfig;
use rdkafka::consumer::StreamConsumer;
use rdkafka::message::{BorrowedMessage, OwnedHeaders};
use rdkafka::producer::FutureRecord;
use tracing::subscriber::{DefaultGuard, set_default};

pub(crate) use carrier_tests::{LIMIT, within};

/// The `client.id` of every service here.
pub(crate) const CLIENT: &str = "billing-1";

/// The consumer group of every service here, as its configuration says.
pub(crate) const GROUP: &str = "billing";

/// An attribute that is expected.
pub(crate) type Attribute = (&'static str, Value);

/// One program's telemetry.
pub(crate) struct Service {
    pub(crate) recorder: Recorder,
    pub(crate) meters: Meters,
    pub(crate) kafka: Instrumentation,
    /// The thread's `tracing` subscriber, if spans are created through it.
    _subscriber: Option<DefaultGuard>,
}

/// Whether spans are created through `tracing`: each test is compiled twice.
pub(crate) fn is_through_tracing() -> bool {
    module_path!().contains("through_tracing")
}

/// A service that samples everything.
pub(crate) async fn service() -> Service {
    service_with(Recorder::new(), |builder| builder).await
}

pub(crate) async fn service_with(
    recorder: Recorder,
    choose: impl FnOnce(KafkaInstrumentationBuilder) -> KafkaInstrumentationBuilder,
) -> Service {
    let meters = Meters::new();
    let mut config = config().await;
    config.set("group.id", GROUP);
    let subscriber = is_through_tracing().then(|| set_default(recorder.subscriber()));
    let builder = Instrumentation::builder()
        .tracing_spans(is_through_tracing())
        .config(&config)
        .propagation(propagation())
        .tracer_provider(recorder.provider().clone())
        .meter_provider(meters.provider().clone())
        .body_size(true);
    let kafka = choose(builder).build();
    Service { recorder, meters, kafka, _subscriber: subscriber }
}

/// W3C trace context and baggage; nothing global is set.
pub(crate) fn propagation() -> Propagation {
    Propagation::builder().propagator(carrier_core::w3c()).build()
}

impl Service {
    pub(crate) async fn producer(&self) -> carrier_kafka::instrumentation::FutureProducer {
        self.kafka.future_producer(&config().await).unwrap()
    }

    /// Sends a message, and returns the span of it.
    pub(crate) async fn send(&self, topic: &str) -> SpanContext {
        let record = FutureRecord::to(topic).key("17").payload("payload");
        self.producer().await.send(record, LIMIT).await.unwrap();
        let last = self.recorder.spans().pop().unwrap();
        assert_eq!(last.name, format!("send {topic}"));
        last.span_context
    }
}

/// Calls on a thread that may block, with the same `tracing` subscriber as here.
pub(crate) async fn blocking<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> T {
    let dispatch = tracing::dispatcher::get_default(Clone::clone);
    let call = move || tracing::dispatcher::with_default(&dispatch, call);
    tokio::task::spawn_blocking(call).await.unwrap()
}

pub(crate) async fn broker() -> &'static Kafka {
    carrier_tests::kafka().await
}

/// A client's configuration: the broker, and the client's name.
pub(crate) async fn config() -> ClientConfig {
    let mut config = broker().await.client_config();
    config.set("client.id", CLIENT);
    config
}

/// A configuration for a broker that is not there.
pub(crate) fn unreachable() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", "127.0.0.1:1").set("message.timeout.ms", "200");
    config
}

/// A topic of the test's own.
pub(crate) async fn topic(partitions: i32) -> String {
    let name = unique_name("topic");
    broker().await.create_topic(&name, partitions).await;
    name
}

/// A consumer in a new group that begins with the topic's first message.
pub(crate) async fn consumer(topic: &str) -> StreamConsumer {
    broker().await.consumer(topic).await
}

pub(crate) async fn receive(consumer: &StreamConsumer) -> BorrowedMessage<'_> {
    within("a message", consumer.recv()).await.unwrap()
}

/// A topic with one message of `service`'s, its span, and a consumer that is about to receive it.
pub(crate) async fn sent(service: &Service) -> (String, SpanContext, StreamConsumer) {
    let topic = topic(1).await;
    let span = service.send(&topic).await;
    service.recorder.reset();
    let consumer = consumer(&topic).await;
    (topic, span, consumer)
}

/// Produces a message past the instrumentation.
pub(crate) async fn send_plainly(topic: &str, headers: Option<OwnedHeaders>) {
    let mut record = FutureRecord::to(topic).key("17").payload("payload");
    record.headers = headers;
    broker().await.producer().send(record, LIMIT).await.unwrap();
}

pub(crate) fn span_of(cx: &Context) -> SpanContext {
    cx.span().span_context().clone()
}

/// A context whose current span is a service's own, and that span, ended.
pub(crate) fn inside(recorder: &Recorder, name: &'static str) -> (Context, SpanContext) {
    let mut span = recorder.tracer().start_with_context(name, &Context::new());
    let context = span.span_context().clone();
    span.end();
    (Context::new().with_remote_span_context(context.clone()), context)
}

/// What all spans have: the system, the operation, the broker where it is one, the client.
async fn every(operation: &'static str, kind: &'static str) -> Vec<Attribute> {
    let mut attributes: Vec<Attribute> = vec![
        ("messaging.system", "kafka".into()),
        ("messaging.operation.name", operation.into()),
        ("messaging.operation.type", kind.into()),
        ("messaging.client.id", CLIENT.into()),
    ];
    attributes.extend(server().await);
    attributes
}

/// The broker, where the harness names one.
pub(crate) async fn server() -> Vec<Attribute> {
    let brokers = broker().await.brokers();
    match brokers.rsplit_once(':').filter(|_| !brokers.contains(',')) {
        Some((address, port)) => vec![
            ("server.address", address.to_owned().into()),
            ("server.port", port.parse::<i64>().unwrap().into()),
        ],
        None => Vec::new(),
    }
}

/// The name of an operation's span for no topic in particular.
pub(crate) async fn of_none(operation: &str) -> String {
    match server().await.as_slice() {
        [(_, address), (_, port)] => format!("{operation} {address}:{port}"),
        _ => operation.to_owned(),
    }
}

/// The span of a message of seven bytes that was sent, before it is known what became of it.
pub(crate) async fn sending(topic: &str) -> Whole {
    let destination: [Attribute; 2] =
        [("messaging.destination.name", topic.to_owned().into()), ("messaging.message.body.size", 7.into())];
    let span = Whole::new(format!("send {topic}"), SpanKind::Producer);
    span.with(every("send", "send").await).with(destination)
}

/// The span of a request of seven bytes whose reply was awaited.
pub(crate) async fn requesting(topic: &str, reply_topic: &str) -> Whole {
    let request: [Attribute; 4] = [
        ("messaging.destination.name", topic.to_owned().into()),
        ("messaging.message.body.size", 7.into()),
        ("messaging.message.conversation_id", "17".into()),
        ("carrier.reply.destination", reply_topic.to_owned().into()),
    ];
    let span = Whole::new(format!("request {topic}"), SpanKind::Client);
    span.with(every("request", "send").await).with(request)
}

pub(crate) fn at(partition: &'static str, offset: i64) -> [Attribute; 2] {
    [("messaging.destination.partition.id", partition.into()), ("messaging.kafka.offset", offset.into())]
}

/// The span of the first message of seven bytes in partition 0 that is processed.
pub(crate) async fn processing(topic: &str) -> Whole {
    let message: [Attribute; 4] = [
        ("messaging.destination.name", topic.to_owned().into()),
        ("messaging.message.body.size", 7.into()),
        ("messaging.consumer.group.name", GROUP.into()),
        ("carrier.queue.duration", MEASURED.into()),
    ];
    let span = Whole::new(format!("process {topic}"), SpanKind::Consumer);
    span.with(every("process", "process").await).with(message).with(at("0", 0))
}

/// The span of a batch of so many messages from partition 0.
pub(crate) async fn batch_of(messages: i64, topic: &str) -> Whole {
    let shared: [Attribute; 4] = [
        ("messaging.destination.name", topic.to_owned().into()),
        ("messaging.destination.partition.id", "0".into()),
        ("messaging.consumer.group.name", GROUP.into()),
        ("messaging.batch.message_count", messages.into()),
    ];
    let span = Whole::new(format!("process {topic}"), SpanKind::Consumer);
    span.with(every("process", "process").await).with(shared)
}

/// The span of a commit.
pub(crate) async fn committing(name: &str) -> Whole {
    let group: [Attribute; 1] = [("messaging.consumer.group.name", GROUP.into())];
    Whole::new(name, SpanKind::Client).with(every("commit", "settle").await).with(group)
}

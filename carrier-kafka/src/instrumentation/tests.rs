//! What needs no broker, or only one in this process.

#[path = "tests/batch.rs"]
mod batch;
#[path = "tests/callbacks.rs"]
mod callbacks;
#[path = "tests/limits.rs"]
mod limits;
#[path = "tests/relation.rs"]
mod relation;
#[path = "tests/reports.rs"]
mod reports;
#[path = "tests/roles.rs"]
mod roles;
#[path = "tests/statistics.rs"]
mod statistics;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use carrier_core::Propagation;
use opentelemetry::trace::{SpanKind, Status, TraceContextExt as _};
use opentelemetry::{Context, Value};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use rdkafka::client::OAuthToken;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers as _, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{
    BaseRecord, DeliveryResult, FutureRecord, Partitioner, Producer as _, ProducerContext, PurgeConfig,
};
use rdkafka::{ClientConfig, ClientContext};

use super::pending::CaughtPanic;
use super::*;
use crate::testing::{assert_carries_nothing, message, remote_context};

/// Spans of one test's own.
struct Recorded {
    kafka: Instrumentation,
    exporter: InMemorySpanExporter,
    /// The thread's `tracing` subscriber, if spans are created through it.
    #[cfg(feature = "tracing-spans")]
    _subscriber: Option<tracing::subscriber::DefaultGuard>,
}

/// Whether spans are created through `tracing`: each test is compiled twice.
#[cfg(feature = "tracing-spans")]
fn is_through_tracing() -> bool {
    module_path!().contains("through_tracing")
}

/// Makes a layer that exports through this provider the thread's subscriber.
#[cfg(feature = "tracing-spans")]
fn subscriber(provider: &SdkTracerProvider) -> Option<tracing::subscriber::DefaultGuard> {
    use opentelemetry::trace::TracerProvider as _;
    use tracing_subscriber::layer::SubscriberExt as _;

    is_through_tracing().then(|| {
        let scope = opentelemetry::InstrumentationScope::builder(env!("CARGO_PKG_NAME"));
        let scope = scope
            .with_version(env!("CARGO_PKG_VERSION"))
            .with_schema_url("https://opentelemetry.io/schemas/1.44.0")
            .build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer_with_scope(scope));
        let layer = layer.with_threads(false).with_target(false);
        tracing::subscriber::set_default(tracing_subscriber::registry().with(layer))
    })
}

fn recorded(choose: impl FnOnce(KafkaInstrumentationBuilder) -> KafkaInstrumentationBuilder) -> Recorded {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    #[cfg(feature = "tracing-spans")]
    let subscriber = subscriber(&provider);
    let builder = Instrumentation::builder().tracer_provider(provider);
    #[cfg(feature = "tracing-spans")]
    let builder = builder.tracing_spans(is_through_tracing());
    let propagation = Propagation::builder().propagator(carrier_core::w3c()).build();
    Recorded {
        kafka: choose(builder.propagation(propagation)).build(),
        exporter,
        #[cfg(feature = "tracing-spans")]
        _subscriber: subscriber,
    }
}

impl Recorded {
    fn one(&self) -> SpanData {
        let mut spans = self.exporter.get_finished_spans().unwrap();
        assert_eq!(spans.len(), 1, "{spans:?}");
        spans.remove(0)
    }
}

fn attribute_of(span: &SpanData, key: &str) -> Option<Value> {
    let mut values = span.attributes.iter().filter(|attribute| attribute.key.as_str() == key);
    let value = values.next().map(|attribute| attribute.value.clone());
    assert!(values.next().is_none(), "{key} is there twice");
    value
}

fn error_type(span: &SpanData) -> Option<String> {
    let is_error = matches!(span.status, Status::Error { .. });
    let error_type = attribute_of(span, "error.type").map(|value| value.to_string());
    assert_eq!(is_error, error_type.is_some(), "{span:?}");
    error_type
}

/// A user's context that remembers what it was told.
#[derive(Default, Clone)]
struct Remembering {
    delivered: Arc<Mutex<Vec<(u8, bool)>>>,
    partitioner: Option<Last>,
}

impl ClientContext for Remembering {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        Err("the user's own".into())
    }
}

impl ProducerContext<Last> for Remembering {
    type DeliveryOpaque = Box<u8>;

    fn delivery(&self, result: &DeliveryResult<'_>, opaque: Box<u8>) {
        self.delivered.lock().unwrap().push((*opaque, result.is_ok()));
    }

    fn get_custom_partitioner(&self) -> Option<&Last> {
        self.partitioner.as_ref()
    }
}

/// Chooses the last partition.
#[derive(Clone)]
struct Last;

impl Partitioner for Last {
    fn partition(&self, _: &str, _: Option<&[u8]>, count: i32, _: impl Fn(i32) -> bool) -> i32 {
        count - 1
    }
}

/// Keys and values, in order.
type Pairs<'a> = Vec<(&'a str, Option<&'a [u8]>)>;

fn headers_of(headers: &Option<OwnedHeaders>) -> Option<Pairs<'_>> {
    headers.as_ref().map(|headers| headers.iter().map(|header| (header.key, header.value)).collect())
}

fn own_headers() -> OwnedHeaders {
    let binary: &[u8] = b"\xff\x00";
    let headers = OwnedHeaders::new().insert(Header { key: "user", value: Some(binary) });
    headers.insert(Header { key: "null", value: None::<&[u8]> })
}

#[test]
fn a_record_that_is_refused_comes_back_with_its_own_headers_and_opaque() {
    let recorded = recorded(|builder| builder);
    let producer =
        recorded.kafka.base_producer_with_context(&ClientConfig::new(), Remembering::default()).unwrap();
    let record = BaseRecord::<(), str, _>::with_opaque_to("a\0b", Box::new(7_u8)).headers(own_headers());
    let (error, record) = producer.send(record).unwrap_err();
    assert!(matches!(error, KafkaError::Nul(_)));
    assert_eq!(*record.delivery_opaque, 7);
    assert_eq!(headers_of(&record.headers), headers_of(&Some(own_headers())));
    assert_eq!(error_type(&recorded.one()).as_deref(), Some("_INVALID_ARG"));
}

#[test]
fn a_future_record_that_is_refused_comes_back_without_headers_where_it_had_none() {
    let recorded = recorded(|builder| builder);
    let producer = recorded.kafka.future_producer(&ClientConfig::new()).unwrap();
    let refused = producer.send_result(FutureRecord::<(), str>::to("a\0b").payload("p"));
    let Err((_, record)) = refused else { panic!("a topic with a NUL was taken") };
    assert!(record.headers.is_none());
    assert_eq!(error_type(&recorded.one()).as_deref(), Some("_INVALID_ARG"));
}

#[test]
fn a_delivered_message_has_the_partition_of_the_users_partitioner_and_its_opaque_comes_to_the_users_context()
{
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("orders", 3, 1).unwrap();
    let mut config = ClientConfig::new();
    // A setting of a topic's: without one rdkafka has nothing to set a partitioner on, and crashes.
    config.set("bootstrap.servers", cluster.bootstrap_servers()).set("message.timeout.ms", "10000");
    let recorded = recorded(|builder| builder.config(&config));
    let context = Remembering { partitioner: Some(Last), ..Remembering::default() };
    let producer = recorded.kafka.base_producer_with_context(&config, context.clone()).unwrap();
    producer.send(BaseRecord::with_opaque_to("orders", Box::new(7)).key("k").payload("p")).unwrap();
    producer.flush(Duration::from_secs(10)).unwrap();
    let span = recorded.one();
    assert_eq!(
        (&*span.name, &span.span_kind, &span.status),
        ("send orders", &SpanKind::Producer, &Status::Unset)
    );
    assert_eq!(attribute_of(&span, "messaging.destination.partition.id"), Some("2".into()));
    assert_eq!(attribute_of(&span, "messaging.kafka.offset"), Some(0.into()));
    assert_eq!(*context.delivered.lock().unwrap(), [(7, true)]);
    // Through `Deref`, the user's own.
    assert!(producer.context().partitioner.is_some());
}

#[test]
fn all_of_a_users_context_is_passed_on() {
    const { assert!(<InstrumentedContext<Remembering> as ClientContext>::ENABLE_REFRESH_OAUTH_TOKEN) };
    let context: InstrumentedContext<_> = InstrumentedContext::new(
        Remembering { partitioner: Some(Last), ..Remembering::default() },
        CaughtPanic::default(),
        None,
    );
    assert!(ProducerContext::<Last>::get_custom_partitioner(&context).is_some());
    let error = context.generate_oauth_token(None).err().unwrap();
    assert_eq!(error.to_string(), "the user's own");
}

#[test]
fn a_message_that_is_purged_fails_and_an_opaque_without_a_span_goes_past() {
    let recorded = recorded(|builder| builder);
    let context = Remembering::default();
    let producer =
        recorded.kafka.threaded_producer_with_context(&ClientConfig::new(), context.clone()).unwrap();
    producer.send(BaseRecord::<(), str, _>::with_opaque_to("t", Box::new(1)).payload("p")).unwrap();
    let past = Box::new(Envelope::from(Box::new(2_u8)));
    let inner = producer.into_inner();
    inner.send(BaseRecord::<(), str, _>::with_opaque_to("t", past).payload("p")).unwrap();
    inner.purge(PurgeConfig::default().queue().inflight());
    inner.flush(Duration::from_secs(10)).unwrap();
    drop(inner);
    assert_eq!(error_type(&recorded.one()).as_deref(), Some("_PURGE_QUEUE"));
    assert_eq!(*context.delivered.lock().unwrap(), [(1, false), (2, false)]);
}

#[test]
fn a_full_queue_is_a_failure_and_the_record_can_be_sent_again() {
    let recorded = recorded(|builder| builder);
    let mut config = ClientConfig::new();
    config.set("queue.buffering.max.messages", "1");
    let producer = recorded.kafka.base_producer(&config).unwrap();
    producer.send(BaseRecord::<(), str>::to("t").payload("p")).unwrap();
    let (error, record) = producer.send(BaseRecord::<(), str>::to("t").payload("p")).unwrap_err();
    assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
    assert_carries_nothing(&record);
    assert_eq!(error_type(&recorded.one()).as_deref(), Some("_QUEUE_FULL"));
}

fn is_send<T: Send>(value: T) -> T {
    value
}

#[tokio::test]
async fn futures_stay_send_and_one_that_is_dropped_leaves_its_span_to_the_report() {
    let recorded = recorded(|builder| builder);
    let producer = recorded.kafka.future_producer(&ClientConfig::new()).unwrap();
    let record = FutureRecord::<str, str>::to("t").key("k").payload("p");
    let sending = is_send(producer.send(record, Duration::from_secs(1)));
    assert!(tokio::time::timeout(Duration::from_millis(1), sending).await.is_err());
    // librdkafka counts its events as well, until its thread has seen to them.
    let only_the_record = async {
        while producer.in_flight_count() > 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), only_the_record).await.unwrap();
    assert_eq!(producer.in_flight_count(), 1);
    assert_eq!(recorded.exporter.get_finished_spans().unwrap(), []);
    drop(producer);
    assert_eq!(error_type(&recorded.one()).as_deref(), Some("_PURGE_QUEUE"));
    recorded.exporter.reset();

    let message = recorded.kafka.process(message(&Context::new(), "t", b"p"));
    is_send(message.run(async { tokio::task::yield_now().await })).await;
    let messages = [message.into_parts().1];
    let batch = recorded.kafka.process_batch(&messages);
    is_send(batch.run(async { tokio::task::yield_now().await })).await;
}

/// A compile-time assertion: a guard around a borrowed message can be held over an await in a spawned task.
#[allow(dead_code)]
fn a_borrowed_message_in_a_guard_is_send(
    kafka: Instrumentation,
    consumer: Arc<rdkafka::consumer::StreamConsumer>,
) -> impl Future<Output = ()> + Send {
    use rdkafka::consumer::{CommitMode, Consumer as _};
    async move {
        let message = kafka.process(consumer.recv().await.unwrap());
        message.run(async { consumer.commit_message(&message, CommitMode::Async) }).await.unwrap();
        let by_reference = kafka.process(&*message);
        by_reference.run(async { consumer.commit_message(&by_reference, CommitMode::Async) }).await.unwrap();
    }
}

#[test]
fn a_template_names_the_span_and_stands_beside_the_topic() {
    let recorded = recorded(|builder| {
        builder.destination_template(|topic| topic.starts_with("tenant-").then(|| "tenant-{id}".into()))
    });
    drop(recorded.kafka.process(message(&Context::new(), "tenant-17", b"p")));
    let span = recorded.one();
    assert_eq!(span.name, "process tenant-{id}");
    assert_eq!(attribute_of(&span, "messaging.destination.name"), Some("tenant-17".into()));
    assert_eq!(attribute_of(&span, "messaging.destination.template"), Some("tenant-{id}".into()));
}

#[test]
fn the_scope_is_this_crate_with_its_version_and_the_conventions() {
    let recorded = recorded(|builder| builder);
    drop(recorded.kafka.process(message(&Context::new(), "t", b"p")));
    let scope = recorded.one().instrumentation_scope;
    assert_eq!((scope.name(), scope.version()), ("carrier-kafka", Some(env!("CARGO_PKG_VERSION"))));
    assert_eq!(scope.schema_url(), Some("https://opentelemetry.io/schemas/1.44.0"));
}

#[test]
fn without_an_sdk_the_context_is_passed_on() {
    let propagation = Propagation::builder().propagator(carrier_core::w3c()).build();
    let kafka = Instrumentation::builder()
        .tracer_provider(opentelemetry::trace::noop::NoopTracerProvider::new())
        .propagation(propagation)
        .build();
    let cx = remote_context();
    let message = kafka.process(message(&cx, "t", b"p"));
    assert_eq!(message.context().span().span_context(), cx.span().span_context());
    let _current = message.context().clone().attach();
    let producer = kafka.base_producer(&ClientConfig::new()).unwrap();
    let mut record = BaseRecord::<[u8], [u8]>::to("t").payload(b"p");
    let (_, undo) = kafka.send(&mut record, None);
    crate::testing::assert_carries(&record, &cx);
    undo.apply(&mut record.headers);
    producer.send(record).unwrap();
}

#[test]
fn a_users_tracer_provider_of_any_kind_is_taken() {
    let provider = SdkTracerProvider::builder().build();
    let kafka = Instrumentation::builder().tracer_provider(provider).metrics(false).build();
    let changed = kafka.with_propagation(Propagation::off()).with_relation(Relation::Link);
    let shown = format!("{changed:?}");
    assert!(shown.contains("relation: Link") && shown.contains("message_key: Off"), "{shown}");
}

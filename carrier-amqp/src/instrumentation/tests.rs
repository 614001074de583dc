//! What needs no broker: where the spans of one message belong.

use carrier_core::Propagation;
use lapin::BasicProperties;
use opentelemetry::Context;
use opentelemetry::trace::{SpanId, Status, TraceContextExt as _};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};

use super::*;
use crate::testing::{delivery, remote_context};
use crate::{ExtractFrom as _, PropertiesCarrier, inject_with};

/// Spans of one test's own.
struct Recorded {
    amqp: Instrumentation,
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

fn propagation() -> Propagation {
    Propagation::builder().propagator(carrier_core::w3c()).build()
}

fn recorded(choose: impl FnOnce(AmqpInstrumentationBuilder) -> AmqpInstrumentationBuilder) -> Recorded {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    #[cfg(feature = "tracing-spans")]
    let subscriber = subscriber(&provider);
    let builder = Instrumentation::builder().tracer_provider(provider).propagation(propagation());
    #[cfg(feature = "tracing-spans")]
    let builder = builder.tracing_spans(is_through_tracing());
    Recorded {
        amqp: choose(builder).build(),
        exporter,
        #[cfg(feature = "tracing-spans")]
        _subscriber: subscriber,
    }
}

impl Recorded {
    fn span(&self, name: &str) -> SpanData {
        let mut spans = self.exporter.get_finished_spans().unwrap();
        spans.retain(|span| span.name == name);
        assert_eq!(spans.len(), 1, "{spans:?}");
        spans.remove(0)
    }

    /// Starts and ends the span of a publish, without a channel.
    fn publish(&self, properties: &mut BasicProperties) {
        let destination = self.amqp.destinations.of(&Route::to("", "dead"));
        self.amqp.core.send(|| destination.clone(), &mut PropertiesCarrier(properties), |_| {}).ended(Ok(()));
    }
}

fn ids(cx: &Context) -> (opentelemetry::trace::TraceId, SpanId) {
    let span = cx.span();
    (span.span_context().trace_id(), span.span_context().span_id())
}

fn parent(span: &SpanData) -> (opentelemetry::trace::TraceId, SpanId) {
    (span.span_context.trace_id(), span.parent_span_id)
}

#[tokio::test]
async fn a_dead_letter_that_is_published_after_the_handler_stays_in_the_trace() {
    let (recorded, sender) = (recorded(|builder| builder), remote_context());
    let message = recorded.amqp.process("orders", delivery(&sender, b"17"));
    if message.run(async { Err::<(), _>("no such customer") }).await.is_err() {
        recorded.publish(&mut message.properties.clone());
    }
    let sent = recorded.span("send dead");
    assert_eq!((parent(&sent), sent.links.links.len()), (ids(&sender), 0));
}

#[tokio::test]
async fn one_with_fresh_properties_stays_in_the_trace_in_the_context_of_the_message() {
    let recorded = recorded(|builder| builder);
    let message = recorded.amqp.process("orders", delivery(&remote_context(), b"17"));
    if message.run(async { Err::<(), _>("no such customer") }).await.is_err() {
        let _current = message.context().clone().attach();
        recorded.publish(&mut BasicProperties::default());
    }
    assert_eq!(parent(&recorded.span("send dead")), ids(message.context()));
}

#[test]
fn the_current_span_that_inject_wrote_before_is_not_linked() {
    let (recorded, current) = (recorded(|builder| builder), remote_context());
    let _current = current.clone().attach();
    let mut properties = BasicProperties::default();
    inject_with(&propagation(), &current, &mut properties);
    recorded.publish(&mut properties);
    let sent = recorded.span("send dead");
    assert_eq!((parent(&sent), sent.links.links.len()), (ids(&current), 0));
    let carried = propagation().extract(&properties.reader());
    assert_eq!(ids(&carried), (sent.span_context.trace_id(), sent.span_context.span_id()));
}

#[test]
fn the_sender_is_the_parent_and_linked_only_if_that_is_chosen() {
    for link_parent in [false, true] {
        let (recorded, sender) = (recorded(|builder| builder.link_parent(link_parent)), remote_context());
        let _ = recorded.amqp.process("orders", delivery(&sender, b"17")).context();
        let process = recorded.span("process orders");
        assert_eq!((parent(&process), process.links.links.len()), (ids(&sender), usize::from(link_parent)));
    }
}

#[tokio::test]
async fn a_cancellation_is_no_failure_if_that_is_chosen() {
    for cancellation in [Cancellation::Error, Cancellation::Unset] {
        let recorded = recorded(|builder| builder.cancellation(cancellation));
        let message = recorded.amqp.process("orders", delivery(&remote_context(), b"17"));
        let never = message.run(std::future::pending::<()>());
        tokio::select! { biased; () = never => {}, () = async {} => {} }
        drop(message);
        let process = recorded.span("process orders");
        let is_failed = process.status != Status::Unset;
        assert_eq!(is_failed, cancellation == Cancellation::Error, "{:?}", process.status);
        let settlement = process.attributes.iter().find(|pair| pair.key.as_str() == attribute::SETTLEMENT);
        assert_eq!(settlement.unwrap().value.as_str(), "not_settled");
    }
}

#[test]
fn a_hook_sees_routing_key_ids_and_body_and_a_context_of_another_type_is_counted() {
    use std::sync::{Arc, Mutex};

    use lapin::types::{AMQPValue, FieldTable};
    use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};
    use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};

    struct Parts(Arc<Mutex<Vec<String>>>);
    impl Hook for Parts {
        fn recorded(&self, message: &MessageView<'_>, _: &mut Details<'_>) {
            let MessageParts { key, routing_key, body, reply_to, conversation_id, .. } = message.parts();
            self.0
                .lock()
                .unwrap()
                .push(format!("{key:?} {routing_key:?} {body:?} {reply_to:?} {conversation_id:?}"));
        }
    }
    let (seen, exporter) = (Arc::default(), InMemoryMetricExporter::default());
    let meters = SdkMeterProvider::builder().with_periodic_exporter(exporter.clone()).build();
    let recorded = recorded(|builder| builder.hook(Parts(Arc::clone(&seen))).meter_provider(meters.clone()));
    let mut headers = FieldTable::default();
    headers.insert("traceparent".into(), AMQPValue::LongInt(7));
    let mut delivery = delivery(&Context::new(), b"17");
    let properties = BasicProperties::default().with_headers(headers);
    delivery.properties = properties.with_reply_to("replies".into()).with_correlation_id("c-1".into());
    drop(recorded.amqp.process("orders", delivery));
    let expected = r#"None Some("") Some([49, 55]) Some("replies") Some("c-1")"#;
    assert_eq!(*seen.lock().unwrap(), [expected]);
    meters.force_flush().unwrap();
    let exported = exporter.get_finished_metrics().unwrap();
    let all = exported.iter().flat_map(|resource| resource.scope_metrics()).flat_map(|scope| scope.metrics());
    let found = all.filter(|metric| metric.name() == attribute::RECEIVED_CONTEXTS).flat_map(|metric| {
        let AggregatedMetrics::U64(MetricData::Sum(sum)) = metric.data() else { panic!("no counter") };
        let points = sum.data_points().flat_map(|point| point.attributes());
        points
            .filter(|pair| pair.key.as_str() == attribute::CONTEXT_STATUS)
            .map(|pair| pair.value.to_string())
    });
    assert_eq!(found.collect::<Vec<_>>(), ["wrong_type"]);
}

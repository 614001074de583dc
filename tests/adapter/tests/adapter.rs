//! What an adapter from public items gives: one trace, whole spans, settlements, batches, metrics.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use carrier_adapter_test::broker::{Broker, Delivery, Message, Refused};
use carrier_adapter_test::carrier::MessageCarrier;
use carrier_adapter_test::{Instrumentation, InstrumentationBuilder, Names, extract};
use carrier_core::instrumentation::{Ambient, Relation};
use carrier_core::{Propagation, testing};
use opentelemetry::trace::{SpanContext, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue, baggage::BaggageExt};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};

struct Telemetry {
    provider: SdkTracerProvider,
    spans: InMemorySpanExporter,
    meters: SdkMeterProvider,
    metrics: InMemoryMetricExporter,
}

impl Telemetry {
    fn new() -> Self {
        let (spans, metrics) = (InMemorySpanExporter::default(), InMemoryMetricExporter::default());
        let provider = SdkTracerProvider::builder().with_simple_exporter(spans.clone()).build();
        let reader = PeriodicReader::builder(metrics.clone()).build();
        Self { provider, spans, meters: SdkMeterProvider::builder().with_reader(reader).build(), metrics }
    }

    fn builder(&self) -> InstrumentationBuilder {
        Instrumentation::builder(names())
            .tracer_provider(self.provider.clone())
            .meter_provider(self.meters.clone())
            .propagation(Propagation::w3c())
            .server("toy.internal".to_owned(), Some(4_222))
    }

    fn outer(&self) -> Context {
        Context::new().with_span(self.provider.tracer("program").start("outer"))
    }

    /// The spans that ended since the last call.
    fn ended(&self) -> Vec<SpanData> {
        let spans = self.spans.get_finished_spans().unwrap();
        self.spans.reset();
        spans
    }

    /// The sum or the count of each instrument, with its attributes.
    fn measured(&self) -> BTreeMap<String, u64> {
        self.meters.force_flush().unwrap();
        let all = self.metrics.get_finished_metrics().unwrap().pop().unwrap();
        let mut measured = BTreeMap::new();
        for metric in all.scope_metrics().flat_map(|scope| scope.metrics()) {
            let mut add = |attributes: String, value| {
                *measured.entry(format!("{} {attributes}", metric.name())).or_default() += value;
            };
            match metric.data() {
                AggregatedMetrics::U64(MetricData::Sum(sum)) => {
                    sum.data_points().for_each(|point| add(joined(point.attributes()), point.value()));
                }
                AggregatedMetrics::F64(MetricData::Histogram(histogram)) => {
                    histogram.data_points().for_each(|point| add(joined(point.attributes()), point.count()));
                }
                other => unreachable!("{}: {other:?}", metric.name()),
            }
        }
        measured
    }
}

/// Names as a program reads them from a file: none of them is a constant.
fn names() -> Names {
    let read = |name: &str| format!("{name}_{}", 1 + 1);
    Names {
        system: read("toy"),
        scope: read("scope"),
        version: read("version"),
        ack: read("ack").into(),
        nack: read("nack").into(),
        header_count: read("toy.headers").into(),
    }
}

/// The SDK's exporter has an executor of its own, which `futures::executor` does not allow inside another one.
fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn joined<'a>(attributes: impl IntoIterator<Item = &'a KeyValue>) -> String {
    let mut pairs: Vec<_> =
        attributes.into_iter().map(|pair| format!("{}={}", pair.key, pair.value)).collect();
    pairs.sort();
    pairs.join(" ")
}

/// A whole span as text: everything but its own ids and times.
fn whole(span: &SpanData) -> String {
    let mut attributes = span.attributes.clone();
    // A time that was measured.
    attributes.retain(|pair| pair.key.as_str() != "carrier.queue.duration");
    let links: Vec<_> = span
        .links
        .iter()
        .map(|link| format!("{}{}", link.span_context.span_id(), joined(&link.attributes)))
        .collect();
    format!(
        "{} {:?} of {}, links {links:?}, {:?}, {}",
        span.name,
        span.span_kind,
        span.parent_span_id,
        span.status,
        joined(&attributes)
    )
}

const COMMON: &str = "server.address=toy.internal server.port=4222";

fn message() -> Message {
    Message { headers: vec![("user".to_owned(), vec![0xff])], body: b"17".to_vec() }
}

fn ids(span: &SpanData) -> &SpanContext {
    &span.span_context
}

#[test]
fn a_message_is_one_trace_of_whole_spans() {
    let (telemetry, broker) = (Telemetry::new(), Broker::new(1_000));
    let toy = telemetry.builder().settle_spans(true).ambient(Ambient::Ignore).build();
    let outer = telemetry.outer();
    {
        let _outer = outer.clone().attach();
        toy.publish(&broker, "orders", message()).unwrap();
    }
    let received = toy.get(&broker, "orders").unwrap();
    assert_eq!(received.message.headers[0], ("user".to_owned(), vec![0xff]));
    let processing = toy.process(&broker, received);
    block_on(processing.run(async {
        assert_eq!(Context::current().span().span_context(), processing.context().span().span_context());
    }));
    processing.ack().unwrap();
    drop(processing);
    assert!(toy.get(&broker, "orders").is_none(), "a call without a message has no span");

    let spans = telemetry.ended();
    let [send, receive, ack, process] = &spans[..] else { unreachable!("{spans:#?}") };
    let trace = outer.span().span_context().trace_id();
    assert!([send, ack, process].iter().all(|span| ids(span).trace_id() == trace));
    let sender = ids(send).span_id();
    let of_queue = |operation: &str, name: &str| {
        format!(
            "messaging.destination.name=orders messaging.operation.name={name} messaging.operation.type={operation} \
             messaging.system=toy_2 {COMMON}"
        )
    };
    let parent = outer.span().span_context().span_id();
    assert_eq!(
        whole(send),
        format!(
            "send orders Producer of {parent}, links [], Unset, messaging.destination.name=orders \
             messaging.message.body.size=2 messaging.operation.name=send messaging.operation.type=send \
             messaging.system=toy_2 {COMMON} toy.headers_2=1"
        )
    );
    assert_eq!(
        whole(receive),
        format!(
            "receive orders Client of 0000000000000000, links [\"{sender}\"], Unset, {}",
            of_queue("receive", "receive")
        )
    );
    assert_eq!(
        whole(process),
        format!(
            "process orders Consumer of {sender}, links [], Unset, carrier.settlement=acked {} \
             toy.headers_2=2",
            of_queue("process", "process")
        )
    );
    assert_eq!(
        whole(ack),
        format!(
            "ack_2 orders Client of {}, links [\"{sender}\"], Unset, {}",
            ids(process).span_id(),
            of_queue("settle", "ack_2")
        )
    );
    for span in &spans {
        let scope = &span.instrumentation_scope;
        assert_eq!((scope.name(), scope.version()), ("scope_2", Some("version_2")));
    }
}

#[test]
fn an_error_and_a_refused_message_are_failures() {
    let (telemetry, broker) = (Telemetry::new(), Broker::new(1_000));
    let toy = telemetry.builder().build();
    toy.publish(&broker, "orders", message()).unwrap();
    let processing = toy.process(&broker, broker.get("orders").unwrap());
    let failed: Result<(), _> = block_on(processing.run(async { Err::<(), _>(std::fmt::Error) }));
    assert!(failed.is_err());
    processing.nack().unwrap();
    assert_eq!(processing.ack(), Err(Refused::Settled));
    let again = broker.get("orders").unwrap();
    assert!(again.is_redelivered);
    assert_eq!(toy.ack(&broker, &again), Ok(()));
    let large = Message { body: vec![0; 2_000], ..message() };
    assert_eq!(toy.publish(&broker, "orders", large), Err(Refused::TooLarge));
    drop(processing);
    let spans = telemetry.ended();
    let statuses: Vec<_> = spans.iter().map(|span| span.status.clone()).collect();
    let error = |text: &str| Status::error(text.to_owned());
    assert_eq!(
        statuses,
        [Status::Unset, error(&std::fmt::Error.to_string()), error("the message is too large")]
    );
    let settlement =
        |key: &KeyValue| key.key.as_str() == "carrier.settlement" && key.value.as_str() == "nacked";
    assert!(spans[1].attributes.iter().any(settlement), "{:?}", spans[1].attributes);
}

#[test]
fn the_brokers_limit_is_kept() {
    let (telemetry, broker) = (Telemetry::new(), Broker::new(200));
    let toy = telemetry.builder().build();
    let heavy = telemetry.outer().with_baggage([KeyValue::new("k", "v".repeat(150))]);
    let _heavy = heavy.attach();
    toy.publish(&broker, "orders", message()).unwrap();
    let fits = Message { body: vec![0; 200 - message().size()], ..message() };
    toy.publish(&broker, "orders", fits).unwrap();
    let names = |delivery: Delivery| -> Vec<String> {
        delivery.message.headers.into_iter().map(|(name, _)| name).collect()
    };
    assert_eq!(names(broker.get("orders").unwrap()), ["user", "traceparent"]);
    assert_eq!(names(broker.get("orders").unwrap()), ["user"]);
}

#[test]
fn another_client_has_its_own_address_id_and_limit() {
    let (telemetry, broker) = (Telemetry::new(), Broker::new(1_000));
    let toy = telemetry.builder().consumer_group("billing".to_owned()).build();
    let other = toy.for_client("c-2".to_owned(), "other.internal".to_owned(), message().size());
    other.publish(&broker, "orders", message()).unwrap();
    drop(other.process(&broker, broker.get("orders").unwrap()));
    let spans = telemetry.ended();
    let attributes = |span: &SpanData| joined(&span.attributes);
    for span in &spans {
        let attributes = attributes(span);
        assert!(attributes.contains("server.address=other.internal"), "{attributes}");
        assert!(attributes.contains("messaging.client.id=c-2"), "{attributes}");
        assert!(
            !attributes.contains("server.port") && !attributes.contains("consumer.group"),
            "{attributes}"
        );
    }
    assert_eq!(spans.len(), 2);
    assert!(attributes(&spans[0]).contains("carrier.context.left_out=true"), "{}", attributes(&spans[0]));
}

#[test]
fn a_batch_links_to_each_message() {
    let (telemetry, broker) = (Telemetry::new(), Broker::new(1_000));
    let toy = telemetry.builder().max_links(2).build();
    (0..3).for_each(|_| toy.publish(&broker, "orders", message()).unwrap());
    let deliveries: Vec<_> = std::iter::from_fn(|| broker.get("orders")).collect();
    let batch = toy.process_batch("orders", &deliveries);
    assert_eq!(batch.contexts().len(), 3);
    block_on(batch.run(async {}));
    drop(batch);
    let spans = telemetry.ended();
    let (senders, batch) = (&spans[..3], &spans[3]);
    let links: Vec<_> =
        senders[..2].iter().map(|sender| format!("{}toy.headers_2=2", ids(sender).span_id())).collect();
    assert_eq!(
        whole(batch),
        format!(
            "process orders Consumer of 0000000000000000, links {links:?}, Unset, \
             carrier.batch.unlinked_message_count=1 messaging.batch.message_count=3 \
             messaging.destination.name=orders messaging.operation.name=process \
             messaging.operation.type=process messaging.system=toy_2 {COMMON}"
        )
    );
}

#[test]
fn a_rule_sees_the_destination_the_sender_and_the_headers() {
    let (telemetry, broker) = (Telemetry::new(), Broker::new(1_000));
    let partner = "x-partner".to_owned();
    let relation = Relation::rule(move |message| {
        assert!(message.sender().is_some_and(SpanContext::is_remote) && message.age().is_some());
        let is_own = message.destination().name() == Some("orders") && !message.redelivered();
        if is_own && message.header(&partner).is_none() { Relation::Parent } else { Relation::Link }
    });
    let toy = telemetry.builder().relation(relation).build();
    let mut foreign = message();
    foreign.headers.push(("X-Partner".to_owned(), b"1".to_vec()));
    for (queue, message) in [("orders", message()), ("orders", foreign), ("other", message())] {
        toy.publish(&broker, queue, message).unwrap();
        drop(toy.process(&broker, broker.get(queue).unwrap()));
    }
    let spans = telemetry.ended();
    let is_child = |pair: &[SpanData]| ids(&pair[0]).trace_id() == ids(&pair[1]).trace_id();
    assert_eq!(spans.chunks(2).map(is_child).collect::<Vec<_>>(), [true, false, false]);
    let linked =
        |pair: &[SpanData]| pair[1].links.iter().map(|link| link.span_context.span_id()).collect::<Vec<_>>();
    let expected = |pair: &[SpanData]| if is_child(pair) { vec![] } else { vec![ids(&pair[0]).span_id()] };
    assert!(spans.chunks(2).all(|pair| linked(pair) == expected(pair)));
}

#[test]
fn each_message_is_counted_once() {
    let (telemetry, broker) = (Telemetry::new(), Broker::new(1_000));
    let toy = telemetry.builder().consumer_group("billing".to_owned()).client_id("c-1".to_owned()).build();
    for _ in 0..2 {
        toy.publish(&broker, "orders", message()).unwrap();
    }
    let received = toy.get(&broker, "orders").unwrap();
    toy.process(&broker, received).ack().unwrap();
    toy.process(&broker, broker.get("orders").unwrap()).ack().unwrap();
    let group = "messaging.consumer.group.name=billing messaging.destination.name=orders";
    let rest = format!("messaging.system=toy_2 {COMMON}");
    let measured: Vec<_> = telemetry.measured().into_iter().collect();
    let expected = [
        (format!("carrier.critical.duration {group} {rest}"), 2),
        (format!("carrier.queue.duration {group} {rest}"), 2),
        (format!("carrier.received.contexts carrier.context.status=valid {group} {rest}"), 2),
        (format!("messaging.client.consumed.messages {group} messaging.operation.name=process {rest}"), 1),
        (format!("messaging.client.consumed.messages {group} messaging.operation.name=receive {rest}"), 1),
        (
            format!(
                "messaging.client.operation.duration {group} messaging.operation.name=receive \
                 messaging.operation.type=receive {rest}"
            ),
            1,
        ),
        (
            format!(
                "messaging.client.operation.duration messaging.destination.name=orders \
                 messaging.operation.name=send messaging.operation.type=send {rest}"
            ),
            2,
        ),
        (
            format!(
                "messaging.client.sent.messages messaging.destination.name=orders \
                 messaging.operation.name=send {rest}"
            ),
            2,
        ),
        (format!("messaging.process.duration {group} messaging.operation.name=process {rest}"), 2),
    ];
    assert_eq!(measured, expected);
}

#[test]
fn the_carrier_is_consistent_and_carries_a_context() {
    let cx = testing::remote_context();
    let mut sent = message();
    testing::assert_consistent(&MessageCarrier { message: &mut sent, limit: None });
    carrier_adapter_test::inject(&cx, &mut sent);
    let carrier = MessageCarrier { message: &mut sent, limit: Some(10) };
    testing::assert_consistent(&carrier);
    testing::assert_carries(&carrier, &cx);
    let broker = Broker::new(1_000);
    broker.publish("orders", sent).unwrap();
    let received = extract(&broker.get("orders").unwrap());
    assert_eq!(received.span().span_context(), cx.span().span_context());
}

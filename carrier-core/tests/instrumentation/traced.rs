//! Spans through `tracing`: what a log shows of a message, and what belongs to the spans.

use carrier_core::instrumentation::{Ambient, Details, Failure, Incoming, Plain, StartTime};
use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::TraceContextExt as _;
use tracing::Instrument as _;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::Registry;

use crate::log::Log;
use crate::seen::Seen;
use crate::support::{block_on, current_span, from_orders, headers, orders, sent, yielded};
use crate::telemetry::{Telemetry, layer};

pub(crate) fn with_ids(details: &mut Details<'_>) {
    details.set("messaging.kafka.offset", 17);
    details.set("messaging.message.id", "m1");
    details.set("messaging.message.body.size", 3);
}

const PROCESS: &str = r#"process{messaging.destination.name="orders" messaging.destination.partition.id="3""#;

#[test]
fn a_log_shows_where_a_message_came_from() {
    let telemetry = Telemetry::new();
    let (log, _default) = Log::alone();
    let from = Incoming::new(orders().partition("3"));
    let process = telemetry.instrumentation().process(from, &sent(), with_ids);
    block_on(process.run(async {
        yielded().await;
        tracing::info!("handled");
    }));
    let fields = format!(r#"{PROCESS} messaging.kafka.offset=17 messaging.message.id="m1"}}: handled"#);
    assert_eq!(log.lines(), [fields]);
}

#[test]
fn spans_and_events_of_a_handler_and_of_its_tasks_belong_to_the_process_span() {
    let telemetry = Telemetry::new();
    let process = telemetry.instrumentation().process(from_orders(), &sent(), |_| {});
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(process.run(async {
        tracing::info!("in the handler");
        tokio::task::yield_now().instrument(tracing::info_span!("instrumented")).await;
        let task = async {
            tracing::info!("in the task");
            tracing::info_span!("below the task").in_scope(|| {});
            Context::current().span().span_context().span_id()
        };
        assert_eq!(tokio::spawn(task.in_current_span()).await.unwrap(), 1.into());
    }));
    let spans = telemetry.ended();
    let told: Vec<_> = spans.iter().map(|span| (span.name.as_ref(), span.parent_span_id)).collect();
    let expected = [("instrumented", 1), ("below the task", 1), ("process orders", 8)];
    assert_eq!(told, expected.map(|(name, parent): (_, u64)| (name, parent.into())));
    let events: Vec<_> = spans[2].events.iter().map(|event| event.name.as_ref()).collect();
    assert_eq!(events, ["in the handler", "in the task"]);
}

#[test]
fn a_handler_that_is_no_future_has_the_span_and_the_baggage() {
    let telemetry = Telemetry::new();
    let received = [sent(), headers(&[("baggage", "tenant=7")])].concat();
    let process = telemetry.instrumentation().process(from_orders(), &received, |_| {});
    let baggage = process.in_scope(|| {
        assert_eq!(current_span().span_id(), 1.into());
        assert_eq!(tracing::Span::current().metadata().unwrap().name(), "process");
        Context::map_current(|cx| cx.baggage().get("tenant").cloned())
    });
    assert_eq!(baggage, Some("7".into()));
    assert!(tracing::Span::current().is_none() && !current_span().is_valid());
    drop(process);
    assert_eq!(telemetry.seen(), [Seen::process("orders").id(7, 1).child_of(8)]);
}

#[test]
fn the_exported_span_ends_with_its_handler_however_long_the_tracing_span_is_open() {
    let telemetry = Telemetry::new();
    let process = telemetry.instrumentation().process(from_orders(), &sent(), |_| {});
    let kept = block_on(process.run(async { Plain(tracing::Span::current()) }));
    let expected = Seen::process("orders").id(7, 1).child_of(8);
    assert_eq!(telemetry.seen(), [expected]);
    drop(process);
    drop(kept);
    assert_eq!(telemetry.seen(), [], "it is exported once");
}

#[test]
fn a_message_in_a_consumer_loop_is_below_the_loop_only_if_that_is_chosen() {
    let telemetry = Telemetry::new();
    let log = Log::default();
    let subscriber = Registry::default().with(layer(telemetry.tracer())).with(log.layer());
    let _default = tracing::subscriber::set_default(subscriber);
    let _loop = tracing::info_span!("consume").entered();
    for (ambient, expected) in [(Ambient::Link, "process{"), (Ambient::Parent, "consume:process{")] {
        let instrumentation = telemetry.builder().ambient(ambient).build();
        let process = instrumentation.process(from_orders(), &headers(&[]), |_| {});
        process.in_scope(|| tracing::info!("handled"));
        let [line] = log.lines().try_into().unwrap();
        assert!(line.starts_with(expected), "{line}");
    }
}

#[test]
fn a_settlement_outside_of_the_handler_is_below_the_process_span() {
    let (log, telemetry) = (Log::default(), Telemetry::new());
    let _default = tracing::subscriber::set_default(Registry::default().with(log.with_events(FmtSpan::NEW)));
    let instrumentation = telemetry.builder().settle_spans(true).build();
    let process = instrumentation.process(from_orders(), &sent(), |_| {});
    process.settling("ack", orders, |_| {}).ended(Ok(()));
    instrumentation.settle("commit", orders, |_| {}).ended(Ok(()));
    let scopes: Vec<_> = log.lines().iter().map(|line| line.matches("{messaging").count()).collect();
    assert_eq!(scopes, [1, 2, 1], "a process, its settlement, and another one");
}

#[test]
fn a_failure_and_a_partition_that_are_known_late_are_fields_and_are_exported_once() {
    let (log, telemetry) = (Log::default(), Telemetry::new());
    let subscriber =
        Registry::default().with(log.with_events(FmtSpan::CLOSE)).with(layer(telemetry.tracer()));
    let _default = tracing::subscriber::set_default(subscriber);
    let mut sending = telemetry.instrumentation().send(orders, &mut headers(&[]), |_| {});
    sending.partition("3");
    sending.ended(Err(Failure::new("nack", "refused")));
    let [line] = log.lines().try_into().unwrap();
    for field in [r#"messaging.destination.partition.id="3""#, r#"error.type="nack""#] {
        assert_eq!(line.matches(field).count(), 1, "{line}");
    }
    let expected =
        Seen::send("orders").with("messaging.destination.partition.id", "3").failed("nack", "refused");
    assert_eq!(telemetry.seen(), [expected]);
}

#[test]
fn a_copy_of_a_context_keeps_no_span_open() {
    let (log, telemetry) = (Log::default(), Telemetry::new());
    let _default =
        tracing::subscriber::set_default(Registry::default().with(log.with_events(FmtSpan::CLOSE)));
    let sending = telemetry.instrumentation().send(orders, &mut headers(&[]), |_| {});
    let process = telemetry.instrumentation().process(from_orders(), &headers(&[]), |_| {});
    let kept = (sending.context(), process.context().clone());
    assert_eq!(log.lines().len(), 0);
    sending.ended(Ok(()));
    assert_eq!(log.lines().len(), 1);
    block_on(process.run(yielded()));
    assert_eq!(log.lines().len(), 1, "the handler is over");
    drop((process, kept));
    assert_eq!(log.lines().len(), 0);
}

#[test]
fn a_span_that_ends_on_another_thread_lets_the_one_around_it_close() {
    let telemetry = Telemetry::new();
    let around = tracing::info_span!("around");
    let sending = around.in_scope(|| telemetry.instrumentation().send(orders, &mut headers(&[]), |_| {}));
    std::thread::scope(|scope| {
        scope.spawn(|| sending.ended(Ok(())));
    });
    drop(around);
    let names: Vec<_> = telemetry.ended().iter().map(|span| span.name.clone()).collect();
    assert_eq!(names, ["send orders", "around"]);
}

#[test]
fn a_receive_call_starts_when_it_was_made() {
    let telemetry = Telemetry::new();
    let start = StartTime::now();
    std::thread::sleep(std::time::Duration::from_millis(20));
    telemetry.instrumentation().received(start, orders(), Ok(Some((&from_orders(), &sent()))), |_| {});
    let [span] = telemetry.ended().try_into().unwrap();
    let took = span.end_time.duration_since(span.start_time).unwrap();
    let measured = telemetry.measured_by("messaging.client.operation.duration")[0].sum.unwrap();
    assert_eq!(took.as_secs_f64(), measured);
}

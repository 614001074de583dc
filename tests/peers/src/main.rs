//! Published crates beside ours: each row's floor is ours.
#![allow(clippy::unwrap_used, reason = "a program for developers")]

use carrier_amqp::{extract_with, inject_with};
use carrier_core::{Propagation, w3c};
use carrier_measure::{Meter, PARENT, Ratios, Row, context, recorded};
use lapin::types::{AMQPValue, FieldTable};
use opentelemetry::global;
use opentelemetry::trace::{TraceContextExt as _, TracerProvider as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use rdkafka::message::{Header, Headers as _, OwnedHeaders};
use streameroo::amqp::amqprs::{self, FieldValue, ShortStr};
use streameroo::amqp::telemetry;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::layer::SubscriberExt as _;

fn main() {
    // As their pages advise; ours below is a `Propagation` of its own.
    global::set_text_map_propagator(TraceContextPropagator::new());
    let own = Propagation::builder().propagator(w3c()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(recorded().tracer("peers"));
    let _subscriber = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    Ratios::run(|meter| {
        amqp(meter, &own);
        kafka(meter, &own);
    });
}

fn table(count: usize) -> FieldTable {
    let mut table = FieldTable::default();
    for n in 0..count {
        table.insert(format!("x-user-{n}").into(), AMQPValue::LongString("value".into()));
    }
    table
}

fn their_table(count: usize) -> amqprs::FieldTable {
    let mut table = amqprs::FieldTable::new();
    for n in 0..count {
        let key = ShortStr::try_from(format!("x-user-{n}")).unwrap();
        table.insert(key, FieldValue::from("value".to_owned()));
    }
    table
}

fn amqp(meter: &mut impl Meter, own: &Propagation) {
    let cx = context();
    let row = Row::new(
        meter,
        "peers: amqp inject, table of 5",
        || table(5),
        |mut table| {
            inject_with(own, &cx, &mut table);
            table
        },
    );
    row.and(
        "streameroo",
        || their_table(5),
        |mut table| {
            telemetry::inject_context(&cx, &mut table);
            table
        },
    );

    let (mut received, mut theirs) = (table(9), their_table(9));
    received.insert("traceparent".into(), AMQPValue::LongString(PARENT.into()));
    theirs.insert(ShortStr::try_from("traceparent").unwrap(), FieldValue::from(PARENT.to_owned()));
    assert_eq!(
        telemetry::extract_context(&theirs).span().span_context(),
        extract_with(own, &received).span().span_context()
    );
    let row =
        Row::new(meter, "peers: amqp extract, 10 headers", || &received, |table| extract_with(own, table));
    row.and("streameroo", || &theirs, telemetry::extract_context);
}

fn kafka(meter: &mut impl Meter, own: &Propagation) {
    let _span = tracing::info_span!("send").entered();
    let row = Row::new(
        meter,
        "peers: kafka inject, pairs",
        || (),
        |()| {
            let mut pairs: Vec<(String, String)> = Vec::new();
            own.inject(&tracing::Span::current().context(), &mut pairs);
            pairs
        },
    );
    row.and("krabka-trace-context", || (), |()| krabka_trace_context::current_trace_headers());

    let add = |headers: OwnedHeaders, key: &str, value| headers.insert(Header { key, value: Some(value) });
    let users = (0..9).fold(OwnedHeaders::new(), |all, n| add(all, &format!("x-user-{n}"), "value"));
    let received = add(users, "traceparent", PARENT);
    let row = Row::new(
        meter,
        "peers: kafka extract, 10 headers",
        || &received,
        |headers| carrier_kafka::extract_with(own, headers),
    );
    row.and(
        "krabka-trace-context",
        || &received,
        |headers| {
            let pairs = headers.iter().filter_map(|header| Some((header.key, header.value?)));
            krabka_trace_context::extract_context(pairs)
        },
    );
}

//! `handoff`, run as a person runs it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message as _;

use common::Ended;

const WITHOUT_AMQP: (&str, &str) = ("CARRIER_DEMO_WITHOUT_AMQP", "1");

fn handoff(arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
    common::run(env!("CARGO_BIN_EXE_handoff"), arguments, variables)
}

async fn handoff_beside(variables: Vec<(&'static str, String)>) -> Ended {
    let run = move || {
        let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        handoff(&[], &variables)
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

fn assert_one_trace(ended: &Ended, numbers: &str, hops: usize) {
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let out = &ended.stdout;
    assert_eq!(out.matches("\n  trace ").count(), 1, "{out}");
    assert!(out.contains("✓ one trace ") && out.contains(numbers), "{out}");
    // The same trace id and the baggage on each hop.
    let ids: BTreeSet<&str> = out
        .lines()
        .filter_map(|line| line.trim().strip_prefix("traceparent"))
        .filter_map(|value| value.split('-').nth(1))
        .collect();
    assert_eq!(ids.len(), 1, "{out}");
    assert_eq!(out.matches("traceparent ").count(), hops, "{out}");
    assert_eq!(out.matches("tenant=acme").count(), hops, "{out}");
}

#[test]
fn without_amqp_it_is_one_trace_and_says_what_is_left_out() {
    let ended = handoff(&[], &[WITHOUT_AMQP]);
    assert_one_trace(&ended, "5 spans, 3 services, 2 hops", 2);
    assert!(ended.stdout.contains("left out"), "{ended:?}");
    assert!(ended.stdout.contains("waits in orders"), "{ended:?}");
    assert_eq!(ended.stderr, "");
}

#[test]
fn no_colours_and_no_wide_lines_where_no_terminal_is() {
    for (columns, width) in [("20", 80), ("80", 80), ("100", 100), ("1000", 140)] {
        let ended = handoff(&[], &[WITHOUT_AMQP, ("COLUMNS", columns)]);
        assert!(!ended.stdout.contains('\x1b'), "{ended:?}");
        let widest = ended.stdout.lines().map(|line| line.chars().count()).max();
        assert_eq!(widest, Some(width), "{}", ended.stdout);
    }
}

#[test]
fn a_hop_that_loses_its_headers_is_named() {
    for (hop, link) in [("http", "HTTP, shop → gateway"), ("kafka", "Kafka, gateway → packing")] {
        let ended = handoff(&["--break", hop], &[WITHOUT_AMQP]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stdout.contains(&format!("the trace breaks at {link}")), "{ended:?}");
        assert_eq!(ended.stdout.matches("the trace breaks").count(), 1, "{ended:?}");
        assert!(!ended.stdout.contains("one trace "), "{ended:?}");
    }
}

#[test]
fn options_that_it_does_not_have_are_refused() {
    assert!(handoff(&["--help"], &[]).stdout.contains("KAFKA_BROKERS"));
    for arguments in [&["--nonsense"][..], &["--break"], &["--break", "smtp"]] {
        handoff(arguments, &[WITHOUT_AMQP]).assert_refuses(2, "--help");
    }
    // Nothing to lose there.
    handoff(&["--break", "amqp"], &[WITHOUT_AMQP]).assert_refuses(2, "http, kafka;");
}

#[test]
fn a_broker_that_is_not_there_is_named_within_seconds() {
    // Port 1 is nobody's.
    for (url, shown) in [
        ("amqp://user:secret@127.0.0.1:1/%2f", "amqp://127.0.0.1:1/%2f"),
        ("http://user:secret@127.0.0.1", "http://127.0.0.1"),
        ("user:secret@nonsense", "AMQP_URL=nonsense"),
    ] {
        handoff(&[], &[("AMQP_URL", url)]).assert_refuses(2, shown);
    }
    for brokers in ["127.0.0.1:1", "not a broker"] {
        handoff(&[], &[WITHOUT_AMQP, ("KAFKA_BROKERS", brokers)]).assert_refuses(2, brokers);
    }
}

#[test]
fn a_container_that_cannot_start_is_one_line_with_what_to_do() {
    let image = "127.0.0.1:1/nothing:none";
    let ended = handoff(&[], &[("CARRIER_RABBITMQ_IMAGE", image)]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let last = ended.stderr.lines().last().unwrap();
    assert!(last.starts_with("handoff: ") && last.contains("AMQP_URL"), "{ended:?}");
    assert!(!ended.stderr.contains("panicked"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_gets_the_whole_trace_with_each_service_under_its_name() {
    let bodies = Arc::new(Mutex::new(Vec::<Bytes>::new()));
    let kept = Arc::clone(&bodies);
    let app = Router::new()
        .route("/v1/traces", post(move |body: Bytes| async move { kept.lock().unwrap().push(body) }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });

    let ended = handoff_beside(vec![
        (WITHOUT_AMQP.0, "1".to_owned()),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.clone()),
    ])
    .await;

    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains(&format!("5 spans sent to {endpoint}")), "{ended:?}");
    let mut traces = BTreeSet::new();
    let mut ids = BTreeSet::new();
    let mut parents = Vec::new();
    let mut services = BTreeMap::new();
    for body in bodies.lock().unwrap().iter() {
        for sent in ExportTraceServiceRequest::decode(body.clone()).unwrap().resource_spans {
            let attributes = sent.resource.unwrap().attributes;
            let name = attributes.into_iter().find(|pair| pair.key == "service.name").unwrap();
            let Some(Value::StringValue(name)) = name.value.unwrap().value else {
                continue;
            };
            let spans = sent.scope_spans.into_iter().flat_map(|scope| scope.spans);
            for span in spans {
                *services.entry(name.clone()).or_insert(0) += 1;
                traces.insert(span.trace_id);
                ids.insert(span.span_id);
                parents.push(span.parent_span_id);
            }
        }
    }
    let expected =
        [("gateway", 2), ("packing", 1), ("shop", 2)].map(|(name, count)| (name.to_owned(), count));
    assert_eq!(services, BTreeMap::from(expected));
    assert_eq!(traces.len(), 1);
    parents.retain(|parent| !ids.contains(parent));
    assert_eq!(parents, [Vec::<u8>::new()], "one root, and all other parents are there");
}

#[test]
fn a_collector_that_is_not_there_is_named_and_the_trace_is_shown_all_the_same() {
    let endpoint = "http://127.0.0.1:1";
    let ended = handoff(&[], &[WITHOUT_AMQP, ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stdout.contains("not taken at http://127.0.0.1:1"), "{ended:?}");
    assert!(ended.stdout.contains("✓ one trace"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_rabbitmq_it_is_one_trace_over_three_hops() {
    let url = carrier_tests::rabbitmq().await.url().to_owned();
    let ended = handoff_beside(vec![("AMQP_URL", url.clone()), ("COLUMNS", "80".to_owned())]).await;
    assert_one_trace(&ended, "7 spans, 4 services, 3 hops", 3);
    assert!(ended.stdout.contains("waits in parcels"), "{ended:?}");
    assert!(!ended.stdout.contains("guest"), "a password: {ended:?}");
    let lines = ended.stdout.lines();
    assert!(lines.map(|line| line.chars().count()).all(|width| width <= 80), "{ended:?}");

    let run = move || handoff(&["--break", "amqp"], &[("AMQP_URL", &url)]);
    let ended = tokio::task::spawn_blocking(run).await.unwrap();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let link = "the trace breaks at AMQP, packing → shipping";
    assert!(ended.stdout.contains(link), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kafka_that_runs_does_as_well() {
    let brokers = carrier_tests::kafka().await.brokers().to_owned();
    let ended =
        handoff_beside(vec![(WITHOUT_AMQP.0, "1".to_owned()), ("KAFKA_BROKERS", brokers.clone())]).await;
    assert_one_trace(&ended, "5 spans, 3 services, 2 hops", 2);
    assert!(ended.stdout.contains(&brokers), "{ended:?}");
}

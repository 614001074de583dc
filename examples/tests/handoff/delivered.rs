//! What arrives at a collector, over the wire.

use lapin::uri::AMQPUri;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::sync::OnceCell;

use crate::collector::{Arrived, Collector, the_span, the_value};
use crate::common::Ended;
use crate::expected::{METRICS, SPANS};
use crate::{WITHOUT_AMQP, handoff, handoff_beside, text};

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// One run over all hops, and what a collector got of it.
struct Delivered {
    ended: Ended,
    endpoint: String,
    amqp_url: String,
    spans: Vec<Arrived<Span>>,
    /// Without those of the clients, which change from one moment to the next.
    metrics: Vec<Arrived<Metric>>,
    all_metrics: usize,
}

async fn delivered() -> &'static Delivered {
    static DELIVERED: OnceCell<Delivered> = OnceCell::const_new();
    DELIVERED
        .get_or_init(|| async {
            let amqp_url = carrier_tests::rabbitmq().await.url().to_owned();
            let (collector, endpoint) = Collector::listen().await;
            let ended =
                handoff_beside(vec![("AMQP_URL", amqp_url.clone()), (ENDPOINT, endpoint.clone())]).await;
            assert_eq!(ended.code, Some(0), "{ended:?}");
            let (spans, metrics) = (collector.spans(), collector.metrics());
            let all_metrics = metrics.len();
            let metrics = of_messages(metrics);
            Delivered { ended, endpoint, amqp_url, spans, metrics, all_metrics }
        })
        .await
}

/// The metrics that are not of a client itself.
fn of_messages(mut metrics: Vec<Arrived<Metric>>) -> Vec<Arrived<Metric>> {
    metrics.retain(|metric| !metric.it.name.starts_with("carrier.kafka."));
    metrics
}

impl Delivered {
    /// What is expected, with the addresses of this run.
    fn fill_in(&self, expected: &str) -> String {
        let out = &self.ended.stdout;
        let kafka = out.split_once("Kafka     127.0.0.1:").unwrap().1;
        let kafka = kafka.split_once(' ').unwrap().0;
        let version = |manifest: &'static str| {
            let mut lines = manifest.lines();
            lines.find_map(|line| line.strip_prefix("version = ")).unwrap().trim_matches('"')
        };
        let uri: AMQPUri = self.amqp_url.parse().unwrap();
        expected
            .replace("{amqp version}", version(include_str!("../../../carrier-amqp/Cargo.toml")))
            .replace("{kafka version}", version(include_str!("../../../carrier-kafka/Cargo.toml")))
            .replace("{kafka}", kafka)
            .replace("{rabbitmq host}", &uri.authority.host)
            .replace("{rabbitmq}", &uri.authority.port.to_string())
    }

    fn took(&self, service: &str, span: &str) -> f64 {
        let span = the_span(&self.spans, service, span);
        (span.end_time_unix_nano - span.start_time_unix_nano) as f64 / 1e9
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_spans_arrive_each_under_its_service_and_its_scope() {
    let delivered = delivered().await;
    let arrived = text::spans(&delivered.spans);
    assert_eq!(arrived, delivered.fill_in(SPANS), "{arrived}");
    let said = format!("7 spans sent to {}", delivered.endpoint);
    assert!(delivered.ended.stdout.contains(&said), "{:?}", delivered.ended);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_metrics_arrive_with_their_units_bounds_and_attributes() {
    let delivered = delivered().await;
    let arrived = text::metrics(&delivered.metrics);
    assert_eq!(arrived, delivered.fill_in(METRICS), "{arrived}");
    let said = format!("{} metrics sent to {}", delivered.all_metrics, delivered.endpoint);
    assert!(delivered.ended.stdout.contains(&said), "{:?}", delivered.ended);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_span_and_its_metric_took_the_same_time() {
    let delivered = delivered().await;
    for (service, span, scope, metric) in [
        ("gateway", "send orders", "carrier-kafka", "messaging.client.operation.duration"),
        ("packing", "process orders", "carrier-kafka", "messaging.process.duration"),
        ("packing", "send parcels", "carrier-amqp", "messaging.client.operation.duration"),
        ("shipping", "process parcels", "carrier-amqp", "messaging.process.duration"),
    ] {
        let (took, value) =
            (delivered.took(service, span), the_value(&delivered.metrics, service, scope, metric));
        assert!((took - value).abs() < 1e-6, "{span}: {took} and {value}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_time_in_the_queue_is_the_same_on_the_span_the_metric_and_the_picture() {
    let delivered = delivered().await;
    let measured = the_value(&delivered.metrics, "packing", "carrier-kafka", "carrier.queue.duration");
    let span = the_span(&delivered.spans, "packing", "process orders");
    assert_eq!(text::double(span, "carrier.queue.duration"), measured);
    let lines = delivered.ended.stdout.lines();
    let row = lines.map(str::trim_end).find(|line| line.contains("waits in orders")).unwrap();
    let drawn: f64 = row.rsplit(' ').next().unwrap().parse().unwrap();
    // The picture has tenths of a millisecond.
    assert!((drawn - measured * 1_000.0).abs() < 0.051, "{drawn} and {measured}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_for_one_signal_gets_that_signal() {
    for (variable, path, spans, metrics) in [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "/v1/traces", 5, 0),
        ("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "/v1/metrics", 0, 7),
    ] {
        let (collector, endpoint) = Collector::listen().await;
        let without_amqp = (WITHOUT_AMQP.0, WITHOUT_AMQP.1.to_owned());
        let ended = handoff_beside(vec![without_amqp, (variable, format!("{endpoint}{path}"))]).await;
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(
            (collector.spans().len(), of_messages(collector.metrics()).len()),
            (spans, metrics),
            "{variable}"
        );
        assert_eq!(ended.stdout.matches(" sent to ").count(), 1, "{ended:?}");
    }
}

#[test]
fn a_collector_that_is_not_there_is_one_line_and_the_trace_is_shown_all_the_same() {
    let endpoint = "http://127.0.0.1:1";
    let ended = handoff(&[], &[WITHOUT_AMQP, (ENDPOINT, endpoint)]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    let said = "✗ the spans and the metrics were not taken at http://127.0.0.1:1: ";
    assert!(ended.stdout.contains(said), "{ended:?}");
    assert_eq!(ended.stdout.matches('✗').count(), 1, "{ended:?}");
    assert!(ended.stdout.contains("✓ one trace"), "{ended:?}");
    assert_eq!(ended.stderr, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_knows_no_metrics_gets_the_spans() {
    let (collector, endpoint) = Collector::for_traces().await;
    let ended =
        handoff_beside(vec![(WITHOUT_AMQP.0, WITHOUT_AMQP.1.to_owned()), (ENDPOINT, endpoint.clone())]).await;
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert_eq!(collector.spans().len(), 5);
    assert!(ended.stdout.contains(&format!("✓ 5 spans sent to {endpoint}")), "{ended:?}");
    assert!(ended.stdout.contains(&format!("✗ the metrics were not taken at {endpoint}: ")), "{ended:?}");
    assert_eq!(ended.stderr, "");
}

//! A collector that keeps what it is sent.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{HistogramDataPoint, Metric};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::net::TcpListener;

use crate::text::{scope, service};

#[derive(Clone, Default)]
pub struct Collector {
    traces: Arc<Mutex<Vec<Bytes>>>,
    metrics: Arc<Mutex<Vec<Bytes>>>,
}

/// A span or a metric, whose it is, and who made it.
pub struct Arrived<T> {
    pub service: String,
    pub scope: String,
    pub it: T,
}

impl Collector {
    /// Listens on a free port; what it is sent stays readable.
    pub async fn listen() -> (Self, String) {
        Self::serve(true).await
    }

    /// One that knows no metrics.
    pub async fn for_traces() -> (Self, String) {
        Self::serve(false).await
    }

    async fn serve(takes_metrics: bool) -> (Self, String) {
        let collector = Self::default();
        let (traces, metrics) = (Arc::clone(&collector.traces), Arc::clone(&collector.metrics));
        let mut app = Router::new()
            .route("/v1/traces", post(move |body: Bytes| async move { traces.lock().unwrap().push(body) }));
        if takes_metrics {
            let keep = move |body: Bytes| async move { metrics.lock().unwrap().push(body) };
            app = app.route("/v1/metrics", post(keep));
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, app).await });
        (collector, endpoint)
    }

    /// The spans in the order they began.
    pub fn spans(&self) -> Vec<Arrived<Span>> {
        let mut spans = Vec::new();
        for body in self.traces.lock().unwrap().iter() {
            for sent in ExportTraceServiceRequest::decode(body.clone()).unwrap().resource_spans {
                let service = service(sent.resource);
                for made in sent.scope_spans {
                    let scope = scope(made.scope, &made.schema_url);
                    let arrived = |it| Arrived { service: service.clone(), scope: scope.clone(), it };
                    spans.extend(made.spans.into_iter().map(arrived));
                }
            }
        }
        spans.sort_by_key(|arrived| arrived.it.start_time_unix_nano);
        spans
    }

    /// The metrics in the order they came.
    pub fn metrics(&self) -> Vec<Arrived<Metric>> {
        let mut metrics = Vec::new();
        for body in self.metrics.lock().unwrap().iter() {
            for sent in ExportMetricsServiceRequest::decode(body.clone()).unwrap().resource_metrics {
                let service = service(sent.resource);
                for made in sent.scope_metrics {
                    let scope = scope(made.scope, &made.schema_url);
                    let arrived = |it| Arrived { service: service.clone(), scope: scope.clone(), it };
                    metrics.extend(made.metrics.into_iter().map(arrived));
                }
            }
        }
        metrics
    }
}

/// The only span of this name in a service.
#[track_caller]
pub fn the_span<'a>(spans: &'a [Arrived<Span>], service: &str, name: &str) -> &'a Span {
    let mut found = spans.iter().filter(|arrived| arrived.service == service && arrived.it.name == name);
    match (found.next(), found.next()) {
        (Some(arrived), None) => &arrived.it,
        _ => panic!("not one span {name} of {service}"),
    }
}

/// The only value of a histogram that one service records with one scope.
#[track_caller]
pub fn the_value(metrics: &[Arrived<Metric>], service: &str, scope: &str, name: &str) -> f64 {
    let by = |arrived: &&Arrived<Metric>| arrived.service == service && arrived.scope.contains(scope);
    let named = metrics.iter().filter(by).filter(|arrived| arrived.it.name == name);
    let points: Vec<&HistogramDataPoint> = named
        .flat_map(|arrived| match &arrived.it.data {
            Some(Data::Histogram(histogram)) => &histogram.data_points[..],
            other => panic!("{name} is no histogram: {other:?}"),
        })
        .collect();
    let [point] = points[..] else { panic!("not one value of {name} in {service}: {points:?}") };
    assert_eq!(point.count, 1);
    point.sum.unwrap()
}

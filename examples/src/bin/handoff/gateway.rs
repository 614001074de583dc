//! The gateway: takes an order over HTTP and puts it into Kafka.

use std::future::IntoFuture as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use carrier_kafka::instrumentation::FutureProducer;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{SpanKind, TraceContextExt as _};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::FutureRecord;
use tokio::net::TcpListener;
use tokio::time;

use crate::hops::{Demo, HTTP, KAFKA};
use crate::service::Service;

/// So that there is something to see: real work takes time.
const WORK: Duration = Duration::from_millis(18);

/// How long Kafka may take to confirm.
const LIMIT: Duration = Duration::from_secs(10);

pub(crate) struct Gateway {
    pub(crate) service: Service,
    pub(crate) producer: FutureProducer,
    pub(crate) topic: String,
    pub(crate) demo: Demo,
}

impl Gateway {
    /// Listens on a free port and returns it.
    pub(crate) async fn listen(self) -> anyhow::Result<SocketAddr> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let app = Router::new().route("/orders", post(order)).with_state(Arc::new(self));
        tokio::spawn(axum::serve(listener, app).into_future());
        Ok(address)
    }

    async fn send(&self, order: &str) -> anyhow::Result<()> {
        time::sleep(WORK).await;
        let headers = OwnedHeaders::new().insert(Header { key: "content-type", value: Some("text/plain") });
        let mut record = FutureRecord::to(&self.topic).key("order-17").payload(order).headers(headers);
        if self.demo.loses(&KAFKA) {
            record.headers = None;
        }
        let sent = self.producer.send(record, LIMIT).await;
        sent.map_err(|(error, _)| error).context("Kafka did not take the order")?;
        Ok(())
    }
}

async fn order(
    State(gateway): State<Arc<Gateway>>,
    headers: HeaderMap,
    order: String,
) -> (StatusCode, String) {
    gateway.demo.saw(&HTTP, &headers);
    let parent = carrier_core::http::extract(&headers);
    let serving = gateway.service.begin("POST /orders", SpanKind::Server, &parent);
    let sent = gateway.send(&order).with_context(serving.clone()).await;
    serving.span().end();
    match sent {
        Ok(()) => (StatusCode::ACCEPTED, String::new()),
        Err(error) => (StatusCode::BAD_GATEWAY, carrier_examples::one_line(&error)),
    }
}

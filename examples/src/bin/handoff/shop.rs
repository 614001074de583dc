//! The shop: an HTTP client inside an instrumented program. The trace begins here.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use opentelemetry::baggage::BaggageExt as _;
use opentelemetry::trace::{SpanKind, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};

use crate::hops::{Demo, HTTP};
use crate::service::Service;

const LIMIT: Duration = Duration::from_secs(15);

/// Orders something from the gateway, which answers once Kafka has the order.
pub(crate) async fn buy(shop: Service, gateway: SocketAddr, demo: Demo) -> anyhow::Result<()> {
    // Baggage is set once, here. No service on the way knows of it.
    let tenant = Context::new().with_baggage([KeyValue::new("tenant", "acme")]);
    let buying = shop.begin("buy", SpanKind::Internal, &tenant);
    let asking = shop.begin("POST /orders", SpanKind::Client, &buying);

    // A proxy from the environment has no way to this machine's loopback.
    let client = reqwest::Client::builder().no_proxy().timeout(LIMIT).build()?;
    let mut request = client.post(format!("http://{gateway}/orders")).body("three lamps").build()?;
    carrier_core::http::inject(&asking, request.headers_mut());
    if demo.loses(&HTTP) {
        request.headers_mut().clear();
    }
    let response = client.execute(request).await.context("the gateway did not answer")?;
    let status = response.status();
    let answer = response.text().await?;
    ensure!(status.is_success(), "{answer}");

    asking.span().end();
    buying.span().end();
    Ok(())
}

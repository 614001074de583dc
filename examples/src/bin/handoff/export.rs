//! The same spans and metrics for a collector, each service's under its own name.

use carrier_examples::{one_line, otlp_endpoint, otlp_metrics_endpoint, without_password};
use opentelemetry_sdk::metrics::exporter::PushMetricExporter as _;
use opentelemetry_sdk::trace::SpanExporter as _;
use tokio::task;

use crate::screen::{Colour, Screen, say};
use crate::service::Service;

/// What became of the spans, or of the metrics.
struct Sent {
    what: &'static str,
    address: String,
    result: anyhow::Result<usize>,
}

/// Sends everything to where the environment says, and tells what became of it; `false` where something was not taken.
pub(crate) async fn export(screen: &Screen, services: [Service; 4]) -> bool {
    // The exporters' HTTP client blocks.
    let sent = task::spawn_blocking(move || {
        let spans = otlp_endpoint().map(|to| sent("spans", &to, &services, spans));
        let metrics = otlp_metrics_endpoint().map(|to| sent("metrics", &to, &services, metrics));
        spans.into_iter().chain(metrics).collect()
    });
    let sent: Vec<Sent> = match sent.await {
        Ok(sent) => sent,
        Err(error) => {
            say!("\n  {} nothing was sent: {error}", screen.paint(Colour::Bad, "✗"));
            return false;
        }
    };
    tell(screen, &sent);
    sent.iter().all(|sent| sent.result.is_ok())
}

fn sent(
    what: &'static str,
    address: &str,
    services: &[Service],
    export: fn(&Service) -> anyhow::Result<usize>,
) -> Sent {
    Sent { what, address: without_password(address), result: services.iter().map(export).sum() }
}

fn spans(service: &Service) -> anyhow::Result<usize> {
    let spans: Vec<_> = service.steps()?.into_iter().map(|step| step.span).collect();
    if spans.is_empty() {
        return Ok(0);
    }
    let mut exporter = carrier_examples::otlp_exporter()?;
    exporter.set_resource(&service.resource());
    let count = spans.len();
    futures::executor::block_on(exporter.export(spans))?;
    Ok(count)
}

fn metrics(service: &Service) -> anyhow::Result<usize> {
    let Some(metrics) = service.metrics()? else { return Ok(0) };
    let exporter = carrier_examples::otlp_metrics_exporter()?;
    futures::executor::block_on(exporter.export(&metrics))?;
    Ok(metrics.scope_metrics().map(|scope| scope.metrics().count()).sum())
}

fn tell(screen: &Screen, sent: &[Sent]) {
    if !sent.is_empty() {
        say!();
    }
    for Sent { what, address, result } in sent {
        if let Ok(count) = result {
            say!("  {} {count} {what} sent to {address} (OTLP over HTTP)", screen.paint(Colour::Good, "✓"));
        }
    }
    let mut failed = sent.iter().filter_map(|sent| Some((sent, sent.result.as_ref().err()?))).peekable();
    while let Some((Sent { what, address, .. }, error)) = failed.next() {
        // A collector that is not there is one fault.
        let other = failed.next_if(|(next, _)| next.address == *address);
        let what = match other {
            Some((other, _)) => format!("{what} and the {}", other.what),
            None => (*what).to_owned(),
        };
        let cross = screen.paint(Colour::Bad, "✗");
        say!("  {cross} the {what} were not taken at {address}: {}", one_line(error));
    }
}

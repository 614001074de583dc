//! How long records were in the topic: the metric of it, read after each batch.

use anyhow::Context as _;
use carrier_kafka::instrumentation::attribute::QUEUE_DURATION;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, HistogramDataPoint, MetricData};
use opentelemetry_sdk::metrics::{
    InMemoryMetricExporter, InMemoryMetricExporterBuilder, SdkMeterProvider, Temporality,
};

pub(crate) struct Waiting {
    provider: SdkMeterProvider,
    exporter: InMemoryMetricExporter,
}

/// In milliseconds.
#[derive(Clone, Copy)]
pub(crate) struct Waited {
    pub(crate) least: f64,
    pub(crate) most: f64,
}

impl Waiting {
    pub(crate) fn measured_globally() -> Self {
        let exporter = InMemoryMetricExporterBuilder::new().with_temporality(Temporality::Delta).build();
        let provider = SdkMeterProvider::builder().with_periodic_exporter(exporter.clone()).build();
        opentelemetry::global::set_meter_provider(provider.clone());
        Self { provider, exporter }
    }

    pub(crate) fn since_last_time(&self) -> anyhow::Result<Option<Waited>> {
        self.provider.force_flush().context("the metrics are lost")?;
        let exported = self.exporter.get_finished_metrics().context("the metrics are lost")?;
        self.exporter.reset();
        let metrics = exported.iter().flat_map(|all| all.scope_metrics()).flat_map(|scope| scope.metrics());
        let mut waited = None;
        for metric in metrics.filter(|metric| metric.name() == QUEUE_DURATION) {
            if let AggregatedMetrics::F64(MetricData::Histogram(histogram)) = metric.data() {
                waited = histogram.data_points().fold(waited, widened);
            }
        }
        Ok(waited)
    }
}

fn widened(waited: Option<Waited>, point: &HistogramDataPoint<f64>) -> Option<Waited> {
    let (least, most) = (point.min()? * 1_000.0, point.max()? * 1_000.0);
    Some(match waited {
        Some(other) => Waited { least: other.least.min(least), most: other.most.max(most) },
        None => Waited { least, most },
    })
}

//! Metrics that a test can look at.

use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, Metric, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};

use super::conventions;
use super::whole::{Attributes, pair, sorted};

/// A meter provider of one test's own.
#[derive(Clone, Debug)]
pub struct Meters {
    provider: SdkMeterProvider,
    exporter: InMemoryMetricExporter,
}

/// One time series as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// The instrument's name.
    pub metric: String,
    /// Its unit.
    pub unit: String,
    /// Sorted by key.
    pub attributes: Attributes,
    /// The value of a counter or of a gauge of integers, or how many values a histogram has.
    pub count: u64,
    /// The sum of a histogram's values, or the value of a gauge of doubles; zero for the others.
    pub sum: f64,
    /// A histogram's buckets; none for the others.
    pub bounds: Vec<f64>,
}

impl Point {
    /// The value of an attribute.
    pub fn attribute(&self, key: &str) -> Option<&Value> {
        self.attributes.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }
}

impl Default for Meters {
    fn default() -> Self {
        Self::new()
    }
}

impl Meters {
    /// Creates a provider; nothing global is touched.
    pub fn new() -> Self {
        let exporter = InMemoryMetricExporter::default();
        let provider = SdkMeterProvider::builder().with_periodic_exporter(exporter.clone()).build();
        Self { provider, exporter }
    }

    /// Returns the provider, for code that takes one.
    pub fn provider(&self) -> &SdkMeterProvider {
        &self.provider
    }

    /// Returns every time series, sorted by metric.
    ///
    /// # Panics
    ///
    /// If they cannot be collected, one is of a kind that this project does not use, or one differs from the semantic
    /// conventions.
    pub fn points(&self) -> Vec<Point> {
        self.exporter.reset();
        if let Err(error) = self.provider.force_flush() {
            panic!("the metrics cannot be collected: {error}");
        }
        let exported = match self.exporter.get_finished_metrics() {
            Ok(exported) => exported,
            Err(error) => panic!("the metrics cannot be read: {error}"),
        };
        let scopes = exported.iter().flat_map(|resource| resource.scope_metrics());
        let mut points: Vec<Point> = scopes.flat_map(|scope| scope.metrics()).flat_map(points_of).collect();
        points.sort_by(|left, right| left.metric.cmp(&right.metric));
        for point in &points {
            let wrong = conventions::of_point(point);
            assert!(wrong.is_empty(), "{wrong:?}: {point:#?}");
        }
        points
    }

    /// Returns the time series of one metric.
    ///
    /// # Panics
    ///
    /// As [`points`](Self::points).
    pub fn of(&self, metric: &str) -> Vec<Point> {
        self.points().into_iter().filter(|point| point.metric == metric).collect()
    }

    /// Returns the one time series of a metric.
    ///
    /// # Panics
    ///
    /// Where there is none, or more than one.
    pub fn point(&self, metric: &str) -> Point {
        match self.of(metric).as_slice() {
            [point] => point.clone(),
            points => panic!("not exactly one time series of {metric}: {points:#?}"),
        }
    }
}

fn points_of(metric: &Metric) -> Vec<Point> {
    let point = |attributes: Vec<&KeyValue>, count, sum, bounds| Point {
        metric: metric.name().to_owned(),
        unit: metric.unit().to_owned(),
        attributes: sorted(attributes.into_iter().map(pair)),
        count,
        sum,
        bounds,
    };
    match metric.data() {
        AggregatedMetrics::F64(MetricData::Histogram(histogram)) => histogram
            .data_points()
            .map(|data| point(data.attributes().collect(), data.count(), data.sum(), data.bounds().collect()))
            .collect(),
        AggregatedMetrics::U64(MetricData::Histogram(histogram)) => histogram
            .data_points()
            .map(|data| {
                let (sum, bounds) = (data.sum() as f64, data.bounds().collect());
                point(data.attributes().collect(), data.count(), sum, bounds)
            })
            .collect(),
        AggregatedMetrics::U64(MetricData::Sum(sum)) => sum
            .data_points()
            .map(|data| point(data.attributes().collect(), data.value(), 0.0, Vec::new()))
            .collect(),
        AggregatedMetrics::U64(MetricData::Gauge(gauge)) => gauge
            .data_points()
            .map(|data| point(data.attributes().collect(), data.value(), 0.0, Vec::new()))
            .collect(),
        AggregatedMetrics::F64(MetricData::Gauge(gauge)) => gauge
            .data_points()
            .map(|data| point(data.attributes().collect(), 1, data.value(), Vec::new()))
            .collect(),
        other => panic!("{} is neither a histogram nor a counter nor a gauge: {other:?}", metric.name()),
    }
}

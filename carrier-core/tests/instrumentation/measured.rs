//! What a metric says of one set of attributes, in a form that can be compared.

use opentelemetry::{KeyValue, Value};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics};

use crate::seen::{Attributes, sorted};

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) unit: String,
    pub(crate) attributes: Attributes,
    /// How often a histogram was recorded to, or what a counter says.
    pub(crate) count: u64,
    /// Of a histogram.
    pub(crate) sum: Option<f64>,
    pub(crate) bounds: Vec<f64>,
    pub(crate) scope: [String; 3],
}

impl Measured {
    pub(crate) fn all_of(metrics: &ResourceMetrics) -> Vec<Self> {
        let mut all = Vec::new();
        for scoped in metrics.scope_metrics() {
            let scope = scoped.scope();
            let scope =
                [scope.name(), scope.version().unwrap_or_default(), scope.schema_url().unwrap_or_default()]
                    .map(str::to_owned);
            for metric in scoped.metrics() {
                let point = |attributes, count, sum, bounds| Self {
                    name: metric.name().to_owned(),
                    unit: metric.unit().to_owned(),
                    attributes,
                    count,
                    sum,
                    bounds,
                    scope: scope.clone(),
                };
                match metric.data() {
                    AggregatedMetrics::F64(MetricData::Histogram(histogram)) => {
                        all.extend(histogram.data_points().map(|data| {
                            let bounds = data.bounds().collect();
                            point(sorted(data.attributes()), data.count(), Some(data.sum()), bounds)
                        }));
                    }
                    AggregatedMetrics::U64(MetricData::Histogram(histogram)) => {
                        all.extend(histogram.data_points().map(|data| {
                            let (bounds, sum) = (data.bounds().collect(), data.sum() as f64);
                            point(sorted(data.attributes()), data.count(), Some(sum), bounds)
                        }));
                    }
                    AggregatedMetrics::U64(MetricData::Sum(sum)) => {
                        assert!(sum.is_monotonic());
                        all.extend(
                            sum.data_points()
                                .map(|data| point(sorted(data.attributes()), data.value(), None, Vec::new())),
                        );
                    }
                    other => panic!("{} is {other:?}", metric.name()),
                }
            }
        }
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }

    /// The name, the attributes and the count: all that a test of what is counted compares.
    pub(crate) fn told(self) -> (String, Attributes, u64) {
        (self.name, self.attributes, self.count)
    }
}

/// What is expected of [`Measured::told`].
pub(crate) fn told(name: &str, attributes: &[KeyValue], count: u64) -> (String, Attributes, u64) {
    (name.to_owned(), sorted(attributes), count)
}

pub(crate) fn text(key: &'static str, value: &'static str) -> KeyValue {
    KeyValue::new(key, Value::from(value))
}

//! librdkafka's statistics as metrics, without a broker or with one in this process.

use std::collections::BTreeMap;

use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, Metric, MetricData};
use opentelemetry_sdk::metrics::{
    InMemoryMetricExporter, InMemoryMetricExporterBuilder, SdkMeterProvider, Temporality,
};
use rdkafka::Statistics;
use rdkafka::statistics::{Broker, Partition, Topic, Window};

use super::*;

/// Metrics of one test's own.
struct Measured {
    kafka: Instrumentation,
    provider: SdkMeterProvider,
    exporter: InMemoryMetricExporter,
}

/// Time series: the metric, its unit and its attributes, with the value.
type Series = BTreeMap<String, f64>;

fn measured(choose: impl FnOnce(KafkaInstrumentationBuilder) -> KafkaInstrumentationBuilder) -> Measured {
    measured_as(Temporality::Cumulative, choose)
}

fn measured_as(
    temporality: Temporality,
    choose: impl FnOnce(KafkaInstrumentationBuilder) -> KafkaInstrumentationBuilder,
) -> Measured {
    let exporter = InMemoryMetricExporterBuilder::new().with_temporality(temporality).build();
    let provider = SdkMeterProvider::builder().with_periodic_exporter(exporter.clone()).build();
    let builder = Instrumentation::builder().meter_provider(provider.clone());
    Measured { kafka: choose(builder).build(), provider, exporter }
}

impl Measured {
    fn all(&self) -> Series {
        self.exporter.reset();
        self.provider.force_flush().unwrap();
        let exported = self.exporter.get_finished_metrics().unwrap();
        let scopes = exported.iter().flat_map(|resource| resource.scope_metrics());
        let points: Vec<_> = scopes.flat_map(|scope| scope.metrics()).flat_map(series_of).collect();
        let series: Series = points.iter().cloned().collect();
        assert_eq!(series.len(), points.len(), "a time series is there twice: {points:#?}");
        series
    }

    /// The series of one metric, without its name.
    fn of(&self, metric: &str) -> Series {
        let rest = |(series, value): (String, f64)| {
            Some((series.strip_prefix(metric)?.strip_prefix(' ')?.to_owned(), value))
        };
        self.all().into_iter().filter_map(rest).collect()
    }
}

fn series_of(metric: &Metric) -> Vec<(String, f64)> {
    let named = |attributes: &mut dyn Iterator<Item = &opentelemetry::KeyValue>, value| {
        let mut all: Vec<_> = attributes.map(|pair| format!("{}={}", pair.key, pair.value)).collect();
        all.sort();
        (format!("{} {} {}", metric.name(), metric.unit(), all.join(" ")), value)
    };
    match metric.data() {
        AggregatedMetrics::U64(MetricData::Gauge(gauge)) => {
            gauge.data_points().map(|point| named(&mut point.attributes(), point.value() as f64)).collect()
        }
        AggregatedMetrics::F64(MetricData::Gauge(gauge)) => {
            gauge.data_points().map(|point| named(&mut point.attributes(), point.value())).collect()
        }
        AggregatedMetrics::U64(MetricData::Sum(sum)) => {
            assert!(sum.is_monotonic());
            sum.data_points().map(|point| named(&mut point.attributes(), point.value() as f64)).collect()
        }
        _ => Vec::new(),
    }
}

/// An assigned partition with so many messages after its committed and its stored offset.
fn assigned(partition: i32, consumer_lag: i64, consumer_lag_stored: i64) -> Partition {
    Partition { partition, desired: true, consumer_lag, consumer_lag_stored, ..Partition::default() }
}

fn topic(name: &str, partitions: impl IntoIterator<Item = Partition>) -> (String, Topic) {
    let partitions = partitions.into_iter().map(|partition| (partition.partition, partition)).collect();
    (name.to_owned(), Topic { topic: name.to_owned(), partitions, ..Topic::default() })
}

fn consumer(number: u32, topics: impl IntoIterator<Item = (String, Topic)>) -> Statistics {
    Statistics {
        name: format!("rdkafka#consumer-{number}"),
        client_type: "consumer".to_owned(),
        topics: topics.into_iter().collect(),
        ..Statistics::default()
    }
}

fn broker(name: &str, rtt: Window) -> (String, Broker) {
    let rtt = Some(rtt);
    (
        name.to_owned(),
        Broker { name: name.to_owned(), tx: 1, txretries: 3, outbuf_cnt: 2, rtt, ..Broker::default() },
    )
}

#[test]
fn the_metrics_of_a_consumer_are_those_of_its_last_statistics() {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", "kafka:9092").set("group.id", "billing");
    let measured = measured(|builder| builder.config(&config).cluster_id("c-1"));
    let recorder = measured.kafka.statistics();
    recorder.record(&consumer(1, [topic("orders", [assigned(17, 99, 98)])]));
    let rtt = Window { cnt: 4, avg: 1_500, p99: 20_000, ..Window::default() };
    let unused = Broker { tx: 0, ..broker("kafka:9092/bootstrap", rtt.clone()).1 };
    recorder.record(&Statistics {
        rxmsgs: 10,
        rxmsg_bytes: 1_000,
        brokers: [
            broker("kafka:9092/1", rtt),
            broker("GroupCoordinator", Window::default()),
            ("b".to_owned(), unused),
        ]
        .into(),
        ..consumer(
            1,
            [topic("orders", [Partition { fetchq_cnt: 6, fetchq_size: 600, ..assigned(17, 5, 4) }])],
        )
    });
    let mut found = measured.all();
    let client = "carrier.kafka.client.name=rdkafka#consumer-1";
    let rest = "messaging.consumer.group.name=billing messaging.kafka.cluster.id=c-1 messaging.system=kafka \
                server.address=kafka server.port=9092";
    let partition = "messaging.consumer.group.name=billing messaging.destination.name=orders \
                     messaging.destination.partition.id=17 messaging.kafka.cluster.id=c-1 messaging.system=kafka \
                     server.address=kafka server.port=9092";
    let age = found.remove(&format!("carrier.kafka.client.statistics_age s {client} {rest}")).unwrap();
    assert!((0.0..60.0).contains(&age), "{age}");
    let of = |broker: &str| format!("carrier.kafka.broker.name={broker} {client} {rest}");
    let (of_one, of_coordinator) = (of("kafka:9092/1"), of("GroupCoordinator"));
    let expected = [
        (format!("carrier.kafka.broker.queue.requests {{request}} {of_coordinator}"), 2.0),
        (format!("carrier.kafka.broker.queue.requests {{request}} {of_one}"), 2.0),
        (format!("carrier.kafka.broker.rtt.average s {of_one}"), 0.0015),
        (format!("carrier.kafka.broker.rtt.p99 s {of_one}"), 0.02),
        (format!("carrier.kafka.client.retries {{request}} {client} {rest}"), 9.0),
        (format!("carrier.kafka.consumer.lag {{message}} {client} {partition}"), 5.0),
        (format!("carrier.kafka.consumer.queue.messages {{message}} {client} {rest}"), 6.0),
        (format!("carrier.kafka.consumer.queue.size By {client} {rest}"), 600.0),
        (format!("carrier.kafka.consumer.received.messages {{message}} {client} {rest}"), 10.0),
        (format!("carrier.kafka.consumer.received.size By {client} {rest}"), 1_000.0),
        (format!("carrier.kafka.consumer.stored_lag {{message}} {client} {partition}"), 4.0),
    ];
    assert_eq!(found, expected.into());
}

const LAG: &str = "carrier.kafka.consumer.lag";

#[test]
fn only_an_assigned_partition_has_a_lag_and_only_one_that_is_known() {
    let measured = measured(|builder| builder);
    let recorder = measured.kafka.statistics();
    let not_assigned = Partition { desired: false, ..assigned(1, 7, 7) };
    let no_partition = Partition { desired: false, ..assigned(-1, 7, 7) };
    let all = [assigned(0, 0, -1), not_assigned, assigned(2, -1, 3), no_partition];
    recorder.record(&consumer(1, [topic("t", all)]));
    let of = |partition| {
        format!(
            "{{message}} carrier.kafka.client.name=rdkafka#consumer-1 messaging.destination.name=t \
         messaging.destination.partition.id={partition} messaging.system=kafka"
        )
    };
    assert_eq!(measured.of(LAG), [(of(0), 0.0)].into());
    assert_eq!(measured.of("carrier.kafka.consumer.stored_lag"), [(of(2), 3.0)].into());
}

#[test]
fn a_revoked_partition_and_a_dropped_client_have_no_series_any_more() {
    let measured = measured(|builder| builder);
    let recorder = measured.kafka.statistics();
    recorder.record(&consumer(1, [topic("t", [assigned(0, 1, 1), assigned(1, 1, 1)])]));
    assert_eq!(measured.of(LAG).len(), 2);
    recorder.record(&consumer(1, [topic("t", [assigned(0, 1, 1)])]));
    assert_eq!(measured.of(LAG).len(), 1);
    let clone = recorder.clone();
    drop(recorder);
    assert_eq!(measured.of(LAG).len(), 1);
    drop(clone);
    assert_eq!(measured.all(), Series::new());
}

#[test]
fn two_clients_with_one_id_and_two_clusters_have_their_own_series() {
    let measured = measured(|builder| builder.cluster_id("a"));
    let other = Instrumentation::builder().meter_provider(measured.provider.clone()).cluster_id("b").build();
    let recorders = [measured.kafka.statistics(), measured.kafka.statistics(), other.statistics()];
    for (number, recorder) in (1..).zip(&recorders) {
        let rxmsgs = i64::from(number);
        recorder.record(&Statistics { rxmsgs, ..consumer(number, [topic("t", [assigned(0, rxmsgs, 0)])]) });
    }
    for metric in [LAG, "carrier.kafka.consumer.received.messages"] {
        let found = measured.of(metric);
        assert_eq!(found.values().sum::<f64>(), 6.0, "{found:#?}");
        assert_eq!(found.keys().filter(|series| series.contains("cluster.id=a")).count(), 2, "{found:#?}");
    }
}

#[test]
fn the_lags_of_topics_with_one_template_add_up() {
    let measured = measured(|builder| {
        builder.destination_template(|topic| topic.starts_with("tenant-").then(|| "tenant-{id}".into()))
    });
    let recorder = measured.kafka.statistics();
    let tenant = |name, lags: [i64; 2]| topic(name, [assigned(0, lags[0], -1), assigned(1, lags[1], -1)]);
    recorder.record(&consumer(
        1,
        [tenant("tenant-1", [1, -1]), tenant("tenant-2", [10, 20]), tenant("other", [100, 200])],
    ));
    let found = measured.of(LAG);
    let lag = |part: &str| found.iter().find(|(series, _)| series.contains(part)).map(|(_, lag)| *lag);
    assert_eq!(lag("template=tenant-{id} carrier.kafka"), None);
    assert_eq!(found.len(), 4, "{found:#?}");
    assert_eq!(lag("partition.id=0 messaging.destination.template=tenant-{id}"), Some(11.0));
    assert_eq!(lag("partition.id=1 messaging.destination.template=tenant-{id}"), Some(20.0));
    assert_eq!(lag("name=other messaging.destination.partition.id=1"), Some(200.0));
}

/// What the SDK exports of a counter with these totals.
fn exported(temporality: Temporality, totals: [u64; 5]) -> [f64; 5] {
    let measured = measured_as(temporality, |builder| builder.metrics(false));
    let total = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let (observed, meter) = (Arc::clone(&total), measured.provider.meter("test"));
    let counter = meter.u64_observable_counter("total").with_callback(move |observer| {
        observer.observe(
            observed.load(std::sync::atomic::Ordering::Relaxed),
            &[opentelemetry::KeyValue::new("a", 1)],
        );
    });
    let _counter = counter.build();
    totals.map(|now| {
        total.store(now, std::sync::atomic::Ordering::Relaxed);
        measured.all().into_values().next().unwrap()
    })
}

#[test]
fn a_total_that_falls_lowers_no_counter() {
    const RECEIVED: &str = "carrier.kafka.consumer.received.messages";
    for temporality in [Temporality::Cumulative, Temporality::Delta] {
        let measured = measured_as(temporality, |builder| builder);
        let recorder = measured.kafka.statistics();
        // A topic is removed; two threads poll, and one of them is late.
        let seen = [(1, 100), (2, 60), (4, 65), (3, 62), (5, 66)].map(|(ts, rxmsgs)| {
            recorder.record(&Statistics { ts, rxmsgs, ..consumer(1, []) });
            measured.of(RECEIVED).into_values().next().unwrap()
        });
        assert_eq!(seen, exported(temporality, [100, 100, 105, 105, 106]), "{temporality:?}");
    }
    assert_eq!(exported(Temporality::Cumulative, [1, 2, 3, 4, 5]), [1.0, 2.0, 3.0, 4.0, 5.0]);
}

/// A user's context that counts.
#[derive(Clone, Default)]
struct Counting(Arc<Mutex<Vec<String>>>);

impl ClientContext for Counting {
    fn stats(&self, statistics: Statistics) {
        self.0.lock().unwrap().push(statistics.name);
    }
}

impl ProducerContext for Counting {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

#[test]
fn a_producer_of_ours_records_its_statistics_and_the_users_context_gets_them_too() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("orders", 1, 1).unwrap();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.bootstrap_servers()).set("statistics.interval.ms", "50");
    let measured = measured(|builder| builder);
    let context = Counting::default();
    let producer = measured.kafka.base_producer_with_context(&config, context.clone()).unwrap();
    for _ in 0..3 {
        producer.send(BaseRecord::<(), str>::to("orders").payload("p")).unwrap();
    }
    producer.flush(Duration::from_secs(10)).unwrap();
    let sent = || measured.of("carrier.kafka.producer.sent.messages");
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while sent().into_values().next() != Some(3.0) && std::time::Instant::now() < deadline {
        producer.poll(Duration::from_millis(10));
    }
    let (series, count) = sent().pop_first().unwrap();
    let name = context.0.lock().unwrap().pop().unwrap();
    assert!(
        name.contains("#producer-") && series.contains(&format!("client.name={name} ")),
        "{name}, {series}"
    );
    assert_eq!(count, 3.0);
    assert_eq!(measured.of("carrier.kafka.producer.queue.messages").into_values().collect::<Vec<_>>(), [0.0]);
    assert!(measured.of("carrier.kafka.producer.sent.size").into_values().all(|size| size >= 3.0));
    assert_eq!(measured.of("carrier.kafka.consumer.received.messages"), Series::new());
    drop(producer);
    assert_eq!(sent(), Series::new());
}

#[test]
fn without_metrics_statistics_are_ignored() {
    let measured = measured(|builder| builder.metrics(false));
    let recorder = measured.kafka.statistics();
    recorder.record(&consumer(1, [topic("t", [assigned(0, 1, 1)])]));
    assert_eq!(measured.all(), Series::new());
}

//! A consumer that is slower than its producer: its lag rises, and falls when nothing is sent any more.
//!
//! To copy: the two lines with `statistics` in `run`. What is printed is the metric that an exporter gets.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use carrier_examples::kafka::{Kafka, LIMIT};
use carrier_examples::say;
use carrier_kafka::Instrumentation;
use carrier_kafka::instrumentation::{ClientStatistics, FutureProducer, attribute};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};
use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
use rdkafka::producer::FutureRecord;
use tokio::time;

/// How many records are sent in a burst.
const RECORDS: u64 = 150;

/// The time between two records, and the time that the consumer takes for one.
const SENT_EVERY: Duration = Duration::from_millis(10);
const HANDLED_IN: Duration = Duration::from_millis(25);

const SHOWN_EVERY: Duration = Duration::from_millis(250);

/// The lag that the consumer has at least when the burst is over; if both were exact, it would be 90.
const RISES_TO: u64 = 30;

#[tokio::main]
async fn main() -> ExitCode {
    let mut lags = Vec::new();
    let result = time::timeout(Duration::from_secs(45), run(&mut lags)).await;
    let result = result.unwrap_or_else(|_| Err(anyhow!("the lag did not fall to 0: {lags:?}")));
    carrier_examples::exit_code(result)
}

async fn run(lags: &mut Vec<u64>) -> anyhow::Result<()> {
    let broker = Kafka::find("carrier-lag-orders", 1).await?;
    say!("\n  lag: a consumer that is slower than its producer\n\n  Kafka  {}\n", broker.description);
    let mut config = broker.consumer_config();
    config.set("auto.offset.reset", "earliest").set("enable.auto.commit", "false");
    // librdkafka emits statistics only if this is set. A service sets some seconds.
    config.set("statistics.interval.ms", "100");
    // In place of an exporter: the metrics are shown here.
    let shown = InMemoryMetricExporter::default();
    let meters = SdkMeterProvider::builder().with_periodic_exporter(shown.clone()).build();
    let kafka = Instrumentation::builder().config(&config).meter_provider(meters.clone()).build();
    let consumer: StreamConsumer<ClientStatistics> = config.create_with_context(kafka.statistics())?;
    consumer.subscribe(&[&broker.topic])?;

    let producer = kafka.future_producer(&broker.producer_config())?;
    // The first record shows that the consumer has joined its group.
    send(&producer, &broker.topic).await?;
    consumer.commit_message(&consumer.recv().await?, CommitMode::Sync)?;
    let handled = AtomicU64::new(0);
    let burst = async {
        let mut clock = time::interval(SENT_EVERY);
        for _ in 0..RECORDS {
            clock.tick().await;
            send(&producer, &broker.topic).await?;
        }
        Ok(())
    };
    tokio::try_join!(burst, consume(&kafka, &consumer, &handled), show(&meters, &shown, &handled, lags))?;
    broker.tidy().await;
    let highest = lags.iter().copied().max().unwrap_or_default();
    if highest < RISES_TO {
        return Err(anyhow!("the lag rose to {highest}, and to {RISES_TO} was expected"));
    }
    say!("\n  ✓ the lag rose to {highest} and fell to 0");
    Ok(())
}

async fn send(producer: &FutureProducer, topic: &str) -> anyhow::Result<()> {
    let record = FutureRecord::<str, str>::to(topic).payload("an order");
    producer.send(record, LIMIT).await.map_err(|(error, _)| error).context("a record was not sent")?;
    Ok(())
}

/// Handles and commits one record after the other, until the lag of the last one is recorded too.
async fn consume(
    kafka: &Instrumentation,
    consumer: &StreamConsumer<ClientStatistics>,
    handled: &AtomicU64,
) -> anyhow::Result<()> {
    while handled.load(Ordering::Relaxed) < RECORDS {
        let message = kafka.process(consumer.recv().await?);
        message.run(time::sleep(HANDLED_IN)).await;
        consumer.commit_message(&message, CommitMode::Async)?;
        handled.fetch_add(1, Ordering::Relaxed);
    }
    // Statistics arrive while the consumer is polled.
    let _nothing = time::timeout(SHOWN_EVERY * 4, consumer.recv()).await;
    Ok(())
}

/// Prints the metric until it is 0 after the last record.
async fn show(
    meters: &SdkMeterProvider,
    shown: &InMemoryMetricExporter,
    handled: &AtomicU64,
    lags: &mut Vec<u64>,
) -> anyhow::Result<()> {
    let (began, mut clock) = (Instant::now(), time::interval(SHOWN_EVERY));
    loop {
        clock.tick().await;
        let is_over = handled.load(Ordering::Relaxed) == RECORDS;
        meters.force_flush()?;
        if let Some(lag) = lag(&shown.get_finished_metrics()?) {
            let seconds = began.elapsed().as_secs_f64();
            let bar = "█".repeat(usize::try_from(lag / 2)?);
            say!("  {seconds:4.1} s  {} {lag:3}  {bar}", attribute::CONSUMER_LAG);
            lags.push(lag);
            if is_over && lag == 0 {
                return Ok(());
            }
        }
    }
}

/// Returns the lag that was exported last.
fn lag(exported: &[ResourceMetrics]) -> Option<u64> {
    let mut metrics = exported.last()?.scope_metrics().flat_map(|scope| scope.metrics());
    let lag = metrics.find(|metric| metric.name() == attribute::CONSUMER_LAG)?;
    let AggregatedMetrics::U64(MetricData::Gauge(gauge)) = lag.data() else { return None };
    gauge.data_points().next().map(|point| point.value())
}

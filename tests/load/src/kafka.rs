//! Kafka at full speed: `BaseProducer`, acks=1.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{bail, ensure};
use carrier_kafka::Instrumentation;
use carrier_measure::{PARENT, own};
use opentelemetry::Context;
use opentelemetry::global::{get_text_map_propagator, set_text_map_propagator};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::error::KafkaResult;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::{ClientConfig, ClientContext};

use crate::BODY;
use crate::context;
use crate::peers::{Copied, Short};
use crate::spans::{Ending, Spans};
use crate::usage::{Bounds, Figures, measured};

/// Less than librdkafka's queue holds: if it were full, the sender would have to try again.
const IN_FLIGHT: i32 = 50_000;

/// Messages between two polls.
const PIECE: u32 = 100;

/// Creates a topic that the run has for itself, and deletes it: a hundred runs would fill a disk.
pub(crate) async fn with_topic<T>(
    work: impl AsyncFnOnce(ClientConfig, &str) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let kafka = carrier_tests::kafka().await;
    let mut config = kafka.client_config();
    config.set("message.timeout.ms", "30000");
    let topic = carrier_tests::unique_name("load");
    kafka.create_topic(&topic, 1).await;
    context::install();
    let result = work(config, &topic).await;
    let admin: AdminClient<DefaultClientContext> = kafka.client_config().create()?;
    admin.delete_topics(&[&topic], &AdminOptions::new()).await?;
    result
}

type Headers = Box<dyn Fn() -> Option<OwnedHeaders>>;

fn injected(inject: impl Fn(&mut OwnedHeaders) + 'static) -> Headers {
    Box::new(move || {
        let mut headers = OwnedHeaders::new_with_capacity(1);
        inject(&mut headers);
        Some(headers)
    })
}

/// The headers of a message, without level 2.
fn headers(variant: &str) -> anyhow::Result<Headers> {
    let stock = |inject: fn(&dyn TextMapPropagator, &mut OwnedHeaders)| {
        set_text_map_propagator(TraceContextPropagator::new());
        injected(move |headers| get_text_map_propagator(|stock| inject(stock, headers)))
    };
    Ok(match variant {
        "bare" => Box::new(|| None),
        "ready" => Box::new(|| {
            let header = Header { key: "traceparent", value: Some(PARENT) };
            Some(OwnedHeaders::new_with_capacity(1).insert(header))
        }),
        "level1" => injected(|headers| drop(carrier_kafka::inject(&Context::current(), headers))),
        "level1-own" => {
            let own = own();
            injected(move |headers| drop(carrier_kafka::inject_with(&own, &Context::current(), headers)))
        }
        "short" => stock(|stock, headers| stock.inject(&mut Short(headers))),
        "copied" => stock(|stock, headers| stock.inject(&mut Copied(headers))),
        _ => bail!("there is no such variant"),
    })
}

pub(crate) async fn run(variant: &str, bounds: Bounds) -> anyhow::Result<Figures> {
    with_topic(async |mut config, topic| {
        config.set("acks", "1");
        let _parent = context::enter(variant);
        let deliveries = Deliveries::default();
        if context::is_level2(variant) {
            let kafka = context::instrumentation!(Instrumentation::builder().config(&config), variant);
            let producer = kafka.base_producer_with_context(&config, deliveries.clone())?;
            let send = || producer.send(record(topic)).map_err(|(error, _)| error);
            return drive(bounds, producer.inner(), &deliveries, send).await;
        }
        if variant.starts_with("span-") {
            let broker = carrier_tests::kafka().await.brokers().rsplit_once(':');
            let server = broker.map(|(address, port)| (address.into(), port.parse().unwrap_or(9_092)));
            let spans = Spans { server, ..Spans::new(&context::tracer_provider(variant), topic) };
            let ending = Ending(deliveries.clone());
            let producer: BaseProducer<_> = BaseProducer::from_config_and_context(&config, ending)?;
            let send = || producer.send(spans.record(topic, &BODY)).map_err(|(error, _)| error);
            return drive(bounds, &producer, &deliveries, send).await;
        }
        let headers = headers(variant)?;
        let producer: BaseProducer<_> = BaseProducer::from_config_and_context(&config, deliveries.clone())?;
        let send = || {
            let record = BaseRecord { headers: headers(), ..record(topic) };
            producer.send(record).map_err(|(error, _)| error)
        };
        drive(bounds, &producer, &deliveries, send).await
    })
    .await
}

pub(crate) fn record(topic: &str) -> BaseRecord<'_, (), [u8]> {
    BaseRecord::to(topic).payload(&BODY[..])
}

async fn drive<C: ProducerContext>(
    bounds: Bounds,
    producer: &BaseProducer<C>,
    deliveries: &Deliveries,
    mut send: impl FnMut() -> KafkaResult<()>,
) -> anyhow::Result<Figures> {
    let mut all = 0;
    let figures = measured(bounds, 10_000, async |bounds| {
        let sent = send_all(bounds, IN_FLIGHT, producer, &mut send)?;
        all += sent;
        Ok(sent)
    });
    let figures = figures.await?;
    deliveries.must_be(all)?;
    Ok(figures)
}

/// Sends, polls as well, and waits for the last delivery.
pub(crate) fn send_all<C: ProducerContext>(
    bounds: Bounds,
    in_flight: i32,
    producer: &BaseProducer<C>,
    send: &mut impl FnMut() -> KafkaResult<()>,
) -> anyhow::Result<u32> {
    let mut sent = 0;
    while bounds.allow(sent) {
        for _ in 0..PIECE.min(bounds.messages - sent) {
            send()?;
            sent += 1;
        }
        producer.poll(Duration::ZERO);
        while producer.in_flight_count() > in_flight {
            ensure!(!bounds.left().is_zero(), "the broker takes no more messages");
            producer.poll(Duration::from_millis(1));
        }
    }
    producer.flush(bounds.left())?;
    Ok(sent)
}

/// Counts what was delivered, and what was not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deliveries(Arc<[AtomicU32; 2]>);

impl Deliveries {
    pub(crate) fn must_be(&self, count: u32) -> anyhow::Result<()> {
        let [delivered, failed] = [&self.0[0], &self.0[1]].map(|count| count.load(Ordering::Relaxed));
        ensure!((delivered, failed) == (count, 0), "{delivered} of {count} delivered, {failed} failed");
        Ok(())
    }
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _: ()) {
        self.0[usize::from(result.is_err())].fetch_add(1, Ordering::Relaxed);
    }
}

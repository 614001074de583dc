//! A service whose log shows, for each line of a handler, the queue, the message and the trace.
//!
//! An order is read from Kafka, and its parcel is sent through RabbitMQ. To copy: `set_up`, `WithTraceId`, and the line
//! `tracing_spans(true)` of both builders.

use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use carrier_examples::kafka::{Kafka, LIMIT};
use futures::StreamExt as _;
use lapin::BasicProperties;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use opentelemetry::trace::{TraceContextExt as _, TracerProvider as _};
use opentelemetry_sdk::trace::SdkTracerProvider;
use rdkafka::Message as _;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::producer::FutureRecord;
use tracing::{Event, Level, Subscriber, info, instrument};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{Format, FormatEvent, FormatFields, Full, Writer};
use tracing_subscriber::fmt::{FmtContext, layer};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;

const ORDERS: [&str; 2] = ["17", "18"];

#[tokio::main]
async fn main() -> ExitCode {
    carrier_examples::exit_code(run().await)
}

/// The line of `fmt`, with the current trace id before it.
struct WithTraceId(Format<Full, ()>);

impl<S, N> FormatEvent<S, N> for WithTraceId
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        // The context of a handler is current inside of it, with or without an OpenTelemetry layer.
        let trace = opentelemetry::Context::map_current(|cx| cx.span().span_context().trace_id());
        write!(writer, "trace_id={trace} ")?;
        self.0.format_event(context, writer, event)
    }
}

fn set_up() -> anyhow::Result<SdkTracerProvider> {
    carrier_core::Propagation::w3c().install()?;
    let provider = carrier_examples::provider("logs")?.build();
    let exported = tracing_opentelemetry::layer().with_tracer(provider.tracer("logs"));
    let log = layer().event_format(WithTraceId(tracing_subscriber::fmt::format().without_time()));
    // The clients have spans and events of their own.
    let filter = Targets::new().with_targets([("logs", Level::INFO), ("carrier", Level::INFO)]);
    tracing_subscriber::registry().with(filter).with(exported).with(log.with_ansi(false)).init();
    Ok(provider)
}

async fn run() -> anyhow::Result<()> {
    let provider = set_up()?;
    let url = carrier_examples::rabbitmq::url("AMQP_URL names another RabbitMQ").await?;
    let broker = Kafka::find("orders", 1).await?;
    let kafka = carrier_kafka::Instrumentation::builder().config(&broker.consumer_config());
    let kafka = kafka.tracing_spans(true).build();
    let amqp = carrier_amqp::Instrumentation::builder().url(&url)?.tracing_spans(true).build();

    let connection = carrier_examples::connect(&url).await?;
    let channel = amqp.channel(connection.create_channel().await?);
    let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    channel.queue_declare("parcels".into(), options, FieldTable::default()).await?;
    let mut parcels = channel
        .basic_consume("parcels".into(), "".into(), BasicConsumeOptions::default(), FieldTable::default())
        .await?;
    let consumer: StreamConsumer = broker.consumer_config().set("auto.offset.reset", "earliest").create()?;
    consumer.subscribe(&[&broker.topic])?;

    let producer = kafka.future_producer(&broker.producer_config())?;
    for order in ORDERS {
        let record = FutureRecord::to(&broker.topic).key(order).payload(order);
        producer.send(record, LIMIT).await.map_err(|(error, _)| error)?;
    }
    for _ in ORDERS {
        let order = kafka.process(within(consumer.recv()).await??);
        order.run(pack(order.payload().unwrap_or_default(), &channel)).await?;
        let parcel = amqp.process("parcels", within(parcels.next()).await?.context("no parcel")??);
        parcel
            .run(async {
                info!("the parcel is on its way");
                parcel.ack(BasicAckOptions::default()).await
            })
            .await?;
    }
    broker.tidy().await;
    connection.close(200, "done".into()).await?;
    provider.shutdown()?;
    Ok(())
}

async fn within<F: Future>(received: F) -> anyhow::Result<F::Output> {
    tokio::time::timeout(Duration::from_secs(30), received).await.context("no message came")
}

/// Knows no carrier: the span of the message is around its own.
#[instrument(skip_all)]
async fn pack(order: &[u8], parcels: &carrier_amqp::instrumentation::Channel) -> lapin::Result<()> {
    let id = String::from_utf8_lossy(order);
    info!("packing order {id}");
    let properties = BasicProperties::default().with_message_id(format!("parcel-{id}").into());
    let options = BasicPublishOptions::default();
    parcels.basic_publish("".into(), "parcels".into(), options, order, properties).await?.await?;
    Ok(())
}

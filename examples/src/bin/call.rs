//! A request and its reply over RabbitMQ's direct reply-to: one trace from the caller to the responder and back.
//!
//! To copy: `ask` (the caller) and `answer` (the responder). The rest looks at the spans that were made.
#![allow(clippy::print_stdout, reason = "a terminal shows the spans")]

use std::process::{self, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use carrier_amqp::Instrumentation;
use carrier_amqp::instrumentation::Channel;
use carrier_examples::recording::{self, Recording, attribute, branch};
use carrier_examples::{connect, rabbitmq, without_password};
use futures::StreamExt as _;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, QueueDeclareOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Consumer};
use tokio::time::timeout;

/// RabbitMQ's pseudo-queue: the reply comes to the channel that published the request.
const DIRECT_REPLY_TO: &str = "amq.rabbitmq.reply-to";

const LIMIT: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> ExitCode {
    carrier_examples::exit_code(run().await)
}

async fn run() -> anyhow::Result<()> {
    // The set-up lines.
    carrier_core::Propagation::w3c().install()?;
    let (provider, recording) = carrier_examples::record_as("call")?;
    let url = rabbitmq::url("set AMQP_URL to a RabbitMQ that runs").await?;
    let amqp = Instrumentation::builder()
        .url(&url)?
        // The queue has another name in each run; spans and metrics should not.
        .destination_template(|route| {
            route.end().filter(|end| end.starts_with("sums-")).map(|_| "sums".into())
        })
        .build();
    let (caller, responder) = (connect(&url).await?, connect(&url).await?);
    println!("\n  call: a request and its reply\n\n  RabbitMQ  {}\n", without_password(&url));

    let queue = format!("sums-{}", process::id());
    let channel = amqp.channel(responder.create_channel().await?);
    let exclusive = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(queue.as_str().into(), exclusive, FieldTable::default()).await?;
    let requests = consume(channel.as_inner(), &queue, BasicConsumeOptions::default()).await?;
    // lapin closes a channel that is dropped, and then the connection cannot be closed: both live until the end.
    let answering = tokio::spawn(answer(amqp.clone(), channel.clone(), queue.clone(), requests));

    let asking = caller.create_channel().await?;
    let sum = ask(&amqp, &asking, &queue, "6 7").await?;
    answering.await??;
    println!("  6 + 7 = {sum}\n");

    caller.close(200, "done".into()).await?;
    responder.close(200, "done".into()).await?;
    provider.shutdown()?;
    show(&recording)
}

async fn consume(
    channel: &lapin::Channel,
    queue: &str,
    options: BasicConsumeOptions,
) -> lapin::Result<Consumer> {
    channel.basic_consume(queue.into(), "".into(), options, FieldTable::default()).await
}

/// The caller: publishes a request with lapin's own channel, and waits for the reply.
async fn ask(
    amqp: &Instrumentation,
    channel: &lapin::Channel,
    queue: &str,
    sum: &str,
) -> anyhow::Result<String> {
    let no_ack = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    let mut replies = consume(channel, DIRECT_REPLY_TO, no_ack).await?;
    let mut properties =
        BasicProperties::default().with_reply_to(DIRECT_REPLY_TO.into()).with_correlation_id("sum-1".into());
    let call = amqp.call("", queue, sum.as_bytes(), &mut properties);
    // The span lasts until the reply is here. No reply in time is an error of the call.
    call.run(async {
        let options = BasicPublishOptions::default();
        channel.basic_publish("".into(), queue.into(), options, sum.as_bytes(), properties).await?;
        let reply = timeout(LIMIT, replies.next()).await.context("no reply in time")?;
        let reply = reply.context("RabbitMQ ended the consumer")??;
        Ok(String::from_utf8(reply.data)?)
    })
    .await
}

/// The responder: its span is a child of the caller's, and the reply is published inside.
async fn answer(
    amqp: Instrumentation,
    channel: Channel,
    queue: String,
    mut requests: Consumer,
) -> anyhow::Result<()> {
    let request = requests.next().await.context("RabbitMQ ended the consumer")??;
    let request = amqp.process(&queue, request);
    let reply = async {
        let sum: u64 =
            std::str::from_utf8(&request.data)?.split(' ').filter_map(|n| n.parse::<u64>().ok()).sum();
        let properties = &request.properties;
        let reply_to = properties.reply_to().clone().context("a request without reply-to")?;
        let id: ShortString = properties.correlation_id().clone().unwrap_or_default();
        let reply = BasicProperties::default().with_correlation_id(id);
        let (options, body) = (BasicPublishOptions::default(), sum.to_string());
        channel.basic_publish("".into(), reply_to, options, body.as_bytes(), reply).await?;
        Ok::<_, anyhow::Error>(())
    };
    request.run(reply).await?;
    request.ack(BasicAckOptions::default()).await?;
    Ok(())
}

/// Prints the trace, and checks that it is one.
fn show(recording: &Recording) -> anyhow::Result<()> {
    let spans = recording.spans();
    let [trace] = recording::traces(&spans)[..] else { bail!("there is not one trace") };
    println!("  trace {trace}");
    for (depth, span) in recording::tree(&spans, trace) {
        let says = ["messaging.message.conversation_id", "carrier.reply.destination"];
        let says: Vec<_> =
            says.iter().filter_map(|key| attribute(span, key)).map(ToString::to_string).collect();
        println!("    {:<18}{}", branch(depth, span), says.join("  reply to "));
    }
    match recording.count() {
        (3, 0) => println!("\n  ✓ one trace: 3 spans, each ended once"),
        (spans, open) => return Err(anyhow!("{spans} spans, of which {open} did not end once")),
    }
    Ok(())
}

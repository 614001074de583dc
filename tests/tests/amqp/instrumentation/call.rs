//! A request whose reply the program waits for.

use std::collections::BTreeSet;
use std::time::Duration;

use carrier_amqp::Instrumentation;
use carrier_amqp::instrumentation::Relation;
use lapin::message::Delivery;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions};
use lapin::types::{FieldTable, ShortString};
use lapin::{BasicProperties, Consumer};
use opentelemetry_sdk::trace::SpanData;

use super::support::{Program, ack, confirmed};
use crate::support::{Queue, next, publish};

/// RabbitMQ's pseudo-queue for replies.
const DIRECT: &str = "amq.rabbitmq.reply-to";

fn request(reply_to: &str) -> BasicProperties {
    BasicProperties::default().with_reply_to(reply_to.into()).with_correlation_id("17".into())
}

/// The consumer of direct replies on the program's channel.
async fn direct_replies(program: &Program) -> Consumer {
    let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    let consumer =
        program.queue.channel.basic_consume(DIRECT.into(), "".into(), options, FieldTable::default());
    consumer.await.unwrap()
}

/// Calls the program's queue with lapin's own channel, while `responder` answers, and returns the reply.
async fn call(
    program: &Program,
    reply_to: &str,
    replies: &mut Consumer,
    responder: &Instrumentation,
) -> Delivery {
    let mut properties = request(reply_to);
    let call = program.amqp.call("", &program.queue.name, b"17", &mut properties);
    let exchange = call.run(async {
        publish(&program.queue.channel, "", &program.queue.name, properties, b"17").await;
        let reply = next(replies).await;
        assert_eq!(reply.properties.correlation_id().as_ref().map(ShortString::as_str), Some("17"));
        carrier_amqp::instrumentation::Plain(reply)
    });
    tokio::join!(exchange, answer(program, responder)).0.0
}

/// The responder: processes one request, and publishes the reply.
async fn answer(program: &Program, amqp: &Instrumentation) {
    let channel = amqp.channel(crate::support::channel().await);
    let request = amqp.process(&program.queue.name, program.received().await);
    let reply = async {
        let properties = &request.properties;
        let reply_to = properties.reply_to().clone().unwrap();
        let reply =
            BasicProperties::default().with_correlation_id(properties.correlation_id().clone().unwrap());
        // RabbitMQ 4.0.5 returns a mandatory direct reply as unroutable, and delivers it as well.
        let options = BasicPublishOptions::default();
        let confirm = channel.basic_publish("".into(), reply_to, options, b"42", reply);
        confirm.await.unwrap().await.unwrap();
    };
    request.run(reply).await;
    request.ack(ack()).await.unwrap();
}

fn trace_of(span: &SpanData) -> String {
    span.span_context.trace_id().to_string()
}

/// The spans without the generated part of the direct reply queue's name.
fn without_generated(spans: &str) -> String {
    let words = spans.split_inclusive(char::is_whitespace);
    words
        .map(|word| match word.strip_prefix(DIRECT) {
            Some(rest) if rest.trim_end().len() > 1 => word.replace(rest.trim_end(), ".…"),
            _ => word.to_owned(),
        })
        .collect()
}

#[tokio::test]
async fn a_call_with_direct_reply_to_is_one_trace_and_the_responder_is_a_child_of_the_call() {
    let program = Program::new().await;
    let mut replies = direct_replies(&program).await;
    let reply = call(&program, DIRECT, &mut replies, &program.amqp).await;
    assert_eq!(reply.data, b"42");
    assert_eq!(program.recorder.open_spans(), 0);
    let spans =
        carrier_tests::picture::spans(&program.recorder.spans()).replace(&program.queue.name, "QUEUE");
    let expected = "
client request QUEUE
  carrier.reply.destination = amq.rabbitmq.reply-to
  messaging.destination.name = QUEUE
  messaging.message.body.size = 2
  messaging.message.conversation_id = 17
  messaging.operation.name = request
  messaging.operation.type = send
  messaging.rabbitmq.destination.routing_key = QUEUE
  messaging.system = rabbitmq
consumer process QUEUE
  parent request QUEUE
  carrier.settlement = acked
  messaging.destination.name = QUEUE
  messaging.message.body.size = 2
  messaging.message.conversation_id = 17
  messaging.operation.name = process
  messaging.operation.type = process
  messaging.rabbitmq.destination.routing_key = QUEUE
  messaging.rabbitmq.message.delivery_tag = 1
  messaging.system = rabbitmq
producer send
  parent process QUEUE
  messaging.destination.anonymous = true
  messaging.destination.name = amq.rabbitmq.reply-to.…
  messaging.destination.temporary = true
  messaging.message.body.size = 2
  messaging.message.conversation_id = 17
  messaging.operation.name = send
  messaging.operation.type = send
  messaging.rabbitmq.destination.routing_key = amq.rabbitmq.reply-to.…
  messaging.system = rabbitmq
";
    assert_eq!(without_generated(&spans).trim(), expected.trim());
}

#[tokio::test]
async fn the_generated_name_of_a_direct_reply_queue_is_on_no_metric_and_the_request_is_sent_once() {
    let program = Program::new().await;
    let mut replies = direct_replies(&program).await;
    call(&program, DIRECT, &mut replies, &program.amqp).await;
    let metrics = program.metrics();
    assert!(!metrics.contains(DIRECT), "{metrics}");
    let of = |metric: &str| -> Vec<String> {
        let lines = metrics.lines().skip_while(|line| !line.starts_with(metric)).skip(1);
        let lines = lines.take_while(|line| line.starts_with("  ")).map(|line| line.trim().to_owned());
        // The queue has another name in each run, so the order differs.
        lines.collect::<BTreeSet<_>>().into_iter().collect()
    };
    let point = |destination, operation| {
        format!(
            "1 [messaging.destination.name = {destination}, messaging.operation.name = {operation}, \
             messaging.system = rabbitmq]"
        )
    };
    assert_eq!(
        of("messaging.client.sent.messages"),
        [point("QUEUE", "request"), point("amq.default", "send")]
    );
    let durations = of("messaging.client.operation.duration");
    assert!(
        durations.len() == 2 && durations[0].contains("QUEUE, messaging.operation.name = request"),
        "{durations:?}"
    );
}

#[tokio::test]
async fn a_call_with_a_named_reply_queue_is_one_trace_up_to_the_reply() {
    let (program, replies) = (Program::new().await, Queue::new().await);
    let reply = call(&program, &replies.name, &mut replies.consumer().await, &program.amqp).await;
    let reply = program.amqp.process(&replies.name, reply);
    reply.run(async {}).await;
    reply.ack(ack()).await.unwrap();
    drop(reply);
    let span = |name: &str| program.recorder.span(name);
    let (request, responder) = (program.span("request"), program.span("process"));
    let sent = span(&format!("send {}", replies.name));
    let received = span(&format!("process {}", replies.name));
    let parents = [&responder, &sent, &received].map(|span| span.parent_span_id);
    assert_eq!(parents, [&request, &responder, &sent].map(|span| span.span_context.span_id()));
    let traces = [&responder, &sent, &received].map(trace_of);
    assert_eq!(traces, [(); 3].map(|()| trace_of(&request)));
    let replied = request.attributes.iter().find(|pair| pair.key.as_str() == "carrier.reply.destination");
    assert_eq!(replied.map(|pair| pair.value.to_string()), Some(replies.name.clone()));
}

#[tokio::test]
async fn a_rule_links_replies_and_keeps_requests_in_the_trace() {
    let (program, replies) = (Program::new().await, Queue::new().await);
    let rule = Relation::rule(|message| match message.is_reply() {
        true => Relation::Link,
        false => Relation::Parent,
    });
    let amqp = program.amqp.with_relation(rule);
    let reply = call(&program, &replies.name, &mut replies.consumer().await, &amqp).await;
    let reply = amqp.process(&replies.name, reply);
    reply.run(async {}).await;
    reply.ack(ack()).await.unwrap();
    drop(reply);
    let (request, responder) = (program.span("request"), program.span("process"));
    let sent = program.recorder.span(&format!("send {}", replies.name));
    let received = program.recorder.span(&format!("process {}", replies.name));
    assert_eq!((trace_of(&responder), responder.links.len()), (trace_of(&request), 0));
    assert_ne!(trace_of(&received), trace_of(&request));
    let links: Vec<_> = received.links.iter().map(|link| link.span_context.span_id()).collect();
    assert_eq!(links, [sent.span_context.span_id()]);
}

#[tokio::test]
async fn a_request_that_the_instrumented_channel_publishes_has_a_send_span_below_the_call_and_counts_once() {
    let program = Program::new().await;
    let mut properties = request("replies");
    let call = program.amqp.call("", &program.queue.name, b"17", &mut properties);
    let sent = call.run(async {
        confirmed(program.channel(), "", &program.queue.name, properties).await;
    });
    sent.await;
    let delivery = program.amqp.process(&program.queue.name, program.received().await);
    delivery.ack(ack()).await.unwrap();
    drop(delivery);
    let (request, sent, responder) = (program.span("request"), program.span("send"), program.span("process"));
    assert_eq!(sent.parent_span_id, request.span_context.span_id());
    assert_eq!(responder.parent_span_id, sent.span_context.span_id());
    assert_eq!((sent.links.len(), responder.links.len()), (0, 0));
    let points = program.meters.points();
    let counted = points.iter().filter(|point| point.metric == "messaging.client.sent.messages");
    assert_eq!(counted.map(|point| point.count).collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn a_call_without_an_answer_in_time_fails() {
    let program = Program::new().await;
    let ask = || program.amqp.call("", &program.queue.name, b"17", &mut request("replies"));
    let (limit, never) = (Duration::from_millis(10), || std::future::pending::<Result<(), lapin::Error>>());
    // Inside of the call, the time limit is its error.
    ask().run(tokio::time::timeout(limit, never())).await.unwrap_err().to_string();
    let inside = program.end_of("request");
    assert_eq!(inside, ["error.type = tokio::time::error::Elapsed", "status error: deadline has elapsed"]);
    program.recorder.reset();
    // Around the call, it cancels it.
    let call = ask();
    tokio::time::timeout(limit, call.run(never())).await.unwrap_err().to_string();
    drop(call);
    assert_eq!(program.end_of("request")[0], "error.type = cancelled");
}

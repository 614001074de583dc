//! Ten thousand messages of ten thousand traces over several tasks: none gets another's context.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use carrier_amqp::extract;
use carrier_amqp::testing::remote_context;
use lapin::Confirmation;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicPublishOptions, BasicQosOptions};
use opentelemetry::Context;
use opentelemetry::context::FutureExt as _;
use opentelemetry::trace::{TraceContextExt as _, TraceId};
use tokio::task::JoinSet;

use crate::support::{Queue, carrying, channel, next};

const TASKS: usize = 4;
const MESSAGES: usize = 10_000;

/// Unconfirmed messages of one publisher at a time.
const IN_FLIGHT: usize = 128;

fn trace_id(cx: &Context) -> TraceId {
    cx.span().span_context().trace_id()
}

/// Publishes this task's share, each message with a trace of its own and that trace's id as the body.
async fn publisher(queues: [String; TASKS]) {
    let channel = channel().await;
    let mut confirms = VecDeque::new();
    for number in 0..MESSAGES / TASKS {
        let cx = remote_context();
        let queue = queues[number % TASKS].as_str().into();
        let body = trace_id(&cx).to_string();
        let options = BasicPublishOptions::default();
        let confirm = channel.basic_publish("".into(), queue, options, body.as_bytes(), carrying(&cx));
        confirms.push_back(confirm.await.unwrap());
        if confirms.len() == IN_FLIGHT {
            let confirm = confirms.pop_front().unwrap();
            assert_eq!(confirm.await.unwrap(), Confirmation::Ack(None));
        }
    }
    for confirm in confirms {
        assert_eq!(confirm.await.unwrap(), Confirmation::Ack(None));
    }
}

/// Receives this task's share and returns the traces that were seen.
async fn consumer(queue: Queue) -> HashSet<TraceId> {
    let prefetch = queue.channel.basic_qos(100, BasicQosOptions::default());
    prefetch.await.unwrap();
    let mut consumer = queue.consumer().await;
    let mut seen = HashSet::new();
    for _ in 0..MESSAGES / TASKS {
        let delivery = next(&mut consumer).await;
        let cx = extract(&delivery);
        seen.insert(handle(delivery).with_context(cx).await);
    }
    seen
}

async fn handle(delivery: Delivery) -> TraceId {
    // Other tasks run on this thread now, each with a context of its own.
    tokio::task::yield_now().await;
    let current = trace_id(&Context::current());
    assert_eq!(current.to_string().as_bytes(), delivery.data);
    delivery.ack(BasicAckOptions::default()).await.unwrap();
    current
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ten_thousand_messages_keep_their_ten_thousand_traces() {
    let mut queues = Vec::new();
    for _ in 0..TASKS {
        queues.push(Queue::new().await);
    }
    let names: [String; TASKS] = std::array::from_fn(|index| queues[index].name.clone());
    let work = async {
        let publishers: JoinSet<_> = (0..TASKS).map(|_| publisher(names.clone())).collect();
        let consumers: JoinSet<_> = queues.into_iter().map(consumer).collect();
        let (_, seen) = tokio::join!(publishers.join_all(), consumers.join_all());
        seen.into_iter().flatten().collect::<HashSet<_>>()
    };
    let limit = Duration::from_secs(120);
    let seen = tokio::time::timeout(limit, work).await.unwrap();
    assert_eq!(seen.len(), MESSAGES);
}

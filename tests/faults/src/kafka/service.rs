//! Senders, and handlers in a consumer group. librdkafka itself connects again.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use carrier_kafka::Instrumentation;
use carrier_kafka::instrumentation::{DeliveryFuture, FutureProducer, ThreadedProducer};
use futures::future::FutureExt as _;
use opentelemetry::Context;
use opentelemetry::trace::{TraceContextExt as _, TraceId};
use rdkafka::consumer::{
    BaseConsumer, CommitMode, Consumer as _, ConsumerContext, Rebalance, StreamConsumer,
};
use rdkafka::producer::{BaseRecord, FutureRecord, Producer as _};
use rdkafka::{ClientConfig, ClientContext, Message as _};
use tokio::io::{BufReader, Lines};
use tokio::process::ChildStdout;
use tokio::sync::oneshot;
use tokio::task::block_in_place;
use tokio::time::sleep;

use super::LIMIT;
use crate::ledger::sender;
use crate::work::Work;

/// Messages of a transaction.
const TRANSACTION: usize = 20;

pub(super) fn instrumentation(work: &Work, config: &ClientConfig) -> Instrumentation {
    let kafka = Instrumentation::builder().config(config).tracer_provider(work.tracer_provider.clone());
    kafka.meter_provider(work.meters.provider().clone()).settle_spans(true).build()
}

pub(super) async fn send(
    work: Arc<Work>,
    producer: FutureProducer,
    topic: String,
    partition: Option<i32>,
    window: usize,
) {
    let (mut pace, mut waiting) = (Work::pace(), VecDeque::new());
    while work.is_sending() {
        pace.tick().await;
        let number = work.ledger.next();
        let body = number.to_string();
        let record = FutureRecord { partition, ..FutureRecord::to(&topic).key(&body).payload(&body) };
        let sent = {
            let _sender = sender(number).attach();
            producer.send_result(record)
        };
        if let Ok(delivery) = sent {
            waiting.push_back((number, delivery));
            work.in_flight(1);
        }
        reap(&work, &mut waiting, window).await;
    }
    reap(&work, &mut waiting, 1).await;
}

/// Takes the reports that have arrived, and waits until fewer than `window` are missing.
async fn reap(work: &Work, waiting: &mut VecDeque<(u64, DeliveryFuture)>, window: usize) {
    while let Some((number, delivery)) = waiting.front_mut() {
        let (number, report) = match (*number, delivery.now_or_never()) {
            (number, Some(report)) => (number, report),
            // It comes in any case: after `message.timeout.ms` as an error.
            (number, None) if waiting.len() >= window => {
                let Some((_, delivery)) = waiting.front_mut() else { return };
                (number, delivery.await)
            }
            _ => return,
        };
        waiting.pop_front();
        work.in_flight(-1);
        if matches!(report, Ok(Ok(_))) {
            work.ledger.confirmed(number);
        }
    }
}

/// One transaction is committed, one is aborted when all is delivered, one is aborted at once.
pub(super) async fn send_in_transactions(work: Arc<Work>, producer: ThreadedProducer, topic: String) {
    let mut pace = Work::pace();
    for round in 0.. {
        if !work.is_sending() || producer.begin_transaction().is_err() {
            return;
        }
        let mut numbers = Vec::with_capacity(TRANSACTION);
        for _ in 0..TRANSACTION {
            pace.tick().await;
            let number = work.ledger.next();
            let body = number.to_string();
            let _sender = sender(number).attach();
            if producer.send(BaseRecord::to(&topic).key(&body).payload(&body)).is_ok() {
                numbers.push(number);
            }
        }
        let ended = block_in_place(|| match round % 3 {
            0 => producer.flush(LIMIT).and_then(|()| producer.commit_transaction(LIMIT)),
            1 => producer.flush(LIMIT).and_then(|()| producer.abort_transaction(LIMIT)),
            _ => producer.abort_transaction(LIMIT),
        });
        let is_committed = round % 3 == 0 && ended.is_ok();
        for number in numbers {
            match is_committed {
                true => work.ledger.confirmed(number),
                false => work.ledger.aborted(number),
            }
        }
    }
}

/// Reports the beginning of a rebalance.
pub(super) struct Member(Arc<Work>);

impl ClientContext for Member {}

impl ConsumerContext for Member {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if matches!(rebalance, Rebalance::Revoke(_)) {
            self.0.rebalance.notify_waiters();
        }
    }
}

/// A member of the topic's group. By default it reads what is committed.
pub(super) fn consumer(
    config: &ClientConfig,
    topic: &str,
    work: &Arc<Work>,
) -> anyhow::Result<StreamConsumer<Member>> {
    let mut config = config.clone();
    config.set("group.id", topic).set("enable.auto.commit", "false").set("auto.offset.reset", "earliest");
    config.set("session.timeout.ms", "6000");
    let consumer: StreamConsumer<_> = config.create_with_context(Member(Arc::clone(work)))?;
    consumer.subscribe(&[topic])?;
    Ok(consumer)
}

pub(super) async fn handle(work: Arc<Work>, consumer: StreamConsumer<Member>) {
    let kafka = instrumentation(&work, &ClientConfig::new());
    loop {
        let Ok(message) = consumer.recv().await else {
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let message = kafka.process(message);
        let handler = async {
            let trace = Context::current().span().span_context().trace_id();
            work.handled(message.payload().unwrap_or_default(), trace);
            kafka.commit_message(&consumer, &message, CommitMode::Async)
        };
        // A commit fails during a rebalance; the message comes again.
        let _ = message.run(handler).await;
    }
}

/// The process that is killed: it prints each message that it handles, with its trace.
pub(crate) async fn consume(brokers: &str, topic: &str) -> anyhow::Result<()> {
    let work = Arc::new(Work::printing());
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    handle(Arc::clone(&work), consumer(&config, topic, &work)?).await;
    Ok(())
}

pub(super) async fn read(
    work: Arc<Work>,
    mut lines: Lines<BufReader<ChildStdout>>,
    first: oneshot::Sender<()>,
) {
    let mut first = Some(first);
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some((number, trace)) = line.split_once(' ') {
            work.handled(number.as_bytes(), TraceId::from_hex(trace).unwrap_or(TraceId::INVALID));
            first.take().map(|first| first.send(()));
        }
    }
}

//! The service that sends and handles messages while a fault happens, and how a fault is observed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use carrier_tests::telemetry::Meters;
use opentelemetry::trace::TraceId;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::ledger::Ledger;
use crate::report::{Row, mib};
use crate::spans::Spans;

/// Messages of one sender in a second.
const RATE: u32 = 400;

/// Messages that are handled before the fault.
const WARM: usize = 400;

/// How long messages are sent after the fault is over.
const AFTER: Duration = Duration::from_secs(5);

/// How long a fault may take, and each step after it.
const FAULT_LIMIT: Duration = Duration::from_secs(120);
const STEP_LIMIT: Duration = Duration::from_secs(75);

/// How long a client's call may take: some of lapin's never return if the connection is lost meanwhile.
pub(crate) const CALL_LIMIT: Duration = Duration::from_secs(15);

/// A call of a client, with a limit as every service has one.
pub(crate) async fn within<T, E>(call: impl Future<Output = Result<T, E>>) -> anyhow::Result<T>
where
    E: Into<anyhow::Error>,
{
    timeout(CALL_LIMIT, call).await?.map_err(Into::into)
}

/// Waits until something is so.
pub(crate) async fn until(
    what: &str,
    limit: Duration,
    mut is_so: impl FnMut() -> bool,
) -> anyhow::Result<()> {
    let began = Instant::now();
    while !is_so() {
        if began.elapsed() > limit {
            bail!("{what}: not within {} s", limit.as_secs());
        }
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// What the senders and the handlers of one fault share.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) ledger: Ledger,
    pub(crate) tracer_provider: SdkTracerProvider,
    pub(crate) meters: Meters,
    spans: Spans,
    /// A member of the group was told to join again.
    pub(crate) rebalance: Notify,
    /// The process does nothing but handle messages, and prints them.
    is_printing: bool,
    is_sending: AtomicBool,
    /// Messages without their confirmation.
    in_flight: AtomicIsize,
}

impl Work {
    fn new(first: u64) -> Self {
        let spans = Spans::default();
        Self {
            ledger: Ledger::new(first),
            tracer_provider: SdkTracerProvider::builder().with_span_processor(spans.clone()).build(),
            meters: Meters::new(),
            spans,
            rebalance: Notify::new(),
            is_printing: false,
            is_sending: AtomicBool::new(true),
            in_flight: AtomicIsize::new(0),
        }
    }

    /// For the process that is killed.
    pub(crate) fn printing() -> Self {
        Self { is_printing: true, ..Self::new(0) }
    }

    /// A handler has this message, in this trace.
    pub(crate) fn handled(&self, body: &[u8], trace: TraceId) {
        if self.is_printing {
            println!("{} {trace}", String::from_utf8_lossy(body));
        } else {
            self.ledger.handled(body, trace);
        }
    }

    pub(crate) fn is_sending(&self) -> bool {
        self.is_sending.load(Ordering::Relaxed)
    }

    /// The clock of a sender.
    pub(crate) fn pace() -> tokio::time::Interval {
        let mut pace = interval(Duration::from_secs(1) / RATE);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pace
    }

    /// So many messages more have no confirmation.
    pub(crate) fn in_flight(&self, more: isize) {
        self.in_flight.fetch_add(more, Ordering::Relaxed);
    }

    /// Waits until so many messages have no confirmation.
    pub(crate) async fn pending(&self, count: isize) -> anyhow::Result<()> {
        let is_so = || self.in_flight.load(Ordering::Relaxed) >= count;
        until("the pending confirmations", Duration::from_secs(13), is_so).await
    }
}

/// The tasks of a service. The senders end by themselves; the handlers are aborted.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    pub(crate) senders: JoinSet<()>,
    pub(crate) handlers: JoinSet<()>,
}

/// Has messages pass, makes the fault happen, and waits until all that is confirmed is handled.
pub(crate) async fn observe(
    broker: &'static str,
    fault: &'static str,
    first: u64,
    start: impl AsyncFnOnce(&Arc<Work>) -> anyhow::Result<Tasks>,
    happen: impl AsyncFnOnce(&Arc<Work>) -> anyhow::Result<()>,
) -> anyhow::Result<Row> {
    println!("{broker}: {fault}");
    let (began, work) = (Instant::now(), Arc::new(Work::new(first)));
    let mut tasks = timeout(STEP_LIMIT, start(&work)).await.context("the service did not start")??;
    until("the first messages", STEP_LIMIT, || work.ledger.tally().handled >= WARM).await?;
    timeout(FAULT_LIMIT, happen(&work)).await.context("the fault takes too long")??;
    sleep(AFTER).await;

    work.is_sending.store(false, Ordering::Relaxed);
    let senders = async { while tasks.senders.join_next().await.is_some() {} };
    timeout(STEP_LIMIT, senders).await.context("a sender does not end")?;
    // What is missing then is lost.
    let _ = until("all messages", STEP_LIMIT, || work.ledger.tally().lost == 0).await;
    tasks.handlers.shutdown().await;
    drop(tasks);
    let _ = until("all spans", STEP_LIMIT / 3, || work.spans.count().open() == 0).await;

    let points = work.meters.of("messaging.client.sent.messages");
    let row = Row {
        broker,
        fault,
        tally: work.ledger.tally(),
        spans: work.spans.count(),
        sent_by_metrics: points.iter().map(|point| point.count).sum(),
        mib: mib()?,
        seconds: began.elapsed().as_secs(),
    };
    println!("{}", row.line());
    Ok(row)
}

//! The consumer's side: a span for a message that is processed, which ends exactly once.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use opentelemetry::Context;
use opentelemetry::trace::{Link, SpanContext};

use super::age::Age;
use super::incoming::Place;
use super::live::{Live, Operation};
use super::settings::Shared;
use super::{Details, Failure, Handled, Incoming, Instrumentation, Settlement, Settling, attribute};
use crate::TextMapReader;

impl Instrumentation {
    /// Starts the span of one message that is processed.
    ///
    /// Where it belongs is said by [`Relation`](super::Relation) and [`Ambient`](super::Ambient). `details` is asked for
    /// more attributes where the span is recorded. Where telemetry is suppressed nothing is started, and stays suppressed
    /// in the handler.
    pub fn process<R: TextMapReader>(
        &self,
        message: Incoming,
        reader: &R,
        details: impl FnOnce(&mut Details<'_>),
    ) -> Process {
        let ambient = Context::current();
        if ambient.is_telemetry_suppressed() {
            let context = self.propagation.extract(reader).with_telemetry_suppressed();
            return Process::new(&self.shared, context, None, None, false);
        }
        let (began, sent_at) = (self.shared.begin(), message.sent_at);
        let now = || began.map_or_else(SystemTime::now, |began| began.at);
        // Where neither a metric nor a rule wants it, the span may.
        let age = match began.is_some() || self.relation.is_rule() {
            true => Age::of(sent_at, now),
            false => Age::Unknown,
        };
        let Place { parent, links, creation } = self.place(reader, &ambient, message.redelivered, age);
        let waited = |details: &mut Details<'_>| {
            let age = if age == Age::Unknown { Age::of(sent_at, now) } else { age };
            if let Some(waited) = age.waited() {
                details.set(attribute::QUEUE_DURATION, waited.as_secs_f64());
            }
        };
        let (context, live) = Live::start(
            &self.shared,
            Operation::process(),
            message.destination,
            began,
            &parent,
            || links,
            |span| {
                waited(span);
                details(span);
            },
        );
        if let Some(live) = &live {
            live.consumed(u64::from(!message.is_counted), &[age]);
        }
        Process::new(&self.shared, context, creation, live, message.is_settled)
    }
}

/// A message, or a batch, that is processed: owns its span, and ends it exactly once.
///
/// The span ends
///
/// - when the future given to [`run`](Self::run) is over and, where the message is one to be settled, it is settled;
/// - or when this is dropped.
///
/// It fails with the error that the future returned, or since it panicked or was cancelled, or since the message was not
/// acknowledged; see [`Settlement`]. It never settles a message itself.
#[derive(Debug)]
pub struct Process {
    context: Context,
    creation: Option<SpanContext>,
    shared: Arc<Shared>,
    is_settled: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    live: Option<Live>,
    /// How many futures run in it.
    running: usize,
    /// A settlement before that is not the end: a handler may acknowledge first and work then.
    has_run: bool,
    failure: Option<Failure>,
    settlement: Option<Settlement>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Process {
    pub(super) fn new(
        shared: &Arc<Shared>,
        context: Context,
        creation: Option<SpanContext>,
        live: Option<Live>,
        is_settled: bool,
    ) -> Self {
        let state = State { live, ..State::default() };
        Self { context, creation, shared: Arc::clone(shared), is_settled, state: Mutex::new(state) }
    }

    /// The context of the handler: the process span is its current one, and the message's baggage is in it.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Runs a handler: the process span is current at every poll, on whatever thread, and nothing is attached in between.
    ///
    /// Not covered: a task that the handler spawns, and `spawn_blocking` (give them the context:
    /// `tokio::spawn(work.with_context(Context::current()))`), and the `Drop` of what the handler holds when it is
    /// cancelled. A future that is dropped before it is over is recorded as cancelled, one that panics as panicked.
    pub async fn run<F>(&self, handler: F) -> F::Output
    where
        F: Future,
        F::Output: Handled,
    {
        let mut run = Run { process: self, is_polled: false, failure: Some(cancelled()) };
        self.state().running += 1;
        let mut handler = pin!(handler);
        let (output, failure) = poll_fn(|task| {
            run.is_polled = true;
            let current = self.context.clone().attach();
            // What an error says of itself is the handler's code as well.
            let polled = handler.as_mut().poll(task).map(|output| {
                let failure = output.failure();
                (output, failure)
            });
            drop(current);
            run.is_polled = false;
            polled
        })
        .await;
        run.failure = failure;
        output
    }

    /// The handler failed: for one that is not a future given to [`run`](Self::run). The first failure counts.
    pub fn fail(&self, failure: Failure) {
        self.state().failure.get_or_insert(failure);
    }

    /// The message was settled. The first settlement counts.
    ///
    /// Ends the span where [`run`](Self::run) is over; otherwise the end of `run` does so, or the drop where nothing runs.
    pub fn settle(&self, settlement: Settlement) {
        self.change(|state| {
            state.settlement.get_or_insert(settlement);
        });
    }

    /// Whether there is a span to end, or a duration to record.
    pub fn is_live(&self) -> bool {
        self.state().live.is_some()
    }

    /// Whether [`settle`](Self::settle) was called.
    pub fn is_settled(&self) -> bool {
        self.state().settlement.is_some()
    }

    /// Starts the span of a settlement, where those are wanted: `operation` is the system's name of it, as `ack`.
    ///
    /// It is a child of the process span, and links to the sender's.
    pub fn settling(
        &self,
        operation: &'static str,
        destination: impl FnOnce() -> super::Destination,
        details: impl FnOnce(&mut Details<'_>),
    ) -> Settling {
        let is_wanted = self.shared.settle_spans && !self.context.is_telemetry_suppressed();
        let live = is_wanted.then(|| {
            let links = || self.creation.clone().map(Link::with_context).into_iter().collect();
            let operation = Operation::settle(operation);
            let began = self.shared.begin();
            Live::start(&self.shared, operation, destination(), began, &self.context, links, details)
        });
        Settling::new(live.and_then(|(_, live)| live))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and ends the span if that was the last thing it waited for.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        let is_over = state.running == 0 && state.has_run && (state.settlement.is_some() || !self.is_settled);
        // Whatever a span processor does, it does not do it under our lock.
        let ended = is_over.then(|| state.take(self.is_settled)).flatten();
        drop(state);
        end(ended);
    }
}

impl State {
    fn take(&mut self, is_settled: bool) -> Option<(Live, Option<Failure>, Option<Settlement>)> {
        let live = self.live.take()?;
        let settlement = self.settlement.or(is_settled.then_some(Settlement::Unsettled));
        let failure = self.failure.take().or_else(|| settlement.and_then(Settlement::failure));
        Some((live, failure, settlement))
    }
}

fn end(ended: Option<(Live, Option<Failure>, Option<Settlement>)>) {
    let Some((live, failure, settlement)) = ended else { return };
    if let Some(settlement) = settlement {
        live.details(|span| span.set(attribute::SETTLEMENT, settlement.as_str()));
    }
    live.end(failure);
}

impl Drop for Process {
    fn drop(&mut self) {
        let is_settled = self.is_settled;
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        end(state.take(is_settled));
    }
}

/// One run of a handler, however it ends.
struct Run<'a> {
    process: &'a Process,
    is_polled: bool,
    failure: Option<Failure>,
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        // Dropped while it is polled: it unwinds.
        let failure = if self.is_polled { Some(panicked()) } else { self.failure.take() };
        self.process.change(|state| {
            state.running -= 1;
            state.has_run = true;
            if let Some(failure) = failure {
                state.failure.get_or_insert(failure);
            }
        });
    }
}

fn cancelled() -> Failure {
    Failure::new("cancelled", "the handler was dropped before it was over")
}

fn panicked() -> Failure {
    Failure::new("panic", "the handler panicked")
}

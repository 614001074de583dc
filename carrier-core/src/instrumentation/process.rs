//! The consumer's side: a span for a message that is processed, which ends exactly once.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use opentelemetry::Context;

use super::age::Age;
use super::incoming::{Around, Place};
use super::live::{Live, Operation};
use super::settle::Settles;
use super::{Arrival, Details, Failure, Handled, Instrumentation, Received, Settlement, Settling, attribute};
use crate::TextMapReader;

impl Instrumentation {
    /// Starts the span of one message that is processed.
    ///
    /// Where it belongs is said by [`Relation`](super::Relation) and [`Ambient`](super::Ambient). `details` is asked for
    /// more attributes where the span is recorded. Where telemetry is suppressed nothing is started, and stays suppressed
    /// in the handler.
    pub fn process<R: TextMapReader>(
        &self,
        message: impl Arrival,
        reader: &R,
        details: impl FnOnce(&mut Details<'_>),
    ) -> Process {
        let around = self.around();
        if matches!(around, Around::Suppressed) {
            let context = self.propagation.extract(reader).with_telemetry_suppressed();
            return Process::new(context, None, false, None);
        }
        let (began, is_rule) = (self.shared.begin(), self.relation.is_rule());
        let now = || began.map_or_else(SystemTime::now, |began| began.at);
        // Where neither a metric nor a rule wants it, the span may.
        let age = if began.is_some() || is_rule { Age::of(message.sent_at(), now) } else { Age::Unknown };
        let received = Received { redelivered: is_rule && message.is_redelivered(), age: age.waited() };
        let Place { parent, links, settles } = self.place(reader, around, received);
        let waited = |details: &mut Details<'_>| {
            let age = if age == Age::Unknown { Age::of(message.sent_at(), now) } else { age };
            if let Some(waited) = age.waited() {
                details.set(attribute::QUEUE_DURATION, waited.as_secs_f64());
            }
        };
        let (context, live) = Live::start(
            &self.shared,
            Operation::process(),
            || message.destination(),
            began,
            &parent,
            || links,
            |span| {
                waited(span);
                details(span);
            },
        );
        if let Some(live) = &live {
            live.consumed(u64::from(!message.is_counted()), &[age]);
        }
        Process::new(context, live, message.is_to_be_settled(), settles)
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
    /// Whether somebody was told of it when it began.
    is_observed: bool,
    is_settled: bool,
    state: Mutex<State>,
    settles: Option<Box<Settles>>,
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

impl Process {
    fn new(context: Context, live: Option<Live>, is_settled: bool, settles: Option<Box<Settles>>) -> Self {
        let is_observed = live.is_some();
        let state = Mutex::new(State { live, ..State::default() });
        Self { context, is_observed, is_settled, state, settles }
    }

    /// One that is not to be settled.
    pub(super) fn of_a_batch(context: Context, live: Option<Live>) -> Self {
        Self::new(context, live, false, None)
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

    /// As [`settle`](Self::settle), by the owner when it goes: asked only where nothing has said before how the message was
    /// settled.
    pub fn settle_at_last(&mut self, settlement: impl FnOnce() -> Settlement) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.settlement.get_or_insert_with(settlement);
    }

    /// Whether anybody is told how it ends: the span is recorded, or there are metrics.
    pub fn is_observed(&self) -> bool {
        self.is_observed
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
        match &self.settles {
            Some(settles) => settles.start(operation, destination, &self.context, details),
            None => Settling::NONE,
        }
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
        end(&self.context, ended);
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

fn end(context: &Context, ended: Option<(Live, Option<Failure>, Option<Settlement>)>) {
    let Some((live, failure, settlement)) = ended else { return };
    if let Some(settlement) = settlement {
        live.details(context, |span| span.set(attribute::SETTLEMENT, settlement.as_str()));
    }
    live.end(context, failure);
}

impl Drop for Process {
    fn drop(&mut self) {
        let is_settled = self.is_settled;
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        end(&self.context, state.take(is_settled));
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

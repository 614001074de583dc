//! A message that is processed: one span, which ends exactly once.

use std::future::poll_fn;
use std::pin::pin;
#[cfg(feature = "tracing")]
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use opentelemetry::trace::{SpanKind, TraceContextExt as _};
use opentelemetry::{Context, StringValue};

use super::attribute;
use super::builder::Instrumentation;
use super::details::Details;
#[cfg(feature = "tracing")]
use super::event;
use super::handled::Handled;
use super::hook::{Filter, Incoming};
use super::links::Links;
use super::message::IncomingMessage;
use super::metrics::{QueueTime, Received};
use super::operation::{Destination, Operation, OperationType};
use super::outcome::{Cancellation, ErrorTypes, Failure, Settlement};
use super::relation::{Choice, Current, Placement, Sender, unobserved};
use super::settle::{Settlements, Settling};
use super::span::{OperationSpan, Start};
#[cfg(feature = "tracing-spans")]
use super::traced;
use crate::TextMapReader;

impl Instrumentation {
    /// Starts the span of one message that is processed.
    ///
    /// [`Relation`](super::Relation) and [`Ambient`](super::Ambient) decide about its parent and its links. `details` is
    /// called only if the span is recorded. If telemetry is suppressed, no span is started, and it stays suppressed in the
    /// handler.
    ///
    /// Without a tracer provider no span is started. The handler then gets the sender's context, also with
    /// [`Relation::Link`](super::Relation::Link).
    pub fn process<R: TextMapReader>(
        &self,
        message: impl IncomingMessage,
        reader: &R,
        details: impl FnOnce(&mut Details<'_>),
    ) -> Process {
        match self.filters.of(OperationType::Process, false, || message.destination()) {
            Filter::Observe => {}
            Filter::CarryOnly => {
                return Process::unobserved(self, unobserved(self.propagation.extract(reader)));
            }
            Filter::Skip => return Process::unobserved(self, Context::current()),
        }
        let current = Current::read(self.ambient);
        if matches!(current, Current::Suppressed) {
            return Process::unobserved(self, unobserved(self.propagation.extract(reader)));
        }
        let start = self.telemetry.start_time();
        let queue_time =
            || QueueTime::of(message.sent_at(), || start.map_or_else(SystemTime::now, |start| start.at));
        // The span computes it below if neither the metrics nor a rule did.
        let is_used = start.is_some() || self.relation.is_rule();
        let known_queue_time = if is_used { queue_time() } else { QueueTime::Unknown };
        let sender = Sender::read(&self.propagation, reader, start.is_some());
        let status = sender.status;
        let relation = self.relation.of(&message, known_queue_time, &sender, reader);
        let settlements = self.settle_spans.then(|| {
            let sender = if relation == Choice::Ignore { None } else { sender.span() };
            Box::new(Settlements { telemetry: self.telemetry.clone(), sender })
        });
        // For a handler without a process span.
        let sent = (relation == Choice::Link).then(|| sender.context.clone());
        let is_skipped = |parent: &Context| self.telemetry.is_skipped(parent);
        let Placement { parent, linked } =
            Placement::new(sender, relation, current, self.telemetry.link_parent, is_skipped);
        let (context, mut span) = OperationSpan::start(
            Start {
                telemetry: &self.telemetry,
                operation: Operation::new(OperationType::Process, SpanKind::Consumer),
                at: start,
                parent: &parent,
                message: Some(&Incoming(&message, reader)),
            },
            || message.destination(),
            |_, links| linked.into_iter().for_each(|span| links.add(span)),
            |span| {
                let queue_time = if is_used { known_queue_time } else { queue_time() };
                if let Some(waited) = queue_time.waited() {
                    span.set(attribute::QUEUE_DURATION, waited.as_secs_f64());
                }
                details(span);
            },
        );
        if let Some(span) = span.as_mut().filter(|_| start.is_some()) {
            let received = Received {
                is_counted: message.is_counted(),
                status,
                queue_time: known_queue_time,
                attempts: message.attempts(),
            };
            span.consumed(&context, &[received]);
        }
        let context = match sent {
            // Without a tracer provider no span has the link: the sender's trace would be lost.
            Some(sent) if !context.span().span_context().is_valid() => {
                #[cfg(feature = "tracing-spans")]
                let sent = traced::taken_over(sent, &context);
                sent
            }
            _ => context,
        };
        Process::new(self, context, span, settlements)
    }
}

/// A message, or a batch, that is processed. It owns the span, and ends it exactly once.
///
/// The span ends when the future given to [`run`](Self::run) is over, or when this is dropped. After
/// [`until_settled`](Self::until_settled) it ends when the future is over and the message is settled.
///
/// The span fails if the future returned an error ([`Handled`]), panicked or was cancelled ([`Cancellation`]), or if the
/// message was refused ([`Settlement`]). This guard never settles a message itself.
///
/// Without [`run`](Self::run) and [`context`](Self::context), the handler's spans are not in this message's trace. With the
/// feature `tracing`, an event of level debug, target `carrier`, reports that.
#[derive(Debug)]
#[must_use = "the span ends when this is dropped; keep it until the message is handled"]
pub struct Process {
    context: Context,
    cancellation: Cancellation,
    errors: ErrorTypes,
    /// Whether the handler got the context.
    #[cfg(feature = "tracing")]
    is_used: AtomicBool,
    #[cfg(feature = "tracing-spans")]
    is_traced: bool,
    is_observed: bool,
    needs_settlement: bool,
    state: Mutex<State>,
    settlements: Option<Box<Settlements>>,
}

#[derive(Debug, Default)]
struct State {
    span: Option<OperationSpan>,
    /// How many futures run in it.
    running: usize,
    /// The span does not end with a settlement before this: a handler may acknowledge first and work afterwards.
    has_run: bool,
    failure: Option<Failure>,
    settlement: Option<Settlement>,
}

impl Process {
    pub(super) fn new(
        by: &Instrumentation,
        context: Context,
        span: Option<OperationSpan>,
        settlements: Option<Box<Settlements>>,
    ) -> Self {
        Self {
            context,
            cancellation: by.cancellation,
            errors: by.errors.clone(),
            #[cfg(feature = "tracing")]
            is_used: AtomicBool::new(false),
            #[cfg(feature = "tracing-spans")]
            is_traced: span.as_ref().is_some_and(OperationSpan::is_traced),
            is_observed: span.is_some(),
            needs_settlement: false,
            state: Mutex::new(State { span, ..State::default() }),
            settlements,
        }
    }

    /// Without a span and metrics.
    pub(super) fn unobserved(by: &Instrumentation, context: Context) -> Self {
        Self::new(by, context, None, None)
    }

    /// The message is to be settled: the span waits for [`settle`](Self::settle), and reports if there is no settlement.
    pub fn until_settled(mut self) -> Self {
        self.needs_settlement = true;
        self
    }

    /// The context of the handler: it contains the process span and the message's baggage.
    ///
    /// For a handler that is not a future, use [`in_scope`](Self::in_scope).
    pub fn context(&self) -> &Context {
        self.set_used();
        &self.context
    }

    /// The handler got a context: no event reports that it got none.
    pub(super) fn set_used(&self) {
        #[cfg(feature = "tracing")]
        self.is_used.store(true, Ordering::Relaxed);
    }

    /// Runs a handler. The process span is current at every poll, on any thread, and only then.
    ///
    /// A task that the handler spawns and `spawn_blocking` start without the context. Pass it to them:
    /// `tokio::spawn(work.with_context(Context::current()))`. The `Drop` of what a cancelled handler holds runs without it
    /// as well. A future that is dropped early is recorded as cancelled, one that panics as panicked.
    pub async fn run<F, K>(&self, handler: F) -> F::Output
    where
        F: Future,
        F::Output: Handled<K>,
    {
        let mut run = Run { process: self, is_polled: false, failure: self.cancellation.failure() };
        self.set_used();
        self.state().running += 1;
        let mut handler = pin!(handler);
        let (failure, output) = poll_fn(|task| {
            run.is_polled = true;
            let current = self.enter();
            // The error's `Display` is the user's code too, and runs in the handler's context.
            let polled = handler.as_mut().poll(task).map(|output| (output.failure(&self.errors), output));
            drop(current);
            run.is_polled = false;
            polled
        })
        .await;
        run.failure = failure;
        output
    }

    /// Calls a handler that is not a future, with the process span as the current one.
    ///
    /// It does not end the span: the drop does. Report a failure with [`fail`](Self::fail).
    pub fn in_scope<T>(&self, handler: impl FnOnce() -> T) -> T {
        self.set_used();
        let _current = self.enter();
        handler()
    }

    /// Makes the span current until the drop of what is returned: the context is detached before the `tracing` span exits.
    fn enter(&self) -> impl Sized {
        #[cfg(feature = "tracing-spans")]
        let traced =
            if self.is_traced { traced::of(&self.context).map(tracing::Span::entered) } else { None };
        #[cfg(not(feature = "tracing-spans"))]
        let traced = ();
        (self.context.clone().attach(), traced)
    }

    /// Reports a failure of a handler that is not a future given to [`run`](Self::run). The first failure counts.
    pub fn fail(&self, failure: Failure) {
        self.state().failure.get_or_insert(failure);
    }

    /// Reports how the message was settled. The first settlement counts.
    ///
    /// Ends the span if [`run`](Self::run) is over. Otherwise the end of `run`, or the drop, ends it.
    pub fn settle(&self, settlement: Settlement) {
        self.change(|state| {
            state.settlement.get_or_insert(settlement);
        });
    }

    /// Like [`settle`](Self::settle), for the owner's `Drop`. `settlement` is called only if none was reported before.
    pub fn settle_on_drop(&mut self, settlement: impl FnOnce() -> Settlement) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.settlement.get_or_insert_with(settlement);
    }

    /// Whether the outcome is recorded: on the span, or on metrics.
    pub fn is_observed(&self) -> bool {
        self.is_observed
    }

    /// Whether [`settle`](Self::settle) was called.
    pub fn is_settled(&self) -> bool {
        self.state().settlement.is_some()
    }

    /// Starts the span of a settlement, if [`settle_spans`](super::InstrumentationBuilder::settle_spans) is on.
    ///
    /// The parent is the process span; the sender's span is linked. `operation` is the messaging system's name of the
    /// operation, for example `ack`.
    pub fn settling(
        &self,
        operation: impl Into<StringValue>,
        destination: impl FnOnce() -> Destination,
        details: impl FnOnce(&mut Details<'_>),
    ) -> Settling {
        let Some(settlements) = &self.settlements else { return Settling(None) };
        let Settlements { telemetry, sender } = &**settlements;
        let links = |links: &mut Links| sender.iter().for_each(|span| links.add(span.clone()));
        Settling::start(telemetry, operation, destination, &self.context, links, details)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and ends the span if nothing else is awaited.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        let is_settled = state.settlement.is_some() || !self.needs_settlement;
        let is_over = state.running == 0 && state.has_run && is_settled;
        let ended = if is_over { state.take(self.needs_settlement) } else { None };
        // Span processors must not run under our lock.
        drop(state);
        self.end(ended);
    }

    fn end(&self, ended: Option<Ended>) {
        if let Some(ended) = ended {
            self.end_span(ended);
        }
    }

    /// Not inlined: a message without a span pays nothing for it.
    #[inline(never)]
    fn end_span(&self, Ended { span, failure, settlement }: Ended) {
        if let Some(settlement) = settlement {
            span.details(&self.context, |span| span.set(attribute::SETTLEMENT, settlement.as_str()));
        }
        span.end(&self.context, failure, None);
    }
}

/// A span that is about to end, with its outcome.
struct Ended {
    span: OperationSpan,
    failure: Option<Failure>,
    settlement: Option<Settlement>,
}

impl State {
    fn take(&mut self, needs_settlement: bool) -> Option<Ended> {
        let span = self.span.take()?;
        let settlement = self.settlement.or(needs_settlement.then_some(Settlement::Unsettled));
        let failure = self.failure.take().or_else(|| settlement.and_then(Settlement::failure));
        Some(Ended { span, failure, settlement })
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let needs_settlement = self.needs_settlement;
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if state.span.is_some() {
            let ended = state.take(needs_settlement);
            self.end(ended);
        }
        #[cfg(feature = "tracing")]
        if !*self.is_used.get_mut() && !self.context.is_telemetry_suppressed() {
            event::unused_context();
        }
    }
}

/// One run of a handler. Its drop reports how the run ended.
struct Run<'a> {
    process: &'a Process,
    is_polled: bool,
    failure: Option<Failure>,
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        // A drop during a poll is a panic.
        let failure = match self.is_polled {
            true => Some(Failure::new("panic", "the handler panicked")),
            false => self.failure.take(),
        };
        self.process.change(|state| {
            state.running -= 1;
            state.has_run = true;
            state.failure = state.failure.take().or(failure);
        });
    }
}

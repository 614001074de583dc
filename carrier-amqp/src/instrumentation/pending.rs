//! Published messages whose outcome is not known yet.

use std::collections::HashMap;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use std::time::Instant;

use carrier_core::instrumentation::{Failure, Sending};
use lapin::Confirmation;
use lapin::message::BasicReturnMessage;

use super::{Instrumentation, error_type};
use crate::ExtractFrom as _;

/// The messages of one channel. Its clones share them.
#[derive(Debug, Default)]
pub(super) struct Pending {
    state: Mutex<State>,
    /// Held while the thread ends a span: when it is free, every span that the thread has taken has ended.
    ending: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    is_transaction: bool,
    transaction: Vec<Sending>,
    /// Confirmations that the user dropped before they arrived.
    dropped: HashMap<usize, Box<Waiting>>,
    /// Returned messages of dropped confirmations.
    returned: Vec<BasicReturnMessage>,
}

impl State {
    /// Takes a dropped confirmation and its outcome if it has arrived.
    fn arrived(&mut self, key: usize) -> Option<(Box<Waiting>, Result<(), Failure>)> {
        let waiting = self.dropped.get_mut(&key)?;
        let Poll::Ready(answer) = waiting.poll() else { return None };
        let outcome = outcome(&answer, &waiting.sending, &waiting.amqp);
        self.keep_returned(answer);
        Some((self.dropped.remove(&key)?, outcome))
    }

    fn keep_returned(&mut self, answer: lapin::Result<Confirmation>) {
        self.returned.extend(answer.ok().and_then(Confirmation::take_message));
    }
}

impl Pending {
    /// lapin may be called with the lock held: lapin's thread, which holds lapin's locks, never takes this one.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message that is not confirmed: it ends now, or with the transaction.
    pub(super) fn published(&self, sending: Sending) {
        if sending.is_observed() {
            let mut state = self.state();
            if state.is_transaction {
                return state.transaction.push(sending);
            }
        }
        sending.ended(Ok(()));
    }

    pub(super) fn select_transaction(&self) {
        self.state().is_transaction = true;
    }

    /// Takes the messages of the transaction.
    pub(super) fn transaction(&self) -> Vec<Sending> {
        mem::take(&mut self.state().transaction)
    }

    /// Keeps a confirmation that the user dropped until it arrives.
    pub(super) fn dropped(self: &Arc<Self>, waiting: Box<Waiting>) {
        let arrival = Arc::clone(&waiting.arrival);
        let key = Arc::as_ptr(&arrival).addr();
        // The thread starts here, not in lapin's thread.
        LazyLock::force(&ENDS);
        let ending = Arc::new(Ending { pending: Arc::downgrade(self), key });
        self.state().dropped.insert(key, waiting);
        if arrival.wakes(Arc::clone(&ending).into()) {
            ending.wake();
        }
    }

    /// Keeps the returned message of an answer that the user dropped.
    pub(super) fn answered(&self, answer: lapin::Result<Confirmation>) {
        self.state().keep_returned(answer);
    }

    /// Ends the spans of the dropped confirmations that arrived, and takes their returned messages.
    pub(super) fn returned(&self) -> Vec<BasicReturnMessage> {
        self.end_arrived();
        drop(self.ending());
        mem::take(&mut self.state().returned)
    }

    fn end_arrived(&self) {
        let keys: Vec<usize> = self.state().dropped.keys().copied().collect();
        for key in keys {
            // A span processor or a propagator that panics must not lose the others.
            let _ = catch_unwind(AssertUnwindSafe(|| self.end(key)));
        }
    }

    fn ending(&self) -> MutexGuard<'_, ()> {
        self.ending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the span of a dropped confirmation if it arrived.
    fn end(&self, key: usize) {
        // In two statements: a span processor must not run with the lock held.
        let arrived = self.state().arrived(key);
        if let Some((waiting, outcome)) = arrived {
            waiting.end(outcome);
        }
    }
}

impl Drop for Pending {
    /// The thread may not have come to what arrived.
    fn drop(&mut self) {
        self.end_arrived();
    }
}

/// A message without a confirmation yet.
#[derive(Debug)]
pub(super) struct Waiting {
    confirm: lapin::PublisherConfirm,
    sending: Sending,
    amqp: Instrumentation,
    arrival: Arc<Arrival>,
}

impl Waiting {
    pub(super) fn new(confirm: lapin::PublisherConfirm, sending: Sending, amqp: Instrumentation) -> Self {
        Self { confirm, sending, amqp, arrival: Arc::default() }
    }

    /// Asks lapin for the answer, and to report the arrival if there is none.
    pub(super) fn poll(&mut self) -> Poll<lapin::Result<Confirmation>> {
        let waker = Waker::from(Arc::clone(&self.arrival));
        Pin::new(&mut self.confirm).poll(&mut Context::from_waker(&waker))
    }

    /// Like [`poll`](Self::poll), and wakes a task when the answer arrives.
    pub(super) fn poll_in(&mut self, task: &Context<'_>) -> Poll<lapin::Result<Confirmation>> {
        self.arrival.wakes(task.waker().clone());
        self.poll()
    }

    pub(super) fn answered(self: Box<Self>, answer: &lapin::Result<Confirmation>) {
        let outcome = outcome(answer, &self.sending, &self.amqp);
        self.end(outcome);
    }

    /// Ends the span at the time at which the answer arrived.
    fn end(self: Box<Self>, outcome: Result<(), Failure>) {
        let arrived = self.arrival.at.get().copied().unwrap_or_else(Instant::now);
        self.sending.ended_at(outcome, arrived);
    }
}

/// The arrival of a confirmation. lapin wakes it in its own thread, with locks held.
#[derive(Debug, Default)]
struct Arrival {
    at: OnceLock<Instant>,
    next: Mutex<Option<Waker>>,
}

impl Arrival {
    fn replace(&self, next: Option<Waker>) -> Option<Waker> {
        mem::replace(&mut *self.next.lock().unwrap_or_else(PoisonError::into_inner), next)
    }

    /// Sets who is woken. Returns whether the arrival was before.
    fn wakes(&self, next: Waker) -> bool {
        // A waker must not be dropped with the lock held.
        drop(self.replace(Some(next)));
        self.at.get().is_some()
    }
}

impl Wake for Arrival {
    fn wake(self: Arc<Self>) {
        self.at.get_or_init(Instant::now);
        if let Some(next) = self.replace(None) {
            next.wake();
        }
    }
}

/// Has the span of a dropped confirmation ended by another thread: lapin's thread must neither call a span processor nor
/// drop a confirmation, which needs a lock that it holds.
struct Ending {
    pending: Weak<Pending>,
    key: usize,
}

impl Wake for Ending {
    fn wake(self: Arc<Self>) {
        // Without the thread, the span ends in `wait_for_confirms` or with the channel.
        let _ = ENDS.send(self);
    }
}

/// The thread that ends the spans of dropped confirmations. It starts with the first of them.
static ENDS: LazyLock<Sender<Arc<Ending>>> = LazyLock::new(|| {
    let (sender, receiver) = channel::<Arc<Ending>>();
    let end_all = move || {
        for ending in receiver {
            // A span processor that panics must not end the thread.
            let end = || {
                let pending = ending.pending.upgrade()?;
                let _ending = pending.ending();
                pending.end(ending.key);
                Some(())
            };
            let _ = catch_unwind(AssertUnwindSafe(end));
        }
    };
    let _ = thread::Builder::new().name("carrier-amqp".to_owned()).spawn(end_all);
    sender
});

fn outcome(
    answer: &lapin::Result<Confirmation>,
    sending: &Sending,
    amqp: &Instrumentation,
) -> Result<(), Failure> {
    // lapin gives a returned message to the confirmation that comes next, whichever it is.
    let is_ours = |message: &BasicReturnMessage| {
        sending.carried().is_some_and(|carried| amqp.core.carries(&message.reader(), &carried))
    };
    match answer {
        Ok(Confirmation::Ack(Some(message)) | Confirmation::Nack(Some(message))) if is_ours(message) => {
            Err(error_type::returned(message))
        }
        Ok(Confirmation::Nack(_)) => Err(error_type::refused()),
        Ok(Confirmation::Ack(_) | Confirmation::NotRequested) => Ok(()),
        Err(error) => Err(error_type::of(error)),
    }
}

#[cfg(test)]
mod tests {
    use carrier_core::instrumentation::Destination;
    use lapin::BasicProperties;
    use lapin::message::Delivery;
    use opentelemetry::Context;
    use opentelemetry::trace::TraceContextExt as _;
    use opentelemetry_sdk::trace::SdkTracerProvider;

    use super::*;
    use crate::testing::remote_context;
    use crate::{PropertiesCarrier, inject};

    /// A message on its way, and what it carries.
    fn sent() -> (Sending, Instrumentation, BasicProperties) {
        let amqp = Instrumentation::builder().tracer_provider(SdkTracerProvider::builder().build()).build();
        let mut properties = BasicProperties::default();
        let carrier = &mut PropertiesCarrier(&mut properties);
        let sending = amqp.core.send(|| Destination::new("orders"), carrier, |_| {});
        (sending, amqp, properties)
    }

    fn returned(properties: BasicProperties) -> Option<BasicReturnMessage> {
        let mut delivery = Delivery::mock(0, "".into(), "nowhere".into(), false, Vec::new());
        delivery.properties = properties;
        Some(BasicReturnMessage { delivery, reply_code: 312, reply_text: "NO_ROUTE".into() })
    }

    fn error_of(result: Result<(), Failure>) -> Option<String> {
        result.err().map(|failure| failure.error_type().to_owned())
    }

    #[test]
    fn a_message_that_came_back_counts_where_it_carries_this_span() {
        let (sending, amqp, properties) = sent();
        let answer = Ok(Confirmation::Ack(returned(properties)));
        assert_eq!(error_of(outcome(&answer, &sending, &amqp)).as_deref(), Some("no-route"));
    }

    #[test]
    fn a_return_of_another_message_says_nothing_of_this_one() {
        let (sending, amqp, _) = sent();
        let mut other = BasicProperties::default();
        inject(&remote_context(), &mut other);
        for properties in [other, BasicProperties::default()] {
            assert_eq!(
                error_of(outcome(&Ok(Confirmation::Ack(returned(properties.clone()))), &sending, &amqp)),
                None
            );
            let refused = outcome(&Ok(Confirmation::Nack(returned(properties))), &sending, &amqp);
            assert_eq!(error_of(refused).as_deref(), Some("nack"));
        }
    }

    #[test]
    fn without_a_span_no_return_is_known_to_be_its_own() {
        let suppressed = Context::new().with_telemetry_suppressed().attach();
        let (sending, amqp, properties) = sent();
        drop(suppressed);
        assert!(!sending.context().has_active_span());
        assert_eq!(error_of(outcome(&Ok(Confirmation::Ack(returned(properties))), &sending, &amqp)), None);
    }
}

//! What became of each message. A message's number is its body and decides its trace.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};

/// All traces of the run begin with it.
const TRACES: u128 = 0xca44_1e40_fa17_0000 << 64;

pub(crate) fn trace(number: u64) -> TraceId {
    TraceId::from(TRACES | u128::from(number))
}

/// The context in which a message is sent.
pub(crate) fn sender(number: u64) -> Context {
    let id = SpanId::from(number + 1);
    let span = SpanContext::new(trace(number), id, TraceFlags::SAMPLED, true, TraceState::default());
    Context::new().with_remote_span_context(span)
}

/// The messages of one fault.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    first: u64,
    sent: u64,
    confirmed: HashSet<u64>,
    /// Unroutable. The broker confirms them too.
    returned: HashSet<u64>,
    aborted: HashSet<u64>,
    handled: HashMap<u64, u64>,
    in_wrong_trace: u64,
}

impl State {
    fn lost(&self) -> usize {
        let is_lost = |number: &&u64| !self.returned.contains(number) && !self.handled.contains_key(number);
        self.confirmed.iter().filter(is_lost).count()
    }
}

/// How many messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) sent: u64,
    pub(crate) confirmed: usize,
    /// Different ones.
    pub(crate) handled: usize,
    /// Handled once more.
    pub(crate) duplicates: u64,
    pub(crate) lost: usize,
    pub(crate) in_wrong_trace: u64,
    pub(crate) aborted: usize,
    /// Handled, although their transaction was aborted.
    pub(crate) aborted_and_handled: usize,
}

impl Ledger {
    /// The numbers begin with `first`, so that a message of another fault is noticed.
    pub(crate) fn new(first: u64) -> Self {
        Self(Mutex::new(State { first, ..State::default() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of one more message.
    pub(crate) fn next(&self) -> u64 {
        let mut state = self.state();
        state.sent += 1;
        state.first + state.sent - 1
    }

    pub(crate) fn confirmed(&self, number: u64) {
        self.state().confirmed.insert(number);
    }

    /// lapin may report the return with the confirmation of another message, so the body counts.
    pub(crate) fn returned(&self, body: &[u8]) {
        self.state().returned.extend(number(body));
    }

    pub(crate) fn aborted(&self, number: u64) {
        self.state().aborted.insert(number);
    }

    /// A handler has this message, in this trace.
    pub(crate) fn handled(&self, body: &[u8], found: TraceId) {
        let mut state = self.state();
        let number = number(body);
        let is_ours = |number: &u64| (state.first..state.first + state.sent).contains(number);
        match number.filter(is_ours) {
            Some(number) => {
                state.in_wrong_trace += u64::from(found != trace(number));
                *state.handled.entry(number).or_default() += 1;
            }
            None => state.in_wrong_trace += 1,
        }
    }

    pub(crate) fn tally(&self) -> Tally {
        let state = self.state();
        Tally {
            sent: state.sent,
            confirmed: state.confirmed.difference(&state.returned).count(),
            handled: state.handled.len(),
            duplicates: state.handled.values().map(|times| times - 1).sum(),
            lost: state.lost(),
            in_wrong_trace: state.in_wrong_trace,
            aborted: state.aborted.len(),
            aborted_and_handled: state.aborted.iter().filter(|it| state.handled.contains_key(it)).count(),
        }
    }
}

fn number(body: &[u8]) -> Option<u64> {
    std::str::from_utf8(body).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_lost_if_it_was_confirmed_and_neither_returned_nor_handled() {
        let ledger = Ledger::new(100);
        let numbers: Vec<u64> = (0..4).map(|_| ledger.next()).collect();
        assert_eq!(numbers, [100, 101, 102, 103]);
        numbers[..3].iter().for_each(|number| ledger.confirmed(*number));
        ledger.returned(b"101");
        ledger.handled(b"102", trace(102));
        ledger.handled(b"102", trace(102));
        let expected =
            Tally { sent: 4, confirmed: 2, handled: 1, duplicates: 1, lost: 1, ..Tally::default() };
        assert_eq!(ledger.tally(), expected);
    }

    #[test]
    fn a_message_is_in_the_wrong_trace_if_its_number_says_another_one() {
        let ledger = Ledger::new(100);
        let number = ledger.next();
        assert_eq!(sender(number).span().span_context().trace_id(), trace(100));
        ledger.handled(b"100", trace(101));
        ledger.handled(b"99", trace(99));
        ledger.handled(b"no number", trace(100));
        assert_eq!(ledger.tally().in_wrong_trace, 3);
    }

    #[test]
    fn a_message_of_an_aborted_transaction_must_not_be_handled() {
        let ledger = Ledger::new(0);
        let (one, two) = (ledger.next(), ledger.next());
        ledger.aborted(one);
        ledger.aborted(two);
        ledger.handled(b"1", trace(1));
        let tally = ledger.tally();
        assert_eq!((tally.aborted, tally.aborted_and_handled, tally.lost), (2, 1, 0));
    }
}

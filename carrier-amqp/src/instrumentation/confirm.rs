//! The broker's confirmation, which ends the span of a published message.

use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use carrier_core::instrumentation::Sending;
use lapin::{Confirmation, ErrorKind};

use super::Instrumentation;
use super::pending::{Pending, Waiting};

/// A [`lapin::PublisherConfirm`] that owns the span of its message.
///
/// The span ends when the confirmation arrives, also if this is awaited later or dropped. The channel's
/// [`wait_for_confirms`](super::Channel::wait_for_confirms) then returns the message if the broker returned it. If the
/// channel is dropped before the confirmation arrives, the outcome is unknown, and the span ends with the status unset.
#[derive(Debug)]
pub struct PublisherConfirm(State);

#[derive(Debug)]
enum State {
    /// Nothing is recorded.
    Lapins(lapin::PublisherConfirm),
    Waiting(Box<Waiting>, Arc<Pending>),
    /// The confirmation arrived while the message was published.
    Answered(Box<lapin::Result<Confirmation>>, Arc<Pending>),
    Over,
}

impl PublisherConfirm {
    pub(super) fn lapins(confirm: lapin::PublisherConfirm) -> Self {
        Self(State::Lapins(confirm))
    }

    pub(super) fn observed(
        confirm: lapin::PublisherConfirm,
        sending: Sending,
        amqp: &Instrumentation,
        pending: &Arc<Pending>,
    ) -> Self {
        let mut waiting = Box::new(Waiting::new(confirm, sending, amqp.clone()));
        let pending = Arc::clone(pending);
        // From now on lapin reports the arrival.
        Self(match waiting.poll() {
            Poll::Ready(answer) => {
                waiting.answered(&answer);
                State::Answered(Box::new(answer), pending)
            }
            Poll::Pending => State::Waiting(waiting, pending),
        })
    }
}

impl Future for PublisherConfirm {
    type Output = lapin::Result<Confirmation>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match mem::replace(&mut self.0, State::Over) {
            State::Lapins(mut confirm) => {
                let answer = Pin::new(&mut confirm).poll(cx);
                self.0 = State::Lapins(confirm);
                answer
            }
            State::Waiting(mut waiting, pending) => {
                let answer = waiting.poll_in(cx);
                match &answer {
                    Poll::Ready(answer) => waiting.answered(answer),
                    Poll::Pending => self.0 = State::Waiting(waiting, pending),
                }
                answer
            }
            State::Answered(answer, _) => Poll::Ready(*answer),
            State::Over => Poll::Ready(Err(ErrorKind::FutureCompleted.into())),
        }
    }
}

impl Drop for PublisherConfirm {
    fn drop(&mut self) {
        match mem::replace(&mut self.0, State::Over) {
            State::Waiting(waiting, pending) => pending.dropped(waiting),
            State::Answered(answer, pending) => pending.answered(*answer),
            State::Lapins(_) | State::Over => {}
        }
    }
}

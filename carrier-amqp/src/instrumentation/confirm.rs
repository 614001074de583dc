//! The broker's confirmation, which ends the span of a message.

use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use carrier_core::instrumentation::{Failure, Sending};
use lapin::Confirmation;
use lapin::message::BasicReturnMessage;

use super::{Instrumentation, failure};
use crate::ExtractFrom as _;

/// lapin's confirmation of a published message, which ends the message's span when it comes.
///
/// Dropped, the span ends with its outcome unknown and its status unset, and lapin's
/// [`wait_for_confirms`](lapin::Channel::wait_for_confirms) waits for the confirmation as ever.
#[derive(Debug)]
pub struct PublisherConfirm {
    confirm: lapin::PublisherConfirm,
    waiting: Option<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    sending: Sending,
    amqp: Instrumentation,
}

impl PublisherConfirm {
    pub(super) fn waiting(confirm: lapin::PublisherConfirm, sending: Sending, amqp: Instrumentation) -> Self {
        Self { confirm, waiting: Some(Waiting { sending, amqp }) }
    }

    pub(super) fn answered(confirm: lapin::PublisherConfirm) -> Self {
        Self { confirm, waiting: None }
    }

    /// lapin's confirmation; the span ends with its outcome unknown.
    pub fn into_inner(self) -> lapin::PublisherConfirm {
        self.confirm
    }
}

impl Future for PublisherConfirm {
    type Output = lapin::Result<Confirmation>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(Pin::new(&mut self.confirm).poll(cx));
        if let Some(waiting) = self.waiting.take() {
            let result = waiting.judge(&answer);
            waiting.sending.ended(result);
        }
        Poll::Ready(answer)
    }
}

impl Deref for PublisherConfirm {
    type Target = lapin::PublisherConfirm;

    fn deref(&self) -> &lapin::PublisherConfirm {
        &self.confirm
    }
}

impl Waiting {
    fn judge(&self, answer: &lapin::Result<Confirmation>) -> Result<(), Failure> {
        match answer {
            Ok(Confirmation::Ack(Some(message)) | Confirmation::Nack(Some(message)))
                if self.is_ours(message) =>
            {
                Err(failure::returned(message))
            }
            Ok(Confirmation::Nack(_)) => Err(failure::refused()),
            Ok(Confirmation::Ack(_) | Confirmation::NotRequested) => Ok(()),
            Err(error) => Err(failure::of(error)),
        }
    }

    /// lapin gives returned messages to whatever confirmation comes next.
    fn is_ours(&self, message: &BasicReturnMessage) -> bool {
        let carried = self.sending.carried();
        carried.is_some_and(|carried| self.amqp.core().carries(&message.reader(), carried))
    }
}

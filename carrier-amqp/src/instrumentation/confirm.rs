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
        carried.is_some_and(|carried| self.amqp.core().carries(&message.reader(), &carried))
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
    fn sent() -> (Waiting, BasicProperties) {
        let amqp = Instrumentation::builder().tracer_provider(SdkTracerProvider::builder().build()).build();
        let mut properties = BasicProperties::default();
        let carrier = &mut PropertiesCarrier(&mut properties);
        let sending = amqp.core().send(Destination::new("orders"), carrier, |_| {});
        (Waiting { sending, amqp }, properties)
    }

    fn returned(properties: BasicProperties) -> Option<BasicReturnMessage> {
        let mut delivery = Delivery::mock(0, "".into(), "nowhere".into(), false, Vec::new());
        delivery.properties = properties;
        Some(BasicReturnMessage { delivery, reply_code: 312, reply_text: "NO_ROUTE".into() })
    }

    fn error_type(judged: Result<(), Failure>) -> Option<String> {
        judged.err().map(|failure| failure.error_type().to_owned())
    }

    #[test]
    fn a_message_that_came_back_counts_where_it_carries_this_span() {
        let (waiting, properties) = sent();
        let answer = Ok(Confirmation::Ack(returned(properties)));
        assert_eq!(error_type(waiting.judge(&answer)).as_deref(), Some("no-route"));
    }

    #[test]
    fn a_return_of_another_message_says_nothing_of_this_one() {
        let (waiting, _) = sent();
        let mut other = BasicProperties::default();
        inject(&remote_context(), &mut other);
        for properties in [other, BasicProperties::default()] {
            assert_eq!(error_type(waiting.judge(&Ok(Confirmation::Ack(returned(properties.clone()))))), None);
            let refused = waiting.judge(&Ok(Confirmation::Nack(returned(properties))));
            assert_eq!(error_type(refused).as_deref(), Some("nack"));
        }
    }

    #[test]
    fn without_a_span_no_return_is_known_to_be_its_own() {
        let suppressed = Context::new().with_telemetry_suppressed().attach();
        let (waiting, properties) = sent();
        drop(suppressed);
        assert!(!waiting.sending.context().has_active_span());
        assert_eq!(error_type(waiting.judge(&Ok(Confirmation::Ack(returned(properties))))), None);
    }
}

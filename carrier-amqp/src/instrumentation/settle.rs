//! Settlements: `basic.ack`, `basic.nack`, `basic.reject`.

use carrier_core::instrumentation::{self as core, Destination, Failure, Settlement, Settling};
use lapin::Acker;
use lapin::options::{BasicAckOptions, BasicNackOptions, BasicRejectOptions};

use super::{AsMessage, Processing, error_type, message};

impl<M: AsMessage> Processing<M> {
    /// Acknowledges the message: see [`Acker::ack`].
    ///
    /// # Errors
    ///
    /// lapin's.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(amqp: carrier_amqp::Instrumentation, delivery: lapin::message::Delivery) -> lapin::Result<bool> {
    /// let delivery = amqp.process("orders", delivery);
    /// delivery.run(async { /* … */ delivery.ack(Default::default()).await }).await
    /// # }
    /// ```
    pub async fn ack(&self, options: BasicAckOptions) -> lapin::Result<bool> {
        self.settle("ack", Settlement::Acked, self.acker().ack(options)).await
    }

    /// Acknowledges the message negatively: see [`Acker::nack`].
    ///
    /// # Errors
    ///
    /// lapin's.
    pub async fn nack(&self, options: BasicNackOptions) -> lapin::Result<bool> {
        self.settle("nack", Settlement::Nacked, self.acker().nack(options)).await
    }

    /// Rejects the message: see [`Acker::reject`].
    ///
    /// # Errors
    ///
    /// lapin's.
    pub async fn reject(&self, options: BasicRejectOptions) -> lapin::Result<bool> {
        self.settle("reject", Settlement::Rejected, self.acker().reject(options)).await
    }

    fn acker(&self) -> &Acker {
        &self.message.as_message().acker
    }

    async fn settle(
        &self,
        operation: &'static str,
        settlement: Settlement,
        call: impl Future<Output = lapin::Result<bool>>,
    ) -> lapin::Result<bool> {
        let (delivery, acker) = (self.message.as_message(), self.acker());
        let destination = || match &self.source {
            Some((amqp, queue)) => amqp.destinations.of(&message::route(delivery, queue)),
            None => Destination::none(),
        };
        let process = &self.process.inner;
        let settling =
            process.settling(operation, destination, |span| message::describe_delivery_tag(delivery, span));
        let called = acker.usable().then_some(settlement);
        let mut calling = Calling { process, acker, settling: Some(settling), called, answer: None };
        let result = call.await;
        calling.answer = Some(result.as_ref().copied().map_err(error_type::of));
        result
    }
}

/// A settlement that was called. Its drop reports it, also if the caller no longer waits for lapin's answer.
struct Calling<'a> {
    process: &'a core::Process,
    acker: &'a Acker,
    settling: Option<Settling>,
    /// `None` if lapin would send nothing: the message is settled already, or the channel is closed.
    called: Option<Settlement>,
    answer: Option<Result<bool, Failure>>,
}

impl Drop for Calling<'_> {
    fn drop(&mut self) {
        let is_poisoned = self.acker.poisoned();
        if let Some(settlement) = settlement(self.called, self.answer.as_ref(), is_poisoned) {
            self.process.settle(settlement);
        }
        let result = match self.answer.take() {
            Some(answer) => answer.map(drop),
            None if is_poisoned => Err(error_type::channel_closed()),
            // The outcome is unknown.
            None => return,
        };
        if let Some(settling) = self.settling.take() {
            settling.ended(result);
        }
    }
}

/// What is known of a settlement. `None` if this call did not settle the message.
///
/// lapin writes the frame before it answers. So without an answer the message is settled, unless the channel is closed: then
/// the broker may never have read the frame.
fn settlement(
    called: Option<Settlement>,
    answer: Option<&Result<bool, Failure>>,
    is_poisoned: bool,
) -> Option<Settlement> {
    match answer {
        Some(Ok(true)) => called,
        Some(Err(_)) => Some(Settlement::ChannelClosed),
        Some(Ok(false)) | None if is_poisoned => Some(Settlement::ChannelClosed),
        Some(Ok(false)) => None,
        None => called,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_answer_a_closed_channel_says_that_nothing_was_settled() {
        use Settlement::*;
        for called in [Acked, Nacked, Rejected] {
            let of = |answer: Option<Result<bool, Failure>>, is_poisoned| {
                settlement(Some(called), answer.as_ref(), is_poisoned)
            };
            assert_eq!(of(None, true), Some(ChannelClosed));
            assert_eq!(of(None, false), Some(called));
            // An answer counts, also if the channel was closed afterwards.
            assert_eq!(of(Some(Ok(true)), true), Some(called));
            assert_eq!(of(Some(Ok(true)), false), Some(called));
            assert_eq!(of(Some(Ok(false)), true), Some(ChannelClosed));
            assert_eq!(of(Some(Err(Failure::new("io-error", ""))), false), Some(ChannelClosed));
        }
    }

    #[test]
    fn a_second_settlement_says_nothing() {
        assert_eq!(settlement(None, Some(&Ok(false)), false), None);
        assert_eq!(settlement(None, None, false), None);
    }
}

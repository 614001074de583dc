//! The producer's context around the user's: it sees the delivery reports first.

use std::error::Error;
use std::fmt;
use std::ops::Deref;

use carrier_core::instrumentation::Sending;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::producer::{DeliveryResult, Partitioner, ProducerContext};
use rdkafka::util::IntoOpaque;
use rdkafka::{ClientContext, Message as _, Statistics};

use super::outgoing::report;

/// A user's producer context, and the spans that end when it is told of a delivery.
///
/// Everything is the user's: callbacks, partitioner, tokens.
#[derive(Debug, Clone)]
pub struct InstrumentedContext<C>(C);

impl<C> InstrumentedContext<C> {
    pub(super) fn new(context: C) -> Self {
        Self(context)
    }
}

impl<C> Deref for InstrumentedContext<C> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.0
    }
}

/// A user's delivery opaque, and the span of its message.
///
/// One that is made [from](From) an opaque alone has no span: for a message that is sent past the instrumentation.
pub struct Envelope<D> {
    opaque: D,
    /// Only where somebody is told how it ends: a queue may hold a hundred thousand contexts.
    sending: Option<Sending>,
}

impl<D> Envelope<D> {
    pub(super) fn new(opaque: D, sending: Sending) -> Self {
        let sending = Some(sending).filter(Sending::is_observed);
        Self { opaque, sending }
    }

    pub(super) fn open(self) -> (D, Option<Sending>) {
        (self.opaque, self.sending)
    }
}

impl<D> From<D> for Envelope<D> {
    fn from(opaque: D) -> Self {
        Self { opaque, sending: None }
    }
}

impl<D> fmt::Debug for Envelope<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope").field("sending", &self.sending).finish_non_exhaustive()
    }
}

impl<C: ClientContext> ClientContext for InstrumentedContext<C> {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = C::ENABLE_REFRESH_OAUTH_TOKEN;

    fn log(&self, level: RDKafkaLogLevel, fac: &str, log_message: &str) {
        self.0.log(level, fac, log_message);
    }

    fn stats(&self, statistics: Statistics) {
        self.0.stats(statistics);
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.0.stats_raw(statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(error, reason);
    }

    fn generate_oauth_token(&self, oauthbearer_config: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        self.0.generate_oauth_token(oauthbearer_config)
    }
}

impl<C, Part> ProducerContext<Part> for InstrumentedContext<C>
where
    C: ProducerContext<Part>,
    Part: Partitioner,
    C::DeliveryOpaque: IntoOpaque,
{
    type DeliveryOpaque = Box<Envelope<C::DeliveryOpaque>>;

    fn delivery(&self, delivery_result: &DeliveryResult<'_>, envelope: Self::DeliveryOpaque) {
        let (opaque, sending) = envelope.open();
        if let Some(sending) = sending {
            match delivery_result {
                Ok(message) => report(sending, message.partition(), Ok(message.offset())),
                Err((error, message)) => report(sending, message.partition(), Err(error)),
            }
        }
        self.0.delivery(delivery_result, opaque);
    }

    fn get_custom_partitioner(&self) -> Option<&Part> {
        self.0.get_custom_partitioner()
    }
}

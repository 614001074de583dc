//! Records that are sent and for which there is no delivery report yet: it ends the span.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use carrier_core::instrumentation::{Failure, Sending, attribute};
use futures_channel::oneshot;
use opentelemetry::Context;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::producer::future_producer::{Delivery, OwnedDeliveryResult};
use rdkafka::producer::{DeliveryResult, Partitioner, ProducerContext};
use rdkafka::util::DefaultRuntime;
use rdkafka::{ClientContext, Message as _, Statistics};

use super::destination::partition_id;
use super::{ClientStatistics, error_type};

/// A user's delivery opaque, together with the span of its message.
///
/// An envelope made [from](From) an opaque has no span: for a message that is sent with rdkafka's producer.
#[derive(Debug)]
pub struct Envelope<D> {
    opaque: D,
    span: Unreported,
}

/// The span of a record for which there is no delivery report yet.
#[derive(Debug)]
struct Unreported(Option<Sending>);

impl Drop for Unreported {
    /// Only a record that librdkafka did not take is dropped: its report would have taken the span out.
    fn drop(&mut self) {
        if let Some(sending) = self.0.take() {
            sending.ended(Err(Failure::new("cancelled", "the record was dropped before librdkafka took it")));
        }
    }
}

impl<D> Envelope<D> {
    pub(super) fn sending(&mut self) -> &mut Option<Sending> {
        &mut self.span.0
    }

    pub(super) fn open(mut self) -> (D, Option<Sending>) {
        let sending = self.span.0.take();
        (self.opaque, sending)
    }
}

impl<D> From<D> for Envelope<D> {
    fn from(opaque: D) -> Self {
        Self { opaque, span: Unreported(None) }
    }
}

/// Ends the span with a delivery report: the partition, and the offset or an error.
fn report(mut sending: Sending, result: &DeliveryResult<'_>) {
    let (Ok(message) | Err((_, message))) = result;
    if let Some(id) = partition_id(message.partition()) {
        sending.partition(id);
    }
    match result {
        Ok(message) => {
            // Without acknowledgements from the broker there is no offset.
            if message.offset() >= 0 {
                sending.details(|span| span.set(attribute::MESSAGING_KAFKA_OFFSET, message.offset()));
            }
            sending.ended(Ok(()));
        }
        Err((error, _)) => sending.ended(Err(error_type::of(error))),
    }
}

/// The first panic of a user's callback, until a call of the user's program resumes it.
///
/// rdkafka passes the reports of one event on in a loop, on its own thread in some producers. A panic would lose the rest of
/// the reports, and end the thread, so that no later report arrived.
#[derive(Debug, Clone, Default)]
pub(super) struct CaughtPanic(Arc<Mutex<Option<Box<dyn Any + Send>>>>);

impl CaughtPanic {
    fn catch<T>(&self, callback: impl FnOnce() -> T) -> Option<T> {
        match catch_unwind(AssertUnwindSafe(callback)) {
            Ok(output) => Some(output),
            Err(panic) => {
                self.first().get_or_insert(panic);
                None
            }
        }
    }

    /// Resumes the panic on this thread, unless it panics already.
    pub(super) fn resume(&self) {
        if std::thread::panicking() {
            return;
        }
        let panic = self.first().take();
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    fn first(&self) -> MutexGuard<'_, Option<Box<dyn Any + Send>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A user's producer context, which also ends the spans of delivered messages.
///
/// It forwards everything to the user's context: callbacks, partitioner, tokens. In `delivery`, the context of the message
/// is current: that of its span, which has ended.
///
/// A callback that panics does not keep the others from being called. The next `poll`, `flush` or transaction call of the
/// program resumes the first panic; a [`ThreadedProducer`](super::ThreadedProducer)'s own thread goes on. A partitioner that
/// panics ends the process, as it does without us.
#[derive(Clone)]
pub struct InstrumentedContext<C, F = ()> {
    context: C,
    panic: CaughtPanic,
    statistics: Option<ClientStatistics>,
    futures: PhantomData<F>,
}

/// A user's context in a [`FutureProducer`](super::FutureProducer): delivery reports also complete futures.
pub type FutureProducerContext<C, R = DefaultRuntime> = InstrumentedContext<C, Futures<R>>;

/// Marks the context of a producer whose futures use a runtime.
#[derive(Debug)]
pub struct Futures<R>(PhantomData<fn() -> R>);

/// Completes a future with the delivery report.
pub(super) type Answer = oneshot::Sender<OwnedDeliveryResult>;

impl<C, F> InstrumentedContext<C, F> {
    pub(super) fn new(context: C, panic: CaughtPanic, statistics: Option<ClientStatistics>) -> Self {
        Self { context, panic, statistics, futures: PhantomData }
    }
}

impl<C, Part> ProducerContext<Part> for InstrumentedContext<C>
where
    C: ProducerContext<Part>,
    Part: Partitioner,
{
    type DeliveryOpaque = Box<Envelope<C::DeliveryOpaque>>;

    fn delivery(&self, delivery_result: &DeliveryResult<'_>, envelope: Self::DeliveryOpaque) {
        let (opaque, sending) = envelope.open();
        let context = sending.as_ref().map(Sending::context);
        self.panic.catch(|| sending.map(|sending| report(sending, delivery_result)));
        self.panic.catch(|| {
            let _current = context.map(Context::attach);
            self.context.delivery(delivery_result, opaque);
        });
    }

    fn get_custom_partitioner(&self) -> Option<&Part> {
        self.context.get_custom_partitioner()
    }
}

impl<C, R, Part> ProducerContext<Part> for FutureProducerContext<C, R>
where
    C: ClientContext + 'static,
    R: 'static,
    Part: Partitioner,
{
    type DeliveryOpaque = Box<Envelope<Answer>>;

    fn delivery(&self, delivery_result: &DeliveryResult<'_>, envelope: Self::DeliveryOpaque) {
        let (answer, sending) = envelope.open();
        self.panic.catch(|| sending.map(|sending| report(sending, delivery_result)));
        self.panic.catch(|| complete(answer, delivery_result));
    }
}

/// Completes a future, if it is still there.
fn complete(answer: Answer, result: &DeliveryResult<'_>) {
    if answer.is_canceled() {
        return;
    }
    let owned = match result {
        Ok(message) => Ok(Delivery {
            partition: message.partition(),
            offset: message.offset(),
            timestamp: message.timestamp(),
        }),
        Err((error, message)) => Err((error.clone(), message.detach())),
    };
    let _dropped_since = answer.send(owned);
}

impl<C, F> Deref for InstrumentedContext<C, F> {
    type Target = C;

    fn deref(&self) -> &C {
        &self.context
    }
}

impl<C: fmt::Debug, F> fmt::Debug for InstrumentedContext<C, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("InstrumentedContext").field(&self.context).finish()
    }
}

impl<C: ClientContext, F: Send + Sync + 'static> ClientContext for InstrumentedContext<C, F> {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = C::ENABLE_REFRESH_OAUTH_TOKEN;

    fn log(&self, level: RDKafkaLogLevel, fac: &str, log_message: &str) {
        self.panic.catch(|| self.context.log(level, fac, log_message));
    }

    fn stats(&self, statistics: Statistics) {
        self.panic.catch(|| self.context.stats(statistics));
    }

    /// Parses twice: whether the user's context parses as well is not known.
    fn stats_raw(&self, statistics: &[u8]) {
        self.panic.catch(|| self.statistics.as_ref().map(|ours| ours.stats_raw(statistics)));
        self.panic.catch(|| self.context.stats_raw(statistics));
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.panic.catch(|| self.context.error(error, reason));
    }

    fn generate_oauth_token(&self, config: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        let token = self.panic.catch(|| self.context.generate_oauth_token(config));
        token.unwrap_or_else(|| Err("the callback panicked".into()))
    }
}

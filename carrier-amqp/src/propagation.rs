//! The two lines.

use carrier_core::{Extraction, Injection, Propagation, TextMapCarrier};
use lapin::BasicProperties;
use lapin::types::FieldTable;
use opentelemetry::Context;

use crate::{ExtractFrom, FieldTableCarrier, PropertiesCarrier};

/// What a context can be injected into: the properties of a message that is published, or its headers.
#[diagnostic::on_unimplemented(
    message = "a context cannot be injected into `{Self}`",
    note = "it can into `BasicProperties` and `FieldTable`; a received message is only read"
)]
pub trait InjectInto {
    /// The carrier that writes this type's headers.
    type Carrier<'a>: TextMapCarrier
    where
        Self: 'a;

    /// The headers, as a carrier.
    fn carrier(&mut self) -> Self::Carrier<'_>;
}

impl InjectInto for BasicProperties {
    type Carrier<'a> = PropertiesCarrier<'a>;

    fn carrier(&mut self) -> PropertiesCarrier<'_> {
        PropertiesCarrier(self)
    }
}

impl InjectInto for FieldTable {
    type Carrier<'a> = FieldTableCarrier<'a>;

    fn carrier(&mut self) -> FieldTableCarrier<'_> {
        FieldTableCarrier(self)
    }
}

/// Writes the context into a message; with a context that has no span, the propagator's old fields are removed as well.
///
/// Into [`BasicProperties`] it costs one clone of the headers that are there, into a [`FieldTable`] none. The fields are
/// written as long strings (`S`); every other header stays as it was. Which propagator is used, and what is written where
/// none is registered, is said at [`carrier_core::inject`].
///
/// # Examples
///
/// ```
/// use carrier_amqp::lapin::BasicProperties;
/// use carrier_amqp::opentelemetry::Context;
///
/// let mut properties = BasicProperties::default();
/// carrier_amqp::inject(&Context::current(), &mut properties);
/// // channel.basic_publish(exchange, routing_key, options, body, properties)
/// ```
pub fn inject<T: InjectInto + ?Sized>(cx: &Context, target: &mut T) -> Injection {
    carrier_core::inject(cx, &mut target.carrier())
}

/// Writes the context into a message with a configuration of one's own, and says what was done.
///
/// As [`inject`]; with a context that has no span, the propagator's old fields are removed as well.
pub fn inject_with<T: InjectInto + ?Sized>(
    propagation: &Propagation,
    cx: &Context,
    target: &mut T,
) -> Injection {
    propagation.inject(cx, &mut target.carrier())
}

/// Reads the context that a message brought; an empty context where there is none.
///
/// It never fails and never panics, whatever the types and values of the headers, and never takes over the span that
/// happens to be current.
///
/// # Examples
///
/// ```
/// use carrier_amqp::lapin::message::Delivery;
/// use carrier_amqp::opentelemetry::context::FutureExt;
///
/// async fn work(delivery: Delivery) {
///     let cx = carrier_amqp::extract(&delivery);
///     handle(delivery).with_context(cx).await;
/// }
///
/// async fn handle(delivery: Delivery) { /* … */ }
/// ```
pub fn extract<T: ExtractFrom + ?Sized>(message: &T) -> Context {
    carrier_core::extract(&message.reader())
}

/// Reads the context that a message brought with a configuration of one's own; an empty context where there is none.
pub fn extract_with<T: ExtractFrom + ?Sized>(propagation: &Propagation, message: &T) -> Context {
    propagation.extract(&message.reader())
}

/// Reads the context that a message brought, and says what was found.
pub fn inspect<T: ExtractFrom + ?Sized>(message: &T) -> Extraction {
    carrier_core::inspect(&message.reader())
}

/// Reads the context that a message brought with a configuration of one's own, and says what was found.
pub fn inspect_with<T: ExtractFrom + ?Sized>(propagation: &Propagation, message: &T) -> Extraction {
    propagation.inspect(&message.reader())
}

//! Injection and extraction for lapin's types.

use carrier_core::{Extraction, Injection, Propagation, TextMapCarrier};
use lapin::BasicProperties;
use lapin::message::{BasicGetMessage, BasicReturnMessage, Delivery};
use lapin::types::FieldTable;
use opentelemetry::Context;

use crate::{FieldTableCarrier, FieldTableReader, PropertiesCarrier};

/// A type that a context can be extracted from: a message of lapin, its properties, or its headers.
///
/// Implement it for your own type that holds a message.
#[diagnostic::on_unimplemented(
    message = "a context cannot be extracted from `{Self}`",
    note = "it can from `Delivery`, `BasicGetMessage`, `BasicReturnMessage`, `BasicProperties` and `FieldTable`"
)]
pub trait ExtractFrom {
    /// Returns the headers as a reader.
    fn reader(&self) -> FieldTableReader<'_>;
}

impl ExtractFrom for FieldTable {
    fn reader(&self) -> FieldTableReader<'_> {
        FieldTableReader(Some(self))
    }
}

impl ExtractFrom for BasicProperties {
    fn reader(&self) -> FieldTableReader<'_> {
        FieldTableReader(self.headers().as_ref())
    }
}

impl ExtractFrom for Delivery {
    fn reader(&self) -> FieldTableReader<'_> {
        self.properties.reader()
    }
}

impl ExtractFrom for BasicGetMessage {
    fn reader(&self) -> FieldTableReader<'_> {
        self.delivery.reader()
    }
}

impl ExtractFrom for BasicReturnMessage {
    fn reader(&self) -> FieldTableReader<'_> {
        self.delivery.reader()
    }
}

impl<T: ExtractFrom + ?Sized> ExtractFrom for &T {
    fn reader(&self) -> FieldTableReader<'_> {
        (**self).reader()
    }
}

/// A type that a context can be injected into: the properties of a message to publish, or its headers.
#[diagnostic::on_unimplemented(
    message = "a context cannot be injected into `{Self}`",
    note = "it can into `BasicProperties` and `FieldTable`; a received message is only read"
)]
pub trait InjectInto {
    /// Returns the headers as a carrier.
    fn carrier(&mut self) -> impl TextMapCarrier;
}

impl InjectInto for BasicProperties {
    fn carrier(&mut self) -> impl TextMapCarrier {
        PropertiesCarrier(self)
    }
}

impl InjectInto for FieldTable {
    fn carrier(&mut self) -> impl TextMapCarrier {
        FieldTableCarrier(self)
    }
}

/// Writes the context into a message; a context without a span removes the propagator's old fields.
///
/// Injecting into [`BasicProperties`] costs one clone of their headers, into a [`FieldTable`] none. The fields are written
/// as long strings (`S`). Every other header stays as it is. [`carrier_core::inject`] documents which propagator is used.
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

/// Writes the context into a message with your own configuration.
///
/// As [`inject`].
pub fn inject_with<T: InjectInto + ?Sized>(
    propagation: &Propagation,
    cx: &Context,
    target: &mut T,
) -> Injection {
    propagation.inject(cx, &mut target.carrier())
}

/// Reads the context of a message; returns an empty context if there is none.
///
/// It never fails and never panics, whatever the types and values of the headers. The current span is never used.
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

/// Reads the context of a message with your own configuration; returns an empty context if there is none.
pub fn extract_with<T: ExtractFrom + ?Sized>(propagation: &Propagation, message: &T) -> Context {
    propagation.extract(&message.reader())
}

/// Reads the context of a message, and reports what was found.
pub fn inspect<T: ExtractFrom + ?Sized>(message: &T) -> Extraction {
    carrier_core::inspect(&message.reader())
}

/// Reads the context of a message with your own configuration, and reports what was found.
pub fn inspect_with<T: ExtractFrom + ?Sized>(propagation: &Propagation, message: &T) -> Extraction {
    propagation.inspect(&message.reader())
}

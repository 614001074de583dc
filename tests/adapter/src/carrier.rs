//! Level 1: the headers of the broker's messages as a carrier.

use carrier_core::opentelemetry::Context;
use carrier_core::{FieldNames, FieldValue, Fields, Injection, MessageSize, TextMapCarrier, TextMapReader};

use crate::broker::{Delivery, Headers, Message};

/// Reads the headers of a message.
#[derive(Debug, Clone, Copy)]
pub struct HeadersReader<'a>(pub &'a Headers);

impl TextMapReader for HeadersReader<'_> {
    fn entries(&self) -> impl Iterator<Item = (&str, FieldValue<'_>)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.into()))
    }
}

/// Writes the headers of a message that the broker takes up to `limit` bytes.
#[derive(Debug)]
pub struct MessageCarrier<'a> {
    /// The message.
    pub message: &'a mut Message,
    /// The broker's limit, if it is known.
    pub limit: Option<usize>,
}

impl TextMapReader for MessageCarrier<'_> {
    fn entries(&self) -> impl Iterator<Item = (&str, FieldValue<'_>)> {
        self.message.headers.iter().map(|(name, value)| (name.as_str(), value.into()))
    }
}

impl TextMapCarrier for MessageCarrier<'_> {
    fn replace(&mut self, fields: &mut Fields<'_>) {
        let headers = &mut self.message.headers;
        if fields.may_replace() {
            headers.retain(|(name, _)| !fields.replaces(name));
        }
        headers.reserve(fields.additions());
        headers.extend(fields.drain().map(|(name, value)| (name.into_owned(), value.take_bytes())));
    }

    fn measure(&self, names: &FieldNames<'_>) -> MessageSize {
        let (mut is_present, mut bytes) = (false, self.message.body.len());
        for (name, value) in &self.message.headers {
            match names.position(name) {
                Some(_) => is_present = true,
                None => bytes += name.len() + value.len() + 2,
            }
        }
        MessageSize::limited(is_present, bytes, self.limit, |name, value| name.len() + value + 2)
    }
}

/// Writes the context into a message.
pub fn inject(cx: &Context, message: &mut Message) -> Injection {
    carrier_core::inject(cx, &mut MessageCarrier { message, limit: None })
}

/// Reads the context of a message.
pub fn extract(delivery: &Delivery) -> Context {
    carrier_core::extract(&HeadersReader(&delivery.message.headers))
}

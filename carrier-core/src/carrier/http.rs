//! HTTP headers as a carrier.

use ::http::{HeaderMap, HeaderName, HeaderValue};

use super::{FieldValue, Fields, TextMapCarrier, TextMapReader};
use crate::format::{W3C_FIELDS, slot};

/// The W3C fields as parsed names, since parsing one takes longer than looking it up.
static NAMES: [HeaderName; W3C_FIELDS.len()] = [
    HeaderName::from_static(W3C_FIELDS[0]),
    HeaderName::from_static(W3C_FIELDS[1]),
    HeaderName::from_static(W3C_FIELDS[2]),
];

impl TextMapReader for HeaderMap {
    fn entries(&self) -> impl Iterator<Item = (&str, FieldValue<'_>)> {
        self.iter().map(|(name, value)| (name.as_str(), FieldValue::Bytes(value.as_bytes())))
    }
}

impl TextMapCarrier for HeaderMap {
    fn replace(&mut self, fields: &mut Fields<'_>) {
        if fields.may_replace() {
            for name in fields.names() {
                match slot(name) {
                    Some(slot) => self.remove(&NAMES[slot]),
                    None => self.remove(name),
                };
            }
        }
        let headers = fields.drain();
        // An empty map would reserve room for eight.
        let _ = self.try_reserve(headers.len());
        for (name, value) in headers {
            let name = match slot(&name) {
                Some(slot) => Ok(NAMES[slot].clone()),
                None => HeaderName::try_from(&*name),
            };
            let (Ok(name), Ok(value)) = (name, HeaderValue::try_from(value.take_bytes())) else { continue };
            // A full map (32,768 headers) keeps what it has: `insert` would panic.
            let _ = self.try_insert(name, value);
        }
    }
}

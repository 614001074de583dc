//! The properties of a message that is published, as a carrier.

use carrier_core::{Copies, FieldValue, Fields, TextMapCarrier, TextMapReader};
use lapin::BasicProperties;
use lapin::types::FieldTable;

use crate::{size, table};

/// The `headers` of [`BasicProperties`], written at the cost of one clone of the table.
///
/// lapin hands the table out by shared reference only. Where the clone matters, inject into the [`FieldTable`] before it
/// goes into the properties.
#[derive(Debug)]
pub struct PropertiesCarrier<'a>(pub &'a mut BasicProperties);

impl TextMapReader for PropertiesCarrier<'_> {
    fn keys(&self) -> impl Iterator<Item = &str> {
        table::keys(self.0.headers().as_ref())
    }

    fn get_all<'a>(&'a self, key: &str) -> impl Iterator<Item = FieldValue<'a>> {
        table::get(self.0.headers().as_ref(), key)
    }

    fn copies<'a, const N: usize>(&'a self, keys: [&str; N]) -> [Copies<'a>; N] {
        table::copies(self.0.headers().as_ref(), keys)
    }

    fn has_any(&self, keys: &[&str]) -> bool {
        table::has_any(self.0.headers().as_ref(), keys)
    }
}

impl TextMapCarrier for PropertiesCarrier<'_> {
    fn replace(&mut self, fields: &mut Fields<'_>) {
        let old = self.0.headers().as_ref();
        let stale = old.is_some_and(|old| table::is_stale(old, fields));
        if !stale && fields.entries().len() == 0 {
            // A message without headers stays distinct from one with an empty table.
            return;
        }
        let mut headers = match old {
            Some(old) if stale => table::without_stale(old, fields),
            Some(old) => old.clone(),
            None => FieldTable::default(),
        };
        table::insert(&mut headers, fields);
        *self.0 = std::mem::take(self.0).with_headers(headers);
    }

    fn entry_size(&self, key: &str, value: usize) -> usize {
        size::entry(key, value)
    }

    fn size_if_absent<const N: usize>(&self, keys: [&str; N]) -> Option<usize> {
        size::content_header_if_absent(self.0, keys)
    }

    fn size_without(&self, fields: &Fields<'_>) -> usize {
        size::content_header(self.0, fields)
    }

    fn size_limit(&self, size: usize) -> Option<usize> {
        size::usual_limit(size)
    }
}

#[cfg(test)]
mod tests {
    use carrier_core::opentelemetry::Context;
    use carrier_core::testing::remote_context;
    use lapin::types::AMQPValue;

    use super::*;
    use crate::inject;
    use crate::testing::{assert_carries, assert_carries_nothing};

    #[test]
    fn the_other_properties_stay() {
        let properties =
            || BasicProperties::default().with_content_type("text/plain".into()).with_priority(3);
        let mut sent = properties();
        let cx = remote_context();
        inject(&cx, &mut sent);
        assert_carries(&sent, &cx);
        let headers = sent.headers().clone().unwrap_or_default();
        assert_eq!(sent, properties().with_headers(headers));
    }

    #[test]
    fn no_headers_stay_no_headers_without_a_context() {
        let mut properties = BasicProperties::default();
        inject(&Context::new(), &mut properties);
        assert_eq!(*properties.headers(), None);
    }

    #[test]
    fn without_a_span_the_old_context_goes_and_the_users_headers_stay() {
        let mut user = FieldTable::default();
        user.insert("user".into(), AMQPValue::Boolean(true));
        let mut properties = BasicProperties::default().with_headers(user.clone());
        inject(&remote_context(), &mut properties);
        inject(&Context::new(), &mut properties);
        assert_carries_nothing(&properties);
        assert_eq!(*properties.headers(), Some(user));
    }

    #[test]
    fn headers_over_the_common_frame_show_a_larger_one_and_get_their_trace() {
        let mut user = FieldTable::default();
        user.insert("user".into(), AMQPValue::LongString("u".repeat(200_000).into()));
        let cx = remote_context();
        let mut properties = BasicProperties::default().with_headers(user.clone());
        inject(&cx, &mut properties);
        assert_carries(&properties, &cx);
        inject(&cx, &mut user);
        assert_carries(&user, &cx);
    }

    #[test]
    fn injecting_again_replaces_the_context() {
        let mut properties = BasicProperties::default();
        inject(&remote_context(), &mut properties);
        let cx = remote_context();
        inject(&cx, &mut properties);
        assert_carries(&properties, &cx);
    }
}

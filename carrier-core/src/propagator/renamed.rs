//! Other names for the headers of a propagator.

use std::fmt;

use opentelemetry::Context;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};

/// A propagator whose headers have other names, such as `x-traceparent`.
///
/// The values stay the same. A list under another name is not shortened by a [`Budget`](crate::Budget), and read up to
/// 8,192 bytes. A propagator that finds its headers by the start of their names, as Jaeger's does for baggage, does not
/// find those.
///
/// # Examples
///
/// ```
/// use carrier_core::{Propagation, Renamed, w3c};
///
/// let propagator = Renamed::new(w3c(), |name| format!("x-{name}"));
/// let headers = vec![(
///     "x-traceparent".to_owned(),
///     "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
/// )];
/// let found = Propagation::builder().propagator(propagator).build().inspect(&headers);
/// assert_eq!(found.status().label(), "valid");
/// ```
pub struct Renamed<P, F> {
    propagator: P,
    name: F,
    fields: Vec<String>,
}

impl<P: TextMapPropagator, F: Fn(&str) -> String + Send + Sync> Renamed<P, F> {
    /// Returns a propagator that uses `name` of each header name of `propagator`.
    pub fn new(propagator: P, name: F) -> Self {
        let fields = propagator.fields().map(&name).collect();
        Self { propagator, name, fields }
    }
}

impl<P: fmt::Debug, F> fmt::Debug for Renamed<P, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renamed").field("propagator", &self.propagator).field("fields", &self.fields).finish()
    }
}

impl<P: TextMapPropagator, F: Fn(&str) -> String + Send + Sync> TextMapPropagator for Renamed<P, F> {
    fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
        self.propagator.inject_context(cx, &mut To { name: &self.name, injector });
    }

    fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
        let keys = self.propagator.fields().collect();
        self.propagator.extract_with_context(cx, &From { name: &self.name, keys, extractor })
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&self.fields)
    }
}

struct To<'a, F> {
    name: &'a F,
    injector: &'a mut dyn Injector,
}

impl<F: Fn(&str) -> String> Injector for To<'_, F> {
    fn set(&mut self, key: &str, value: String) {
        self.injector.set(&(self.name)(key), value);
    }
}

struct From<'a, F> {
    name: &'a F,
    keys: Vec<&'a str>,
    extractor: &'a dyn Extractor,
}

impl<F: Fn(&str) -> String> Extractor for From<'_, F> {
    fn get(&self, key: &str) -> Option<&str> {
        self.extractor.get(&(self.name)(key))
    }

    fn keys(&self) -> Vec<&str> {
        self.keys.iter().copied().filter(|key| self.get(key).is_some()).collect()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        self.extractor.get_all(&(self.name)(key))
    }
}

//! Compares what every path through the library reads from the same headers.

use std::sync::Once;

use carrier_core::{AsExtractor, FieldValue, FromExtractor, Propagation, TextMapReader, w3c};
use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt;
use opentelemetry::propagation::{Extractor, TextMapCompositePropagator, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;

/// Headers of raw bytes.
#[derive(Debug, Clone)]
pub(crate) struct Raw(pub(crate) Vec<(String, Vec<u8>)>);

impl TextMapReader for Raw {
    fn entries(&self) -> impl Iterator<Item = (&str, FieldValue<'_>)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.into()))
    }
}

/// Another crate's extractor around a view.
struct Around<E>(E);

impl<E: Extractor> Extractor for Around<E> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        self.0.get_all(key)
    }
}

/// What a context carries, comparable.
pub(crate) fn carried(cx: &Context) -> String {
    let mut baggage: Vec<_> = cx.baggage().iter().map(|(key, value)| format!("{key}={value:?}")).collect();
    baggage.sort();
    let mut sent = std::collections::BTreeMap::new();
    Propagation::w3c().inject(cx, &mut sent);
    format!("{:?} {baggage:?} {sent:?}", cx.span().span_context())
}

pub(crate) fn install() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| Propagation::w3c().install().unwrap());
}

/// Reads headers on each path; the first is the one to compare with.
fn paths(raw: &Raw) -> Vec<(&'static str, String)> {
    let composite = || TextMapCompositePropagator::new(vec![Box::new(w3c())]);
    let foreign = Propagation::builder().propagator(composite()).build();
    let extract =
        |extractor: &dyn Extractor| carried(&w3c().extract_with_context(&Context::new(), extractor));
    vec![
        ("own", carried(&Propagation::w3c().extract(raw))),
        ("own, inspect", carried(Propagation::w3c().inspect(raw).context())),
        ("installed", carried(&carrier_core::extract(raw))),
        ("installed, inspect", carried(carrier_core::inspect(raw).context())),
        ("foreign", carried(&foreign.extract(raw))),
        ("foreign, inspect", carried(foreign.inspect(raw).context())),
        ("view", extract(&AsExtractor::new(raw))),
        ("view behind a foreign extractor", extract(&Around(AsExtractor::new(raw)))),
        ("view of a view", carried(&Propagation::w3c().extract(&FromExtractor(&AsExtractor::new(raw))))),
    ]
}

pub(crate) fn assert_same(raw: &Raw) {
    let paths = paths(raw);
    let (_, expected) = paths[0].clone();
    for (path, found) in paths {
        assert_eq!(found, expected, "{path} of {raw:?}");
    }
    let composite = TextMapCompositePropagator::new(vec![Box::new(w3c())]);
    let foreign = Propagation::builder().propagator(composite).build();
    assert_eq!(carrier_core::inspect(raw).status(), foreign.inspect(raw).status(), "{raw:?}");
}

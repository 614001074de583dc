//! The four ways in which a program sets us up.

use std::sync::atomic::Ordering;

use carrier_core::{Propagation, w3c};
use opentelemetry::global::set_text_map_propagator;
use opentelemetry::trace::noop::NoopTextMapPropagator;

use crate::meter::{self, INSTALLED, Meter, Row, is_installed};

/// Goes through the cases twice. A default is installed once for the whole process and replaces what is registered, so
/// everything else is measured before.
pub(crate) fn passes(mut cases: impl FnMut()) {
    cases();
    install();
    cases();
}

fn install() {
    let is_first = Propagation::w3c().install().is_ok();
    assert!(is_first, "only this process' second pass installs a default");
    meter::IS_INSTALLED.store(true, Ordering::Relaxed);
}

/// A `Propagation` with our propagator, which is passed explicitly.
pub fn own() -> Propagation {
    Propagation::w3c()
}

impl<M: Meter> Row<'_, M> {
    /// Our ways: a `Propagation` passed explicitly, and the free functions of a program that installed one, that registered
    /// nothing, and that registered our propagator with OpenTelemetry's global only.
    pub fn ours<I, O>(
        self,
        make: impl Fn() -> I,
        with: impl Fn(&Propagation, I) -> O,
        free: impl Fn(I) -> O,
    ) -> Self {
        if is_installed() {
            return self.and(INSTALLED, make, free);
        }
        let own = own();
        let row = self.and("own", &make, |input| with(&own, input)).and("default", &make, &free);
        set_text_map_propagator(w3c());
        let row = row.and("registered", make, free);
        // OpenTelemetry's own default is this no-op.
        set_text_map_propagator(NoopTextMapPropagator::new());
        row
    }

    /// The same for work that changes what is made.
    pub fn ours_in_place<I>(
        self,
        make: impl Fn() -> I,
        with: impl Fn(&Propagation, &mut I),
        free: impl Fn(&mut I),
    ) -> Self {
        let with = |own: &Propagation, input| in_place(|input| with(own, input))(input);
        self.ours(make, with, in_place(free))
    }
}

/// Work that changes what is made.
pub fn in_place<I>(work: impl Fn(&mut I)) -> impl Fn(I) -> I {
    move |mut input| {
        work(&mut input);
        input
    }
}

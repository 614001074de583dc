//! The rows of level 2 on the side of a consumer, which are the same for every client.

use carrier_core::Propagation;
use opentelemetry::Context;
use opentelemetry::trace::{TraceContextExt as _, TracerProvider as _};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

use crate::{Meter, PARENT, Row, UNSAMPLED, own, recorded, unsampled};

/// What a client's rows are made of: a message `T` and an instrumentation `I`.
#[derive(Clone, Copy, Debug)]
pub struct Process<T, I> {
    /// The beginning of the rows' names.
    pub area: &'static str,
    /// Makes a message with this `traceparent`.
    pub message: fn(&str) -> T,
    /// Level 1.
    pub extract: fn(&Propagation, &T) -> Context,
    /// The same span by hand: what a sampler may want in any case, and the rest if it is recorded.
    pub by_hand: fn(&SdkTracer, &Context, &T, is_recorded: bool) -> Context,
    /// Builds an instrumentation, which may skip spans that nobody sampled.
    pub instrumentation: fn(&SdkTracerProvider, skip_unsampled: bool) -> I,
    /// Level 2.
    pub process: fn(&I, &T),
}

impl<T, I> Process<T, I> {
    /// Measures a span that is recorded, one that is not, and none at all.
    pub fn rows(self, meter: &mut impl Meter) {
        let Self { area, extract, by_hand, process, .. } = self;
        let level_1 = own();
        for (provider, name, is_recorded) in
            [(unsampled(), "not recorded", false), (recorded(), "recorded", true)]
        {
            let (ours, tracer) = ((self.instrumentation)(&provider, false), provider.tracer("by hand"));
            let (message, row) = ((self.message)(PARENT), format!("{area}: process, {name}"));
            let make = || &message;
            let row = Row::new(meter, row, make, |message| {
                by_hand(&tracer, &extract(&level_1, message), message, is_recorded).span().end();
            });
            row.and("own", make, |message| process(&ours, message));
        }
        // Level 1 alone is left of a message whose sender was not sampled.
        let (ours, message) = ((self.instrumentation)(&unsampled(), true), (self.message)(UNSAMPLED));
        let make = || &message;
        let row = format!("{area}: process, skipped");
        let row = Row::new(meter, row, make, |message| drop(extract(&level_1, message)));
        row.and("own", make, |message| process(&ours, message));
    }

    /// Makes one span by hand and one of ours: a test compares them.
    pub fn pair(self, provider: &SdkTracerProvider) {
        let message = (self.message)(PARENT);
        let parent = (self.extract)(&own(), &message);
        (self.by_hand)(&provider.tracer("by hand"), &parent, &message, true).span().end();
        (self.process)(&(self.instrumentation)(provider, false), &message);
    }
}

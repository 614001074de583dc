//! A service: its own tracer provider, and one span for what it does.

use carrier_tests::telemetry::Recorder;
use opentelemetry::Context;
use opentelemetry::trace::{TraceContextExt as _, Tracer as _};
use opentelemetry_sdk::trace::SpanData;

pub(crate) use carrier_tests::{LIMIT, within};

/// One service of several: nothing but messages connects it with the others.
#[derive(Clone, Debug, Default)]
pub(crate) struct Service(Recorder);

impl Service {
    /// Starts the service's span as a child of the current one, and does the work inside.
    ///
    /// The span ends before this returns.
    pub(crate) async fn work<T>(&self, work: impl AsyncFnOnce(&Context) -> T) -> T {
        let parent = Context::current();
        let span = self.0.tracer().start_with_context("work", &parent);
        let cx = parent.with_span(span);
        let done = work(&cx).await;
        cx.span().end();
        done
    }

    /// The one span that the service has recorded.
    pub(crate) fn span(&self) -> SpanData {
        self.0.span("work")
    }
}

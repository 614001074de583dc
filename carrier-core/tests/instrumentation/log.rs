//! A log that a test reads.

use std::io;
use std::sync::{Arc, Mutex};

use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::registry::{LookupSpan, Registry};

/// The lines of a log.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Log {
    /// A layer that writes the spans around each event.
    pub(crate) fn layer<S: tracing::Subscriber + for<'a> LookupSpan<'a>>(&self) -> impl Layer<S> + use<S> {
        let layer = tracing_subscriber::fmt::layer().with_writer(self.clone());
        layer.with_ansi(false).without_time().with_level(false).with_target(false)
    }

    /// A layer that also writes that spans begin or close.
    pub(crate) fn with_events<S: tracing::Subscriber + for<'a> LookupSpan<'a>>(
        &self,
        events: FmtSpan,
    ) -> impl Layer<S> + use<S> {
        let layer = tracing_subscriber::fmt::layer().with_writer(self.clone());
        layer.with_ansi(false).without_time().with_span_events(events)
    }

    /// The log of a program that has nothing else.
    pub(crate) fn alone() -> (Self, DefaultGuard) {
        let log = Self::default();
        let subscriber = Registry::default().with(log.layer());
        (log, tracing::subscriber::set_default(subscriber))
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        let bytes = std::mem::take(&mut *self.0.lock().unwrap());
        String::from_utf8(bytes).unwrap().lines().map(|line| line.trim().to_owned()).collect()
    }
}

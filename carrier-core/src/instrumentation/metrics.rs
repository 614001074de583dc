//! The instruments: the four of the conventions, and two for the time in the queue.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter};

use super::attribute;

/// Seconds, as the messaging metrics advise.
const OPERATION_BUCKETS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Seconds: a queue may hold a message for days.
const QUEUE_BUCKETS: [f64; 14] =
    [0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0];

#[derive(Debug)]
pub(super) struct Instruments {
    operation_duration: Histogram<f64>,
    process_duration: Histogram<f64>,
    sent: Counter<u64>,
    consumed: Counter<u64>,
    queue_duration: Histogram<f64>,
    clock_skew: Counter<u64>,
}

/// A histogram that durations of operations go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Duration {
    Operation,
    Process,
}

impl Instruments {
    pub(super) fn new(meter: &Meter) -> Self {
        let histogram = |name, description, buckets: &[f64]| {
            let builder = meter.f64_histogram(name).with_unit("s").with_description(description);
            builder.with_boundaries(buckets.to_vec()).build()
        };
        let counter = |name, description| {
            meter.u64_counter(name).with_unit("{message}").with_description(description).build()
        };
        Self {
            operation_duration: histogram(
                attribute::MESSAGING_CLIENT_OPERATION_DURATION,
                "Duration of messaging operation initiated by a producer or consumer client.",
                &OPERATION_BUCKETS,
            ),
            process_duration: histogram(
                attribute::MESSAGING_PROCESS_DURATION,
                "Duration of processing operation.",
                &OPERATION_BUCKETS,
            ),
            sent: counter(
                attribute::MESSAGING_CLIENT_SENT_MESSAGES,
                "Number of messages producer attempted to send to the broker.",
            ),
            consumed: counter(
                attribute::MESSAGING_CLIENT_CONSUMED_MESSAGES,
                "Number of messages that were delivered to the application.",
            ),
            queue_duration: histogram(
                attribute::QUEUE_DURATION,
                "Time from the message's timestamp to its reception.",
                &QUEUE_BUCKETS,
            ),
            clock_skew: counter(
                attribute::QUEUE_CLOCK_SKEW,
                "Number of messages whose timestamp was later than their reception.",
            ),
        }
    }

    pub(super) fn took(&self, which: Duration, seconds: f64, attributes: &[KeyValue]) {
        match which {
            Duration::Operation => self.operation_duration.record(seconds, attributes),
            Duration::Process => self.process_duration.record(seconds, attributes),
        }
    }

    pub(super) fn sent(&self, attributes: &[KeyValue]) {
        self.sent.add(1, attributes);
    }

    pub(super) fn consumed(&self, messages: u64, attributes: &[KeyValue]) {
        self.consumed.add(messages, attributes);
    }

    /// Where clocks differ nothing is clamped: it would look like a quick queue.
    pub(super) fn waited(&self, waited: super::age::Age, attributes: &[KeyValue]) {
        match waited {
            super::age::Age::Unknown => {}
            super::age::Age::Waited(duration) => {
                self.queue_duration.record(duration.as_secs_f64(), attributes)
            }
            super::age::Age::FromTheFuture => self.clock_skew.add(1, attributes),
        }
    }
}

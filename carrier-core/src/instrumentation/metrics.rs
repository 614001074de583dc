//! The instruments: four of the conventions, and our own for queues and contexts.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use opentelemetry::metrics::{Counter, Histogram, Meter};
use opentelemetry::{KeyValue, StringValue};
use smallvec::SmallVec;

use super::attribute;
use super::operation::{Client, Destination, Operation, OperationType};
use super::outcome::Failure;

/// Seconds, as the messaging metrics advise.
const OPERATION_BUCKETS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Seconds: a message may stay in a queue for days.
const QUEUE_BUCKETS: [f64; 14] =
    [0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 86_400.0];

/// How often a message was given to a consumer.
const ATTEMPT_BUCKETS: [f64; 8] = [1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 20.0, 50.0];

/// The start of an operation, on both clocks: the wall clock for the span, the monotonic one for the duration.
#[derive(Debug, Clone, Copy)]
pub struct StartTime {
    pub(super) at: SystemTime,
    clock: Instant,
}

impl StartTime {
    /// Now.
    pub fn now() -> Self {
        Self { at: SystemTime::now(), clock: Instant::now() }
    }
}

/// The time between a message's timestamp and its reception.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QueueTime {
    /// The message has no timestamp.
    Unknown,
    Waited(Duration),
    /// The timestamp is later than the reception: two clocks differ.
    ClockSkew,
}

impl QueueTime {
    /// Reads the clock only if there is a timestamp.
    pub(super) fn of(sent_at: Option<SystemTime>, now: impl FnOnce() -> SystemTime) -> Self {
        match sent_at.map(|sent_at| now().duration_since(sent_at)) {
            None => Self::Unknown,
            Some(Ok(waited)) => Self::Waited(waited),
            Some(Err(_)) => Self::ClockSkew,
        }
    }

    pub(super) fn waited(self) -> Option<Duration> {
        if let Self::Waited(waited) = self { Some(waited) } else { None }
    }
}

/// What is counted of a message that the program got.
#[derive(Debug, Clone, Copy)]
pub(super) struct Received {
    /// The message was counted as consumed before, and so was its context.
    pub(super) is_counted: bool,
    /// [`ExtractionStatus::label`](crate::ExtractionStatus::label).
    pub(super) status: &'static str,
    pub(super) queue_time: QueueTime,
    pub(super) attempts: Option<u64>,
}

#[derive(Debug)]
pub(super) struct Metrics {
    pub(super) meter: Meter,
    operation_duration: Histogram<f64>,
    process_duration: Histogram<f64>,
    sent: Counter<u64>,
    consumed: Counter<u64>,
    queue_duration: Histogram<f64>,
    clock_skew: Counter<u64>,
    contexts: Counter<u64>,
    critical_duration: Histogram<f64>,
    attempts: Histogram<u64>,
}

impl Metrics {
    pub(super) fn new(meter: &Meter) -> Self {
        let histogram = |name, description, buckets: &[f64]| {
            let builder = meter.f64_histogram(name).with_unit("s").with_description(description);
            builder.with_boundaries(buckets.to_vec()).build()
        };
        let counter = |name, description| {
            meter.u64_counter(name).with_unit("{message}").with_description(description).build()
        };
        Self {
            meter: meter.clone(),
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
            contexts: counter(
                attribute::RECEIVED_CONTEXTS,
                "Number of received messages, by what was found of their context.",
            ),
            critical_duration: histogram(
                attribute::CRITICAL_DURATION,
                "Time from the message's timestamp to the end of its successful processing.",
                &QUEUE_BUCKETS,
            ),
            attempts: meter
                .u64_histogram(attribute::DELIVERY_ATTEMPTS)
                .with_unit("{attempt}")
                .with_description("How often the message was given to a consumer.")
                .with_boundaries(ATTEMPT_BUCKETS.to_vec())
                .build(),
        }
    }
}

/// The metrics of one operation.
#[derive(Debug)]
pub(super) struct Measurement {
    pub(super) metrics: Arc<Metrics>,
    pub(super) client: Arc<Client>,
    pub(super) operation: Operation,
    pub(super) destination: Destination,
    pub(super) start: StartTime,
    /// How long each message was in the queue, for the critical time.
    pub(super) waited: SmallVec<[Duration; 1]>,
}

impl Measurement {
    pub(super) fn partition(&mut self, id: StringValue) {
        self.destination = std::mem::take(&mut self.destination).partition(id);
    }

    /// Counts messages as consumed, and records how long each was in the queue.
    pub(super) fn consumed(&mut self, messages: &[Received]) {
        let is_nothing = |message: &Received| {
            message.is_counted && message.queue_time == QueueTime::Unknown && message.attempts.is_none()
        };
        if messages.iter().all(is_nothing) {
            return;
        }
        let mut attributes = self.attributes(None);
        let (without_type, without_operation) = (&attributes[1..], &attributes[2..]);
        self.waited.reserve(messages.len());
        let mut statuses = SmallVec::<[(&'static str, u64); 1]>::new();
        for message in messages {
            if !message.is_counted {
                match statuses.iter_mut().find(|(status, _)| *status == message.status) {
                    Some((_, count)) => *count += 1,
                    None => statuses.push((message.status, 1)),
                }
            }
            match message.queue_time {
                QueueTime::Unknown => {}
                QueueTime::Waited(waited) => {
                    self.metrics.queue_duration.record(waited.as_secs_f64(), without_operation);
                    self.waited.push(waited);
                }
                // A duration of zero would look like a fast queue.
                QueueTime::ClockSkew => self.metrics.clock_skew.add(1, without_operation),
            }
            if let Some(attempts) = message.attempts {
                self.metrics.attempts.record(attempts, without_operation);
            }
        }
        let consumed = statuses.iter().map(|(_, count)| count).sum();
        if consumed > 0 {
            self.metrics.consumed.add(consumed, without_type);
        }
        for (status, count) in statuses {
            // In the place of the operation's name, which this counter does not have.
            attributes[1] = KeyValue::new(attribute::CONTEXT_STATUS, status);
            self.metrics.contexts.add(count, &attributes[1..]);
        }
    }

    /// Records the duration until `ended` or now, and returns the time at which the operation ended.
    pub(super) fn end(self, failure: Option<&Failure>, ended: Option<Instant>) -> SystemTime {
        let took = ended.unwrap_or_else(Instant::now).saturating_duration_since(self.start.clock);
        let attributes = self.attributes(failure);
        let without_type = &attributes[1..];
        match self.operation.kind {
            OperationType::Process => {
                self.metrics.process_duration.record(took.as_secs_f64(), without_type);
                for waited in self.waited.iter().filter(|_| failure.is_none()) {
                    let critical = waited.saturating_add(took).as_secs_f64();
                    self.metrics.critical_duration.record(critical, &attributes[2..]);
                }
            }
            _ => self.metrics.operation_duration.record(took.as_secs_f64(), &attributes),
        }
        if self.operation.counts_sent {
            self.metrics.sent.add(1, without_type);
        }
        self.start.at + took
    }

    /// The operation's type first and its name second, because some metrics have neither.
    fn attributes(&self, failure: Option<&Failure>) -> Vec<KeyValue> {
        let Operation { name, kind, .. } = &self.operation;
        let mut attributes = Vec::with_capacity(10);
        attributes.push(KeyValue::new(attribute::MESSAGING_OPERATION_TYPE, kind.as_str()));
        attributes.push(KeyValue::new(attribute::MESSAGING_OPERATION_NAME, name.clone()));
        self.client.attributes(*kind, &mut attributes);
        self.destination.metric_attributes(&mut attributes);
        attributes.extend(failure.map(Failure::attribute));
        attributes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_time_is_known_if_the_clocks_agree() {
        let (now, second) = (SystemTime::now(), Duration::from_secs(1));
        assert_eq!(QueueTime::of(None, || now), QueueTime::Unknown);
        assert_eq!(QueueTime::of(Some(now - second), || now), QueueTime::Waited(second));
        assert_eq!(QueueTime::of(Some(now + second), || now), QueueTime::ClockSkew);
        assert_eq!(QueueTime::of(Some(now), || now).waited(), Some(Duration::ZERO));
        assert_eq!(QueueTime::ClockSkew.waited(), None);
    }
}

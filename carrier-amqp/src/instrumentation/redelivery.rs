//! The number of earlier attempts to process a message, from what the broker and a publisher report.

use carrier_core::instrumentation::{ATTEMPTS_HEADER, Details, MAX_ATTEMPTS};
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable};

use super::attribute;
use crate::carrier::integer;

/// How often a message was delivered and dead-lettered before, read from the broker's headers and from our own.
///
/// # Examples
///
/// ```
/// use carrier_amqp::instrumentation::Redelivery;
/// use carrier_amqp::lapin::message::Delivery;
///
/// /// Whether to try again.
/// fn is_retried(delivery: &Delivery) -> bool {
///     Redelivery::of(delivery).attempts() < 5
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Redelivery<'a> {
    /// The header that [`publish_again`](super::Channel::publish_again) sets: the number of attempts before. The broker's
    /// counts begin again there.
    pub earlier_attempts: Option<u64>,
    /// The flag of the delivery: the message was delivered before.
    pub redelivered: bool,
    /// `x-delivery-count` of a quorum queue: the number of failed deliveries.
    pub delivery_count: Option<u64>,
    /// `x-acquired-count` of a quorum queue: how often a consumer got the message.
    pub acquired_count: Option<u64>,
    /// How often the message was dead-lettered: the sum over all queues and reasons.
    pub deaths: u64,
    /// How many of these were failed attempts, `rejected` and `delivery_limit`. A message that expires in a retry queue was
    /// not processed there.
    pub rejections: u64,
    /// How often a queue's delivery limit dead-lettered the message. How many attempts there were is only known if
    /// `delivery_count` says so: RabbitMQ 4.0 removes it from the dead-lettered message.
    pub delivery_limits: u64,
    /// The queue that dead-lettered the message first.
    pub first_death_queue: Option<&'a str>,
    /// The reason of the first dead-lettering: `rejected`, `expired`, `maxlen`, `delivery_limit`.
    pub first_death_reason: Option<&'a str>,
}

impl<'a> Redelivery<'a> {
    /// Reads a delivery. A value that does not have the type that the broker uses counts as absent.
    pub fn of(delivery: &'a Delivery) -> Self {
        Self { redelivered: delivery.redelivered, ..counted(delivery).map(Self::counts).unwrap_or_default() }
    }

    /// Like `of`, but returns `None` for a first delivery without reading each header.
    pub(super) fn if_any(delivery: &'a Delivery) -> Option<Self> {
        (delivery.redelivered || counted(delivery).is_some()).then(|| Self::of(delivery))
    }

    fn counts(headers: &'a FieldTable) -> Self {
        let deaths = match headers.inner().get("x-death") {
            Some(AMQPValue::FieldArray(entries)) => entries.as_slice(),
            _ => &[],
        };
        let mut found = Self::default();
        for death in deaths.iter().take(MAX_ENTRIES) {
            if let AMQPValue::FieldTable(death) = death {
                found.add(death);
            }
        }
        Self {
            earlier_attempts: count(headers, ATTEMPTS_HEADER).filter(|count| *count <= MAX_ATTEMPTS),
            delivery_count: count(headers, "x-delivery-count"),
            acquired_count: count(headers, "x-acquired-count"),
            first_death_queue: text(headers, "x-first-death-queue").or(found.first_death_queue),
            first_death_reason: text(headers, "x-first-death-reason").or(found.first_death_reason),
            ..found
        }
    }

    /// Adds an entry of `x-death`. There is one for each queue and reason, the most recent first.
    fn add(&mut self, death: &'a FieldTable) {
        let (count, reason) = (count(death, "count").unwrap_or(0), text(death, "reason"));
        self.deaths = self.deaths.saturating_add(count);
        if matches!(reason, Some("rejected" | "delivery_limit")) {
            self.rejections = self.rejections.saturating_add(count);
        }
        if reason == Some("delivery_limit") {
            self.delivery_limits = self.delivery_limits.saturating_add(count);
        }
        (self.first_death_queue, self.first_death_reason) = (text(death, "queue"), reason);
    }

    /// The minimum number of earlier attempts: failed deliveries, or rejections into another queue. It is 1 if the broker
    /// only reports that the message was delivered before.
    ///
    /// The larger of the two numbers, not their sum. A quorum queue counts a rejection as a failed delivery, and a
    /// dead-lettered message keeps this count. After a delivery limit the number may be much too small: see
    /// [`delivery_limits`](Self::delivery_limits).
    ///
    /// The attempts before the message was [published again](super::Channel::publish_again) are added.
    pub fn attempts(&self) -> u64 {
        let known = self.delivery_count.unwrap_or(0).max(self.rejections).max(u64::from(self.redelivered));
        self.earlier_attempts.unwrap_or(0).saturating_add(known)
    }

    /// Which attempt this is, counting from 1. `None` if the broker only reports that there was an earlier one.
    pub(super) fn attempt(&self) -> Option<u64> {
        let is_counted = !self.redelivered || self.delivery_count.is_some() || self.rejections > 0;
        (is_counted && !self.is_attempts_unknown()).then(|| self.attempts().saturating_add(1))
    }

    /// Whether a delivery limit was reached, and no count tells how many attempts that were.
    fn is_attempts_unknown(&self) -> bool {
        self.delivery_limits > 0 && self.delivery_count.unwrap_or(0) <= self.rejections
    }

    pub(super) fn describe(&self, details: &mut Details<'_>) {
        if self.redelivered {
            details.set(attribute::REDELIVERED, true);
        }
        let attempts = Some(self.attempts()).filter(|attempts| *attempts > 0 && !self.is_attempts_unknown());
        for (name, count) in [
            (attribute::ATTEMPTS, attempts),
            (attribute::DELIVERY_COUNT, self.delivery_count),
            (attribute::ACQUIRED_COUNT, self.acquired_count),
            (attribute::DEATH_COUNT, Some(self.deaths).filter(|deaths| *deaths > 0)),
        ] {
            if let Some(count) = count {
                details.set(name, i64::try_from(count).unwrap_or(i64::MAX));
            }
        }
        for (name, text) in [
            (attribute::DEATH_FIRST_QUEUE, self.first_death_queue),
            (attribute::DEATH_FIRST_REASON, self.first_death_reason),
        ] {
            if let Some(text) = text {
                details.set(name, text.to_owned());
            }
        }
    }
}

/// The headers, if they may contain one of the broker's counts: the table is sorted, and the counts sort after the keys that
/// most messages have.
fn counted(delivery: &Delivery) -> Option<&FieldTable> {
    let headers = delivery.properties.headers().as_ref()?;
    let (last, _) = headers.inner().last_key_value()?;
    (last.as_str() >= "x-acquired-count").then_some(headers)
}

/// There is one entry for each queue and reason, so a broker writes far fewer.
const MAX_ENTRIES: usize = 128;

fn count(table: &FieldTable, key: &str) -> Option<u64> {
    integer(table.inner().get(key)?).and_then(|count| u64::try_from(count).ok())
}

/// The broker's names are short strings, so it did not write a longer text.
const MAX_TEXT: usize = 255;

fn text<'a>(table: &'a FieldTable, key: &str) -> Option<&'a str> {
    match table.inner().get(key)? {
        AMQPValue::LongString(text) if text.as_bytes().len() <= MAX_TEXT => {
            std::str::from_utf8(text.as_bytes()).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use lapin::types::FieldArray;

    use super::*;

    fn delivery(redelivered: bool, headers: impl IntoIterator<Item = (&'static str, AMQPValue)>) -> Delivery {
        let mut delivery = Delivery::mock(1, "".into(), "".into(), redelivered, Vec::new());
        delivery.properties = lapin::BasicProperties::default().with_headers(table(headers));
        delivery
    }

    fn table(headers: impl IntoIterator<Item = (&'static str, AMQPValue)>) -> FieldTable {
        let mut table = FieldTable::default();
        for (key, value) in headers {
            table.insert(key.into(), value);
        }
        table
    }

    fn text(text: &str) -> AMQPValue {
        AMQPValue::LongString(text.into())
    }

    fn death(queue: &str, reason: &str, count: i64) -> AMQPValue {
        let entry =
            [("queue", text(queue)), ("reason", text(reason)), ("count", AMQPValue::LongLongInt(count))];
        AMQPValue::FieldTable(table(entry))
    }

    #[test]
    fn the_attempt_is_known_if_the_broker_counts_or_this_is_the_first() {
        let count = |count| ("x-delivery-count", AMQPValue::LongLongInt(count));
        let attempt =
            |redelivered, headers: Vec<_>| Redelivery::of(&delivery(redelivered, headers)).attempt();
        assert_eq!(attempt(false, vec![]), Some(1));
        assert_eq!(attempt(true, vec![]), None);
        assert_eq!(attempt(true, vec![count(2)]), Some(3));
        let deaths = |reason| {
            let mut entries = FieldArray::default();
            entries.push(death("orders", reason, 2));
            vec![("x-death", AMQPValue::FieldArray(entries))]
        };
        assert_eq!(attempt(false, deaths("rejected")), Some(3));
        assert_eq!(attempt(false, deaths("delivery_limit")), None);
    }

    #[test]
    fn a_first_delivery_was_never_tried() {
        let delivery = Delivery::mock(1, "".into(), "".into(), false, Vec::new());
        assert_eq!(Redelivery::of(&delivery), Redelivery::default());
        assert_eq!(Redelivery::of(&delivery).attempts(), 0);
    }

    #[test]
    fn each_trace_of_an_earlier_delivery_is_told_and_nothing_of_a_first_one() {
        let user = || ("content", text("17"));
        let told = |redelivered, header| {
            let delivery = delivery(redelivered, [user(), header]);
            Redelivery::if_any(&delivery).map(|told| (told.redelivered, told.attempts(), told.acquired_count))
        };
        assert_eq!(told(false, user()), None);
        assert_eq!(told(true, user()), Some((true, 1, None)));
        assert_eq!(told(false, ("x-acquired-count", AMQPValue::LongInt(3))), Some((false, 0, Some(3))));
        assert_eq!(told(false, ("x-delivery-count", AMQPValue::LongInt(2))), Some((false, 2, None)));
        let mut entries = FieldArray::default();
        entries.push(death("orders", "rejected", 4));
        assert_eq!(told(false, ("x-death", AMQPValue::FieldArray(entries))), Some((false, 4, None)));
    }

    #[test]
    fn deaths_are_summed_and_the_first_is_the_last_entry() {
        let mut entries = FieldArray::default();
        entries.push(death("retry", "expired", 3));
        entries.push(death("work", "rejected", 2));
        let delivery = delivery(false, [("x-death", AMQPValue::FieldArray(entries))]);
        let found = Redelivery::of(&delivery);
        assert_eq!((found.deaths, found.rejections), (5, 2));
        assert_eq!((found.first_death_queue, found.first_death_reason), (Some("work"), Some("rejected")));
    }

    #[test]
    fn after_a_delivery_limit_the_number_of_attempts_is_known_from_the_count_only() {
        let limited = |delivery_count: Option<i64>| {
            let mut entries = FieldArray::default();
            entries.push(death("work", "delivery_limit", 1));
            let count = delivery_count.map(|count| ("x-delivery-count", AMQPValue::LongLongInt(count)));
            let delivery =
                delivery(false, [("x-death", AMQPValue::FieldArray(entries))].into_iter().chain(count));
            let found = Redelivery::of(&delivery);
            assert_eq!(found.delivery_limits, 1);
            (found.attempts(), found.is_attempts_unknown())
        };
        assert_eq!(limited(None), (1, true));
        assert_eq!(limited(Some(3)), (3, false));
        let mut entries = FieldArray::default();
        entries.push(death("work", "rejected", 2));
        let delivery = delivery(false, [("x-death", AMQPValue::FieldArray(entries))]);
        assert!(!Redelivery::of(&delivery).is_attempts_unknown());
    }

    #[test]
    fn what_expires_in_a_retry_queue_is_no_attempt() {
        let retried = |delivery_count: Option<i64>| {
            let mut entries = FieldArray::default();
            entries.push(death("retry", "expired", 2));
            entries.push(death("work", "rejected", 2));
            let count = delivery_count.map(|count| ("x-delivery-count", AMQPValue::LongLongInt(count)));
            let deaths = ("x-death", AMQPValue::FieldArray(entries));
            Redelivery::of(&delivery(true, [deaths].into_iter().chain(count))).attempts()
        };
        assert_eq!(retried(None), 2);
        // RabbitMQ 4 does so after quorum queues: it counts the rejections again, and what was requeued in between.
        assert_eq!((retried(Some(2)), retried(Some(3))), (2, 3));
    }

    #[test]
    fn the_brokers_counts_are_read_whatever_their_width() {
        let counts =
            [("x-delivery-count", AMQPValue::LongLongInt(2)), ("x-acquired-count", AMQPValue::LongUInt(4))];
        let delivery = delivery(true, counts);
        let found = Redelivery::of(&delivery);
        assert_eq!((found.delivery_count, found.acquired_count, found.attempts()), (Some(2), Some(4), 2));
    }

    #[test]
    fn what_the_broker_would_not_write_counts_as_absent() {
        let mut entries = FieldArray::default();
        entries.push(text("no table"));
        entries.push(death(&"q".repeat(256), "rejected", -1));
        let headers = [
            ("x-death", AMQPValue::FieldArray(entries)),
            ("x-delivery-count", text("7")),
            ("x-acquired-count", AMQPValue::LongLongInt(-7)),
            ("x-first-death-queue", AMQPValue::LongString(vec![0xff].into())),
        ];
        let delivery = delivery(true, headers);
        let found = Redelivery::of(&delivery);
        let expected =
            Redelivery { redelivered: true, first_death_reason: Some("rejected"), ..Redelivery::default() };
        assert_eq!(found, expected);
        assert_eq!(found.attempts(), 1);
    }
}

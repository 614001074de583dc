//! How often a message was tried before, as far as the broker tells.

use carrier_core::instrumentation::Details;
use lapin::message::Delivery;
use lapin::types::{AMQPValue, FieldTable};

use super::attribute;

/// How often a message was given out and dead-lettered before, read from what the broker put into it.
///
/// # Examples
///
/// ```
/// use carrier_amqp::instrumentation::Redelivery;
/// use carrier_amqp::lapin::message::Delivery;
///
/// /// Whether to try again, or to give up.
/// fn is_worth_it(delivery: &Delivery) -> bool {
///     Redelivery::of(delivery).attempts() < 5
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Redelivery<'a> {
    /// The flag of the delivery: it was given out before.
    pub redelivered: bool,
    /// `x-delivery-count`, by quorum queues: how often a delivery failed.
    pub delivery_count: Option<u64>,
    /// `x-acquired-count`, by quorum queues: how often it was handed to a consumer.
    pub acquired_count: Option<u64>,
    /// How often it was dead-lettered, over all queues and reasons; 0 where it never was.
    pub deaths: u64,
    /// How many of these were failed attempts, `rejected` and `delivery_limit`: what expires in a retry queue was not
    /// tried there.
    pub rejections: u64,
    /// The queue that dead-lettered it first.
    pub first_death_queue: Option<&'a str>,
    /// Why it was dead-lettered first: `rejected`, `expired`, `maxlen`, `delivery_limit`.
    pub first_death_reason: Option<&'a str>,
}

impl<'a> Redelivery<'a> {
    /// What a delivery tells; whatever is of another type than the broker gives it counts as absent.
    pub fn of(delivery: &'a Delivery) -> Self {
        Self { redelivered: delivery.redelivered, ..counted(delivery).map(Self::counts).unwrap_or_default() }
    }

    /// The same of a message that was given out before or may have been; nothing of most.
    pub(super) fn told(delivery: &'a Delivery) -> Option<Self> {
        (delivery.redelivered || counted(delivery).is_some()).then(|| Self::of(delivery))
    }

    fn counts(headers: &'a FieldTable) -> Self {
        let deaths = Deaths::of(headers);
        Self {
            redelivered: false,
            delivery_count: count(headers, "x-delivery-count"),
            acquired_count: count(headers, "x-acquired-count"),
            deaths: deaths.count,
            rejections: deaths.rejections,
            first_death_queue: text(headers, "x-first-death-queue").or(deaths.first_queue),
            first_death_reason: text(headers, "x-first-death-reason").or(deaths.first_reason),
        }
    }

    /// How often it was tried before, at least: how often deliveries failed, or how often it was rejected into another
    /// queue, and one where all that is known is that it was given out before.
    ///
    /// The larger of the two and not their sum: a quorum queue counts a rejection as a failed delivery, and its count
    /// goes with a message that is dead-lettered.
    pub fn attempts(&self) -> u64 {
        let known = self.delivery_count.unwrap_or(0).max(self.rejections);
        known.max(u64::from(self.redelivered))
    }

    pub(super) fn details(&self, details: &mut Details<'_>) {
        let integer = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        if self.redelivered {
            details.set(attribute::REDELIVERED, true);
        }
        if self.attempts() > 0 {
            details.set(attribute::ATTEMPTS, integer(self.attempts()));
        }
        if let Some(count) = self.delivery_count {
            details.set(attribute::DELIVERY_COUNT, integer(count));
        }
        if let Some(count) = self.acquired_count {
            details.set(attribute::ACQUIRED_COUNT, integer(count));
        }
        if self.deaths > 0 {
            details.set(attribute::DEATH_COUNT, integer(self.deaths));
        }
        if let Some(queue) = self.first_death_queue {
            details.set(attribute::DEATH_FIRST_QUEUE, queue.to_owned());
        }
        if let Some(reason) = self.first_death_reason {
            details.set(attribute::DEATH_FIRST_REASON, reason.to_owned());
        }
    }
}

/// The headers, where one of the broker's counts may be among them: the table is sorted, and they come behind what most
/// messages have.
fn counted(delivery: &Delivery) -> Option<&FieldTable> {
    let headers = delivery.properties.headers().as_ref()?;
    let (last, _) = headers.inner().last_key_value()?;
    (last.as_str() >= "x-acquired-count").then_some(headers)
}

/// What the array `x-death` says: an entry for each queue and reason, the most recent first.
#[derive(Default)]
struct Deaths<'a> {
    count: u64,
    rejections: u64,
    first_queue: Option<&'a str>,
    first_reason: Option<&'a str>,
}

/// A queue and a reason make an entry, so nobody honest has more.
const MAX_ENTRIES: usize = 128;

impl<'a> Deaths<'a> {
    fn of(headers: &'a FieldTable) -> Self {
        let Some(AMQPValue::FieldArray(entries)) = headers.inner().get("x-death") else {
            return Self::default();
        };
        let tables = entries.as_slice().iter().take(MAX_ENTRIES).filter_map(|entry| match entry {
            AMQPValue::FieldTable(table) => Some(table),
            _ => None,
        });
        tables.fold(Self::default(), |deaths, table| {
            let (count, reason) = (count(table, "count").unwrap_or(0), text(table, "reason"));
            let rejections = if matches!(reason, Some("rejected" | "delivery_limit")) { count } else { 0 };
            Self {
                count: deaths.count.saturating_add(count),
                rejections: deaths.rejections.saturating_add(rejections),
                first_queue: text(table, "queue"),
                first_reason: reason,
            }
        })
    }
}

fn count(table: &FieldTable, key: &str) -> Option<u64> {
    integer(table.inner().get(key)?).and_then(|count| u64::try_from(count).ok())
}

/// An integer of any width.
pub(super) fn integer(value: &AMQPValue) -> Option<i64> {
    Some(match *value {
        AMQPValue::ShortShortInt(value) => value.into(),
        AMQPValue::ShortShortUInt(value) => value.into(),
        AMQPValue::ShortInt(value) => value.into(),
        AMQPValue::ShortUInt(value) => value.into(),
        AMQPValue::LongInt(value) => value.into(),
        AMQPValue::LongUInt(value) => value.into(),
        AMQPValue::LongLongInt(value) => value,
        AMQPValue::Timestamp(value) => i64::try_from(value).ok()?,
        _ => return None,
    })
}

/// Names of the broker's are short strings, so what is longer is not its own.
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
            Redelivery::told(&delivery).map(|told| (told.redelivered, told.attempts(), told.acquired_count))
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
        // As RabbitMQ 4 has it behind quorum queues: the rejections again, and what was requeued on the way.
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

//! What a client's statistics say, as far as metrics have it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use carrier_core::instrumentation::{Destination, Instrumentation};
use opentelemetry::KeyValue;
use rdkafka::Statistics;
use rdkafka::statistics::{self, Partition};

use super::attribute;
use super::destination::{Destinations, partition_id};

/// A total of librdkafka's is a sum over the present topics or brokers: it falls if one is removed. A counter must not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Total {
    reported: u64,
    pub(super) counted: u64,
}

impl Total {
    fn new(reported: u64) -> Self {
        Self { reported, counted: reported }
    }

    fn follow(&mut self, previous: Self) {
        self.counted = previous.counted.saturating_add(self.reported.saturating_sub(previous.reported));
    }
}

fn positive(figure: i64) -> u64 {
    u64::try_from(figure).unwrap_or_default()
}

/// Observes one time series.
pub(super) type Observe<'a, T> = &'a mut dyn FnMut(T, &[KeyValue]);

/// What the last statistics say.
#[derive(Debug)]
pub(super) struct Snapshot {
    /// librdkafka's clock.
    ts: i64,
    pub(super) at: Instant,
    is_consumer: bool,
    pub(super) client: Vec<KeyValue>,
    /// Messages and bytes.
    pub(super) queue: [u64; 2],
    /// Messages and bytes that were sent or received, and retries.
    pub(super) totals: [Total; 3],
    brokers: Vec<Broker>,
    topics: HashMap<Vec<KeyValue>, HashMap<i32, Lag>>,
}

#[derive(Debug)]
pub(super) struct Broker {
    name: KeyValue,
    pub(super) requests: u64,
    /// Mean and 99th percentile in seconds. `None` if no response arrived in the last interval.
    pub(super) rtt: Option<[f64; 2]>,
}

/// After the committed and after the stored offset.
pub(super) type Lag = [Option<u64>; 2];

impl Snapshot {
    pub(super) fn new(core: &Instrumentation, destinations: &Destinations, statistics: &Statistics) -> Self {
        let name = KeyValue::new(attribute::CLIENT_NAME, Arc::<str>::from(&*statistics.name));
        let attributes = |destination: &Destination| {
            let mut attributes = core.metric_attributes(destination);
            attributes.push(name.clone());
            // The SDK's line 0.32 exports wrong deltas of a list that is not sorted.
            attributes.sort_by(|one, other| one.key.cmp(&other.key));
            attributes
        };
        let is_consumer = statistics.client_type == "consumer";
        let mut queue = [statistics.msg_cnt, statistics.msg_size];
        let mut topics = HashMap::<_, HashMap<i32, Lag>>::new();
        for topic in statistics.topics.values().filter(|_| is_consumer) {
            // Without `desired`, a partition of the topic is not assigned to this client.
            let mut assigned = topic.partitions.values().filter(|partition| partition.desired).peekable();
            if assigned.peek().is_none() {
                continue;
            }
            // Topics of one template share their time series, so their lags are added.
            let lags = topics.entry(attributes(&destinations.of(&topic.topic, None))).or_default();
            for partition in assigned {
                queue[0] = queue[0].saturating_add(positive(partition.fetchq_cnt));
                queue[1] = queue[1].saturating_add(partition.fetchq_size);
                let sum = lags.entry(partition.partition).or_default();
                for (sum, lag) in sum.iter_mut().zip(lag(partition)) {
                    *sum = sum.map_or(lag, |sum| Some(sum.saturating_add(lag.unwrap_or_default())));
                }
            }
        }
        let [messages, bytes] = match is_consumer {
            true => [statistics.rxmsgs, statistics.rxmsg_bytes],
            false => [statistics.txmsgs, statistics.txmsg_bytes],
        };
        let retries = statistics.brokers.values().map(|broker| broker.txretries).fold(0, u64::saturating_add);
        Self {
            ts: statistics.ts,
            at: Instant::now(),
            is_consumer,
            client: attributes(&Destination::none()),
            queue,
            totals: [positive(messages), positive(bytes), retries].map(Total::new),
            // The others have no connection: bootstrap servers, and librdkafka's own.
            brokers: statistics.brokers.values().filter(|broker| broker.tx > 0).map(Broker::new).collect(),
            topics,
        }
    }

    /// Continues the totals of the one before. False if that one is later.
    pub(super) fn follow(&mut self, previous: &Self) -> bool {
        for (total, previous) in self.totals.iter_mut().zip(previous.totals) {
            total.follow(previous);
        }
        previous.ts <= self.ts
    }

    /// Observes a figure that only a consumer has.
    pub(super) fn consumer(&self, figure: u64, observe: Observe<'_, u64>) {
        if self.is_consumer {
            observe(figure, &self.client);
        }
    }

    /// Observes a figure that only a producer has.
    pub(super) fn producer(&self, figure: u64, observe: Observe<'_, u64>) {
        if !self.is_consumer {
            observe(figure, &self.client);
        }
    }

    /// Observes a figure of each partition for which it is known.
    pub(super) fn partitions(&self, figure: fn(&Lag) -> Option<u64>, observe: Observe<'_, u64>) {
        for (topic, lags) in &self.topics {
            let mut attributes = topic.clone();
            for (partition, lag) in lags {
                if let (Some(id), Some(figure)) = (partition_id(*partition), figure(lag)) {
                    attributes.push(KeyValue::new(attribute::MESSAGING_DESTINATION_PARTITION_ID, id));
                    observe(figure, &attributes);
                    attributes.pop();
                }
            }
        }
    }

    /// Observes a figure of each broker for which it is known.
    pub(super) fn brokers<T>(&self, figure: fn(&Broker) -> Option<T>, observe: Observe<'_, T>) {
        let mut attributes = self.client.clone();
        for broker in &self.brokers {
            if let Some(figure) = figure(broker) {
                attributes.push(broker.name.clone());
                observe(figure, &attributes);
                attributes.pop();
            }
        }
    }
}

/// `None` for -1: not known.
fn lag(partition: &Partition) -> Lag {
    [partition.consumer_lag, partition.consumer_lag_stored].map(|lag| u64::try_from(lag).ok())
}

impl Broker {
    fn new(broker: &statistics::Broker) -> Self {
        let rtt = broker.rtt.as_ref().filter(|window| window.cnt > 0);
        Self {
            name: KeyValue::new(attribute::BROKER_NAME, Arc::<str>::from(&*broker.name)),
            requests: positive(broker.outbuf_cnt),
            rtt: rtt.map(|window| [window.avg, window.p99].map(|micros| micros as f64 / 1e6)),
        }
    }
}

//! The clients whose statistics are metrics, and the instruments.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use carrier_core::instrumentation::Instrumentation;
use opentelemetry::metrics::{AsyncInstrument, Meter};
use rdkafka::Statistics;

use super::attribute::*;
use super::destination::Destinations;
use super::snapshot::{Observe, Snapshot};

type AllClients = Mutex<Vec<Weak<Client>>>;

/// The clients of one instrumentation and its copies.
#[derive(Debug, Default)]
pub(super) struct Clients {
    all: Arc<AllClients>,
    /// Callbacks cannot be removed, so they are added once for all clients.
    instruments: OnceLock<()>,
}

impl Clients {
    pub(super) fn add(&self, meter: &Meter, client: &Arc<Client>) {
        let mut all = lock(&self.all);
        all.retain(|client| client.strong_count() > 0);
        all.push(Arc::downgrade(client));
        // A provider that collects locks itself first, and the list in the callbacks.
        drop(all);
        self.instruments.get_or_init(|| instruments(meter, &self.all));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A client with its last statistics.
#[derive(Debug)]
pub(super) struct Client {
    core: Instrumentation,
    destinations: Destinations,
    latest: Mutex<Option<Arc<Snapshot>>>,
}

impl Client {
    pub(super) fn new(core: Instrumentation, destinations: Destinations) -> Arc<Self> {
        Arc::new(Self { core, destinations, latest: Mutex::default() })
    }

    pub(super) fn record(&self, statistics: &Statistics) {
        let mut snapshot = Snapshot::new(&self.core, &self.destinations, statistics);
        let mut latest = lock(&self.latest);
        // Of two threads that poll, one may be late.
        if latest.as_ref().is_none_or(|latest| snapshot.follow(latest)) {
            *latest = Some(Arc::new(snapshot));
        }
    }
}

/// Calls `read` for each client that is still there.
fn callback<T: 'static>(
    clients: &Arc<AllClients>,
    read: fn(&Snapshot, Observe<'_, T>),
) -> impl Fn(&dyn AsyncInstrument<T>) + Send + Sync + 'static {
    let clients = Arc::clone(clients);
    move |observer| {
        let clients: Vec<_> = lock(&clients).iter().filter_map(Weak::upgrade).collect();
        for client in clients {
            let latest = lock(&client.latest).clone();
            if let Some(snapshot) = latest {
                read(&snapshot, &mut |value, attributes| observer.observe(value, attributes));
            }
        }
    }
}

const MESSAGES: &str = "{message}";
const BYTES: &str = "By";
const REQUESTS: &str = "{request}";

fn instruments(meter: &Meter, clients: &Arc<AllClients>) {
    let gauge = |name, unit, description, read| {
        let gauge = meter.u64_observable_gauge(name).with_unit(unit).with_description(description);
        gauge.with_callback(callback(clients, read)).build();
    };
    let counter = |name, unit, description, read| {
        let counter = meter.u64_observable_counter(name).with_unit(unit).with_description(description);
        counter.with_callback(callback(clients, read)).build();
    };
    let seconds = |name, description, read| {
        let gauge = meter.f64_observable_gauge(name).with_unit("s").with_description(description);
        gauge.with_callback(callback(clients, read)).build();
    };

    // Of a consumer.
    gauge(CONSUMER_LAG, MESSAGES, "Messages after the committed offset.", |snapshot, observe| {
        snapshot.partitions(|[committed, _]| *committed, observe);
    });
    gauge(CONSUMER_STORED_LAG, MESSAGES, "Messages after the stored offset.", |snapshot, observe| {
        snapshot.partitions(|[_, stored]| *stored, observe);
    });
    gauge(CONSUMER_QUEUE_MESSAGES, MESSAGES, "Prefetched messages that wait.", |snapshot, observe| {
        snapshot.consumer(snapshot.queue[0], observe);
    });
    gauge(CONSUMER_QUEUE_SIZE, BYTES, "Bytes of prefetched messages that wait.", |snapshot, observe| {
        snapshot.consumer(snapshot.queue[1], observe);
    });
    counter(CONSUMER_RECEIVED_MESSAGES, MESSAGES, "Messages received.", |snapshot, observe| {
        snapshot.consumer(snapshot.totals[0].counted, observe);
    });
    counter(CONSUMER_RECEIVED_SIZE, BYTES, "Bytes of keys and payloads received.", |snapshot, observe| {
        snapshot.consumer(snapshot.totals[1].counted, observe);
    });

    // Of a producer.
    gauge(PRODUCER_QUEUE_MESSAGES, MESSAGES, "Messages that are not delivered yet.", |snapshot, observe| {
        snapshot.producer(snapshot.queue[0], observe);
    });
    gauge(
        PRODUCER_QUEUE_SIZE,
        BYTES,
        "Bytes of messages that are not delivered yet.",
        |snapshot, observe| {
            snapshot.producer(snapshot.queue[1], observe);
        },
    );
    counter(PRODUCER_SENT_MESSAGES, MESSAGES, "Messages transmitted.", |snapshot, observe| {
        snapshot.producer(snapshot.totals[0].counted, observe);
    });
    counter(PRODUCER_SENT_SIZE, BYTES, "Bytes of keys and payloads transmitted.", |snapshot, observe| {
        snapshot.producer(snapshot.totals[1].counted, observe);
    });

    // Of both.
    counter(CLIENT_RETRIES, REQUESTS, "Requests that were sent again.", |snapshot, observe| {
        observe(snapshot.totals[2].counted, &snapshot.client);
    });
    seconds(CLIENT_STATISTICS_AGE, "Time since the last statistics.", |snapshot, observe| {
        observe(snapshot.at.elapsed().as_secs_f64(), &snapshot.client);
    });
    gauge(BROKER_QUEUE_REQUESTS, REQUESTS, "Requests that wait to be sent.", |snapshot, observe| {
        snapshot.brokers(|broker| Some(broker.requests), observe);
    });
    seconds(BROKER_RTT_AVERAGE, "Mean round-trip time in the last interval.", |snapshot, observe| {
        snapshot.brokers(|broker| broker.rtt.map(|[mean, _]| mean), observe);
    });
    seconds(BROKER_RTT_P99, "99th percentile of round-trip times.", |snapshot, observe| {
        snapshot.brokers(|broker| broker.rtt.map(|[_, p99]| p99), observe);
    });
}

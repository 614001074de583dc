//! librdkafka's statistics as metrics.

use std::sync::Arc;

use rdkafka::consumer::ConsumerContext;
use rdkafka::{ClientContext, Statistics};

use super::Instrumentation;
use super::clients::Client;

impl Instrumentation {
    /// Returns what records librdkafka's statistics of one client as metrics: the line in your consumer's context.
    ///
    /// librdkafka emits statistics if `statistics.interval.ms` is set. Without metrics nothing is recorded. Our producers
    /// need no line. The group, the broker and the cluster are those of this instrumentation.
    ///
    /// # Examples
    ///
    /// A consumer without a context of its own:
    ///
    /// ```
    /// use carrier_kafka::Instrumentation;
    /// use carrier_kafka::instrumentation::ClientStatistics;
    /// use carrier_kafka::rdkafka::ClientConfig;
    /// use carrier_kafka::rdkafka::consumer::BaseConsumer;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut config = ClientConfig::new();
    /// config.set("group.id", "billing").set("statistics.interval.ms", "5000");
    /// let kafka = Instrumentation::builder().config(&config).build();
    /// let consumer: BaseConsumer<ClientStatistics> = config.create_with_context(kafka.statistics())?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// In your own context:
    ///
    /// ```
    /// use carrier_kafka::instrumentation::ClientStatistics;
    /// use carrier_kafka::rdkafka::consumer::ConsumerContext;
    /// use carrier_kafka::rdkafka::{ClientContext, Statistics};
    ///
    /// struct Billing {
    ///     statistics: ClientStatistics,
    /// }
    ///
    /// impl ClientContext for Billing {
    ///     fn stats(&self, statistics: Statistics) {
    ///         self.statistics.record(&statistics);
    ///     }
    /// }
    ///
    /// impl ConsumerContext for Billing {}
    /// ```
    pub fn statistics(&self) -> ClientStatistics {
        let client = self.core.meter().map(|meter| {
            let client = Client::new(self.core.clone(), self.destinations.clone());
            self.clients.add(meter, &client);
            client
        });
        ClientStatistics(client)
    }
}

/// Records librdkafka's statistics of one client as metrics.
///
/// The metrics show the last statistics, until this value and its clones are dropped: with the client, if its context owns
/// them. Use one for each client. As a context, it records and does nothing else.
#[derive(Debug, Clone)]
pub struct ClientStatistics(Option<Arc<Client>>);

impl ClientStatistics {
    /// Records what librdkafka reports, in place of what it reported before.
    ///
    /// It copies the figures. The exporter's thread makes the time series of them.
    pub fn record(&self, statistics: &Statistics) {
        if let Some(client) = &self.0 {
            client.record(statistics);
        }
    }
}

impl ClientContext for ClientStatistics {
    fn stats(&self, statistics: Statistics) {
        self.record(&statistics);
    }
}

impl ConsumerContext for ClientStatistics {}

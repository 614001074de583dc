//! A topic that one run has for itself.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, anyhow};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use tokio::runtime::Handle;
use tokio::task::block_in_place;

/// How long the broker may take.
const LIMIT: Duration = Duration::from_secs(20);

pub(crate) struct Topic {
    pub(crate) name: String,
    admin: AdminClient<DefaultClientContext>,
}

impl Topic {
    /// Creates one with one partition.
    pub(crate) fn create(config: &ClientConfig) -> anyhow::Result<Self> {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let name = format!("load-{}-{:x}", std::process::id(), since.as_nanos());
        let admin: AdminClient<_> = config.create().context("no client for the topic")?;
        let topic = NewTopic::new(&name, 1, TopicReplication::Fixed(1));
        let created = blocking(admin.create_topics([&topic], &options()))?;
        for result in created {
            result.map_err(|(name, code)| anyhow!("the topic {name} cannot be created: {code}"))?;
        }
        Ok(Self { name, admin })
    }

    /// Deletes it: a hundred runs would fill a disk.
    pub(crate) fn delete(self) -> anyhow::Result<()> {
        for result in blocking(self.admin.delete_topics(&[&self.name], &options()))? {
            result.map_err(|(name, code)| anyhow!("the topic {name} cannot be deleted: {code}"))?;
        }
        Ok(())
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(LIMIT)).request_timeout(Some(LIMIT))
}

/// Waits for a future where nothing else runs.
pub(crate) fn blocking<T>(work: impl Future<Output = T>) -> T {
    block_in_place(|| Handle::current().block_on(work))
}

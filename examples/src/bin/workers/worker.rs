//! A worker: takes jobs as they come, and says of each what became of it.

use carrier_amqp::Instrumentation;
use carrier_amqp::instrumentation::Redelivery;
use futures::StreamExt as _;
use lapin::Consumer;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicRejectOptions};
use tokio::sync::mpsc::UnboundedSender;

use crate::job::print;

pub(crate) struct Worker {
    pub(crate) amqp: Instrumentation,
    pub(crate) queue: String,
    pub(crate) deliveries: Consumer,
    /// The job that this worker will not settle, as if somebody had written `?` where it does not belong.
    pub(crate) forgets: Option<u32>,
    pub(crate) ended: UnboundedSender<Ended>,
}

/// A job that nobody will work on any more, as far as it is known here.
pub(crate) struct Ended {
    pub(crate) job: String,
    pub(crate) how: End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Done,
    Dead,
    Forgotten,
}

impl Worker {
    pub(crate) async fn work(mut self) -> anyhow::Result<()> {
        while let Some(delivery) = self.deliveries.next().await.transpose()? {
            // The span begins here. It ends when the job is settled, or with the value, whatever happens below.
            let delivery = self.amqp.process(&self.queue, delivery);
            let attempt = Redelivery::of(&delivery).attempts() + 1;
            let id = id(&delivery);

            let printed = delivery.run(print(&id, attempt)).await;

            if self.forgets.is_some_and(|job| job.to_string() == id) {
                self.end(id, End::Forgotten);
                continue;
            }
            match printed {
                Ok(()) => {
                    delivery.ack(BasicAckOptions::default()).await?;
                    self.end(id, End::Done);
                }
                // Not back into the queue, where it would be the next one again: `queues.rs` says where it goes.
                Err(_) => {
                    delivery.reject(BasicRejectOptions { requeue: false }).await?;
                }
            }
        }
        Ok(())
    }

    /// Attends the dead-letter queue, where a person would look what there is to be done.
    pub(crate) async fn mourn(mut self) -> anyhow::Result<()> {
        while let Some(delivery) = self.deliveries.next().await.transpose()? {
            let delivery = self.amqp.process(&self.queue, delivery);
            delivery.run(async { delivery.ack(BasicAckOptions::default()).await }).await?;
            self.end(id(&delivery), End::Dead);
        }
        Ok(())
    }

    fn end(&self, job: String, how: End) {
        // Nobody listens any more where the program ends.
        let _ = self.ended.send(Ended { job, how });
    }
}

fn id(delivery: &Delivery) -> String {
    delivery.properties.message_id().as_ref().map(ToString::to_string).unwrap_or_default()
}

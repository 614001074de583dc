//! RabbitMQ: every look is a delivery, and what was delivered is put back.

mod client;
mod peek;
mod queue_type;
mod take;
mod transfer;

pub(crate) use peek::peek;
pub(crate) use transfer::transfer;

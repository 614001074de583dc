//! The harness of this project's broker tests: real brokers in two lines, nothing left behind.
//!
//! ```no_run
//! # async fn a_test() {
//! let rabbitmq = carrier_tests::rabbitmq().await;
//! let channel = rabbitmq.channel().await;
//!
//! let kafka = carrier_tests::kafka().await;
//! let topic = carrier_tests::unique_name("orders");
//! kafka.create_topic(&topic, 1).await;
//! let consumer = kafka.consumer(&topic).await;
//! # }
//! ```
//!
//! # Which broker a test gets
//!
//! | environment variable | effect |
//! | --- | --- |
//! | `AMQP_URL`, `KAFKA_BROKERS` | the broker that already runs there; no container is started |
//! | `CARRIER_RABBITMQ_IMAGE`, `CARRIER_KAFKA_IMAGE` | the image (`name:tag`) to start instead of the public one |
//!
//! `cargo xtask test` provides the engine and the images and sets these. One container per broker is
//! shared by all tests of a test binary, so tests use queues, topics and groups of their own
//! ([`unique_name`]). A test that stops or breaks a broker starts its own: [`RabbitMq::start_own`],
//! [`Kafka::start_own`].
//!
//! # How containers go away
//!
//! Before the first container starts, a small child process is started in a process group of its own.
//! It waits for the end of a pipe that this process holds open, then removes every container that
//! carries this process's label. A panic, Ctrl-C and `kill -9` all close the pipe.
//!
//! # Failures
//!
//! A test without its broker cannot go on: these functions panic and say which image or address was
//! meant, what to do, and how the container's log ended. Where a test wants to see the failure, there
//! are [`RabbitMq::connect`] and [`Kafka::check`].
#![allow(clippy::panic, reason = "a harness fails a test by panicking, like assert! does")]

mod container;
mod kafka;
mod own;
pub mod picture;
mod rabbitmq;
mod reaper;
pub mod telemetry;
mod waiting;

pub use crate::container::unique_name;
pub use crate::kafka::{Kafka, kafka};
pub use crate::own::{OwnKafka, OwnRabbitMq};
pub use crate::rabbitmq::{RabbitMq, rabbitmq};
pub use crate::waiting::{LIMIT, within};

/// The README's examples compile.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
mod readme {}

/// The guide's examples compile.
#[cfg(doctest)]
#[doc = include_str!("../../docs/guide.md")]
mod guide {}

//! A broker in memory: named queues, headers of bytes, acknowledgements. It stands for a client library.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// The headers of a message: repeated names and any bytes are allowed.
pub type Headers = Vec<(String, Vec<u8>)>;

/// A message to publish.
#[derive(Debug, Clone, Default)]
pub struct Message {
    /// The headers.
    pub headers: Headers,
    /// The body.
    pub body: Vec<u8>,
}

impl Message {
    /// Returns the bytes that the broker counts.
    pub fn size(&self) -> usize {
        self.body.len() + self.headers.iter().map(|(name, value)| name.len() + value.len() + 2).sum::<usize>()
    }
}

/// A message that was received. The broker keeps it until it is settled.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The queue that it came from.
    pub queue: String,
    /// The message.
    pub message: Message,
    /// When the broker took it.
    pub published_at: SystemTime,
    /// Whether it was delivered before.
    pub is_redelivered: bool,
    tag: u64,
}

/// Why the broker refused an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The message is larger than the broker's limit.
    TooLarge,
    /// The delivery is settled already.
    Settled,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooLarge => "the message is too large",
            Self::Settled => "the delivery is settled already",
        })
    }
}

impl std::error::Error for Refused {}

/// The broker.
#[derive(Debug)]
pub struct Broker {
    limit: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    queues: HashMap<String, VecDeque<Delivery>>,
    unsettled: HashMap<u64, Delivery>,
    next_tag: u64,
}

impl Broker {
    /// A broker that takes messages of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, state: Mutex::default() }
    }

    /// Returns the most bytes of a message.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Adds a message to a queue.
    ///
    /// # Errors
    ///
    /// [`Refused::TooLarge`].
    pub fn publish(&self, queue: &str, message: Message) -> Result<(), Refused> {
        if message.size() > self.limit {
            return Err(Refused::TooLarge);
        }
        let (queue, published_at) = (queue.to_owned(), SystemTime::now());
        self.state().push(Delivery { queue, message, published_at, is_redelivered: false, tag: 0 });
        Ok(())
    }

    /// Takes the next message of a queue.
    pub fn get(&self, queue: &str) -> Option<Delivery> {
        let mut state = self.state();
        let delivery = state.queues.get_mut(queue)?.pop_front()?;
        state.unsettled.insert(delivery.tag, delivery.clone());
        Some(delivery)
    }

    /// Settles a message: it was handled.
    ///
    /// # Errors
    ///
    /// [`Refused::Settled`].
    pub fn ack(&self, delivery: &Delivery) -> Result<(), Refused> {
        self.state().unsettled.remove(&delivery.tag).map(drop).ok_or(Refused::Settled)
    }

    /// Settles a message: it was not handled, and is delivered again.
    ///
    /// # Errors
    ///
    /// [`Refused::Settled`].
    pub fn nack(&self, delivery: &Delivery) -> Result<(), Refused> {
        let mut state = self.state();
        let returned = state.unsettled.remove(&delivery.tag).ok_or(Refused::Settled)?;
        state.push(Delivery { is_redelivered: true, ..returned });
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, delivery: Delivery) {
        self.next_tag += 1;
        let delivery = Delivery { tag: self.next_tag, ..delivery };
        self.queues.entry(delivery.queue.clone()).or_default().push_back(delivery);
    }
}

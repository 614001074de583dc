//! A batch that is processed: one span, and a link to each message's sender.

use std::time::SystemTime;

use opentelemetry::trace::Link;
use opentelemetry::{Context, KeyValue};

use super::age::Age;
use super::incoming::valid_span;
use super::live::{Live, Operation};
use super::relation::Chosen;
use super::tracer::gather;
use super::{Ambient, Arrival, Details, Handled, Instrumentation, Process, Received, attribute};
use crate::TextMapReader;

impl Instrumentation {
    /// Starts the span of a batch that is processed: a trace of its own with a link to each message's sender.
    ///
    /// `common` is what all messages share; of `messages` each has its headers, what is known of it alone, and the
    /// attributes of its link. Attributes of the batch are asked from `details` where the span is recorded.
    pub fn process_batch<R, A, D>(
        &self,
        common: super::Destination,
        messages: impl IntoIterator<Item = (R, A, D)>,
        details: impl FnOnce(&mut Details<'_>),
    ) -> Batch
    where
        R: TextMapReader,
        A: Arrival,
        D: FnOnce(&mut Details<'_>),
    {
        let ambient = Context::current();
        if ambient.is_telemetry_suppressed() {
            let contexts = messages.into_iter().map(|(reader, ..)| self.propagation.extract(&reader));
            let contexts = contexts.map(|cx| cx.with_telemetry_suppressed()).collect();
            let context = Context::new().with_telemetry_suppressed();
            return Batch { contexts, process: Process::of_a_batch(context, None) };
        }
        let began = self.shared.begin();
        let is_rule = self.relation.is_rule();
        let mut links = Links { links: Vec::new(), most: self.shared.max_links, left_out: 0 };
        let messages = messages.into_iter();
        let mut contexts = Vec::with_capacity(messages.size_hint().0);
        let mut ages = Vec::with_capacity(messages.size_hint().0);
        let mut counted = 0;
        let around = valid_span(&ambient);
        let parent = match self.shared.ambient {
            Ambient::Parent if around.is_some() => ambient.clone(),
            _ => Context::new(),
        };
        // First, so that a large batch does not leave it out.
        if self.shared.ambient == Ambient::Link && links.most > 0 {
            links.links.extend(around.map(Link::with_context));
        }
        for (reader, message, details) in messages {
            let sent_at = if began.is_some() || is_rule { message.sent_at() } else { None };
            let age = Age::of(sent_at, || began.map_or_else(SystemTime::now, |began| began.at));
            let (sent, unused) = self.read(&reader);
            let redelivered = is_rule && message.is_redelivered();
            let received = Received { redelivered, age: age.waited() };
            if self.relation.of(&received) != Chosen::Nothing {
                let sender = valid_span(&sent).or_else(|| unused.first().cloned());
                if let Some(sender) = sender {
                    links.add(sender, || gather(details));
                }
            }
            contexts.push(sent);
            ages.push(age);
            counted += u64::from(!message.is_counted());
        }
        let (messages, left_out) = (contexts.len(), links.left_out);
        let (context, live) = Live::start(
            &self.shared,
            Operation::process(),
            || common,
            began,
            &parent,
            || links.links,
            |span| {
                span.set(attribute::MESSAGING_BATCH_MESSAGE_COUNT, as_i64(messages));
                if left_out > 0 {
                    span.set(attribute::BATCH_UNLINKED, as_i64(left_out));
                }
                details(span);
            },
        );
        if let Some(live) = &live {
            live.consumed(counted, &ages);
        }
        Batch { contexts, process: Process::of_a_batch(context, live) }
    }
}

/// Links up to a limit, and how many were too many.
struct Links {
    links: Vec<Link>,
    most: usize,
    left_out: usize,
}

impl Links {
    fn add(&mut self, to: opentelemetry::trace::SpanContext, attributes: impl FnOnce() -> Vec<KeyValue>) {
        if self.links.len() < self.most {
            self.links.push(Link::new(to, attributes(), 0));
        } else {
            self.left_out += 1;
        }
    }
}

fn as_i64(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A batch that is processed: owns its span, and ends it exactly once.
#[derive(Debug)]
pub struct Batch {
    contexts: Vec<Context>,
    process: Process,
}

impl Batch {
    /// The context that each message brought, in order: its sender's span and its baggage.
    pub fn contexts(&self) -> &[Context] {
        &self.contexts
    }

    /// The context of the handler, in which the batch's span is the current one. It has no message's baggage.
    pub fn context(&self) -> &Context {
        self.process.context()
    }

    /// Runs the handler of the whole batch: see [`Process::run`].
    pub async fn run<F>(&self, handler: F) -> F::Output
    where
        F: Future,
        F::Output: Handled,
    {
        self.process.run(handler).await
    }

    /// The handler failed: see [`Process::fail`].
    pub fn fail(&self, failure: super::Failure) {
        self.process.fail(failure);
    }
}

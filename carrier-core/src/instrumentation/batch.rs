//! A batch that is processed: one span, with a link to each message's sender.

use std::time::SystemTime;

use opentelemetry::Context;
use opentelemetry::trace::SpanKind;

use super::attribute;
use super::builder::Instrumentation;
use super::details::Details;
use super::handled::Handled;
use super::hook::{Filter, Incoming, MessageView};
use super::links::Links;
use super::message::IncomingMessage;
use super::metrics::{QueueTime, Received};
use super::operation::{Destination, Operation, OperationType};
use super::outcome::Failure;
use super::process::Process;
use super::relation::{Choice, Current, Sender, unobserved};
use super::span::{OperationSpan, Start, as_i64};
use crate::TextMapReader;

impl Instrumentation {
    /// Starts the span of a batch that is processed: a new trace, with a link to each message's sender.
    ///
    /// `common` is what all messages share. Each of `messages` has its headers, its own data, and the attributes of its
    /// link. `details` sets the attributes of the batch, and is called only if the span is recorded.
    pub fn process_batch<R, M, D>(
        &self,
        common: Destination,
        messages: impl IntoIterator<Item = (R, M, D)>,
        details: impl FnOnce(&mut Details<'_>),
    ) -> Batch
    where
        R: TextMapReader,
        M: IncomingMessage,
        D: FnOnce(&mut Details<'_>),
    {
        let filter = self.filters.of(OperationType::Process, false, || common.clone());
        if filter != Filter::Observe {
            let contexts = messages.into_iter().map(|(reader, ..)| match filter {
                Filter::Skip => Context::new(),
                _ => self.propagation.extract(&reader),
            });
            return Batch {
                contexts: contexts.map(unobserved).collect(),
                process: Process::unobserved(self, Context::current()),
            };
        }
        let mut around = None;
        let parent = match Current::read(self.ambient) {
            Current::Suppressed => {
                let contexts = messages.into_iter().map(|(reader, ..)| self.propagation.extract(&reader));
                let process = Process::unobserved(self, unobserved(Context::new()));
                return Batch { contexts: contexts.map(unobserved).collect(), process };
            }
            Current::Parent(current) => current,
            Current::Ignored => Context::new(),
            Current::Linked(current) => {
                around = Some(current);
                Context::new()
            }
        };
        let mut links = Links::below(&parent, self.telemetry.link_parent);
        let mut left_out = 0;
        // The first link, so that a large batch does not leave it out.
        if let Some(around) = around.filter(|_| self.max_links > 0) {
            links.add(around);
        }
        let start = self.telemetry.start_time();
        let is_used = start.is_some() || self.relation.is_rule();
        let now = || start.map_or_else(SystemTime::now, |start| start.at);
        let messages = messages.into_iter();
        let mut contexts = Vec::with_capacity(messages.size_hint().0);
        let mut received = Vec::with_capacity(messages.size_hint().0);
        for (reader, message, details) in messages {
            let queue_time = QueueTime::of(if is_used { message.sent_at() } else { None }, now);
            let sender = Sender::read(&self.propagation, &reader, start.is_some());
            if self.relation.of(&message, queue_time, &sender, &reader) != Choice::Ignore {
                match sender.span() {
                    Some(span) if links.len() < self.max_links => {
                        let view = MessageView {
                            operation: OperationType::Process,
                            destination: &common,
                            message: &Incoming(&message, &reader),
                        };
                        links.add_with(span, || {
                            Details::collect(|link| {
                                details(link);
                                self.telemetry.hooks.recorded(&view, link);
                            })
                        });
                    }
                    Some(_) => left_out += 1,
                    None => {}
                }
            }
            contexts.push(sender.context);
            received.push(Received {
                is_counted: message.is_counted(),
                status: sender.status,
                queue_time,
                attempts: start.and_then(|_| message.attempts()),
            });
        }
        let messages = contexts.len();
        let (context, mut span) = OperationSpan::start(
            Start {
                telemetry: &self.telemetry,
                operation: Operation::new(OperationType::Process, SpanKind::Consumer),
                at: start,
                parent: &parent,
                message: None,
            },
            || common,
            |_, of_span| *of_span = links,
            |span| {
                span.set(attribute::MESSAGING_BATCH_MESSAGE_COUNT, as_i64(messages));
                if left_out > 0 {
                    span.set(attribute::BATCH_UNLINKED, as_i64(left_out));
                }
                details(span);
            },
        );
        if let Some(span) = &mut span {
            span.consumed(&context, &received);
        }
        Batch { contexts, process: Process::new(self, context, span, None) }
    }
}

/// A batch that is processed. It owns the span, and ends it exactly once.
#[derive(Debug)]
#[must_use = "the span ends when this is dropped; keep it until the batch is handled"]
pub struct Batch {
    contexts: Vec<Context>,
    process: Process,
}

impl Batch {
    /// The context that each message brought, in order: its sender's span and its baggage.
    pub fn contexts(&self) -> &[Context] {
        self.process.set_used();
        &self.contexts
    }

    /// The context of the handler: it contains the batch's span, and no message's baggage.
    pub fn context(&self) -> &Context {
        self.process.context()
    }

    /// Runs the handler of the whole batch: see [`Process::run`].
    pub async fn run<F, K>(&self, handler: F) -> F::Output
    where
        F: Future,
        F::Output: Handled<K>,
    {
        self.process.run(handler).await
    }

    /// Calls a handler that is not a future: see [`Process::in_scope`].
    pub fn in_scope<T>(&self, handler: impl FnOnce() -> T) -> T {
        self.process.in_scope(handler)
    }

    /// Reports a failure of the handler: see [`Process::fail`].
    pub fn fail(&self, failure: Failure) {
        self.process.fail(failure);
    }
}

//! What a process span is to the span that sent its message, and to the one around it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// What the sender's span is to the span that processes its message.
///
/// The conventions allow both for a single message ("Message creation context as parent of 'Process' span"); a batch
/// links to each of its messages whatever is chosen here, except with [`None`](Self::None).
///
/// # Examples
///
/// ```
/// use std::time::Duration;
/// use carrier_core::instrumentation::Relation;
///
/// // One trace, as long as things go well: what is tried again or comes late has a trace of its own.
/// let fresh = Relation::parent_while_fresh(Duration::from_secs(3_600));
/// ```
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum Relation {
    /// Its parent, and a link as well: one trace from the first program to the last. Inside one system.
    #[default]
    Parent,
    /// A link, from a trace of its own: other teams' messages, long queues, fan-out.
    Link,
    /// Nothing.
    None,
    /// What this says of each message.
    Rule(Rule),
}

impl Relation {
    /// The sender's span is the parent, but a link from a new trace where the message was given out before, or was in the
    /// queue for longer than `age`.
    ///
    /// A message whose age is not known counts as fresh.
    pub fn parent_while_fresh(age: Duration) -> Self {
        Self::rule(move |message| {
            let is_old = message.age.is_some_and(|waited| waited > age);
            if message.redelivered || is_old { Self::Link } else { Self::Parent }
        })
    }

    /// What `rule` says of each message; a rule that names a rule is a link.
    pub fn rule(rule: impl Fn(&Received) -> Relation + Send + Sync + 'static) -> Self {
        Self::Rule(Rule(Arc::new(rule)))
    }

    /// Whether it depends on the message.
    pub(super) fn is_rule(&self) -> bool {
        matches!(self, Self::Rule(_))
    }

    /// What it is for one message.
    pub(super) fn of(&self, message: &Received) -> Chosen {
        match self {
            Self::Parent => Chosen::Parent,
            Self::Link => Chosen::Link,
            Self::None => Chosen::Nothing,
            Self::Rule(rule) => match (rule.0)(message) {
                Self::Parent => Chosen::Parent,
                Self::None => Chosen::Nothing,
                Self::Link | Self::Rule(_) => Chosen::Link,
            },
        }
    }
}

impl fmt::Debug for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Parent => "Parent",
            Self::Link => "Link",
            Self::None => "None",
            Self::Rule(_) => "Rule",
        })
    }
}

/// A function that chooses for each message; [`Relation::rule`] makes it.
#[derive(Clone)]
pub struct Rule(Arc<dyn Fn(&Received) -> Relation + Send + Sync>);

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule").finish_non_exhaustive()
    }
}

/// What a rule may look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Received {
    /// It was given out before, to this consumer or to another.
    pub redelivered: bool,
    /// How long it was in the queue; `None` where nothing says when it was sent, or clocks differ.
    pub age: Option<Duration>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chosen {
    Parent,
    Link,
    Nothing,
}

/// What the span that is current where a message is processed is to the process span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Ambient {
    /// A link: a consumer loop inside a span does not grow one endless trace.
    #[default]
    Link,
    /// The parent; the sender is linked. For messages that arrive inside a request, which the conventions prefer there.
    Parent,
    /// Nothing.
    Ignore,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(relation: &Relation, redelivered: bool, age: Option<u64>) -> Chosen {
        relation.of(&Received { redelivered, age: age.map(Duration::from_secs) })
    }

    #[test]
    fn what_is_redelivered_or_old_is_no_child_while_fresh() {
        let fresh = Relation::parent_while_fresh(Duration::from_secs(60));
        assert_eq!(chosen(&fresh, false, Some(60)), Chosen::Parent);
        assert_eq!(chosen(&fresh, false, None), Chosen::Parent);
        assert_eq!(chosen(&fresh, false, Some(61)), Chosen::Link);
        assert_eq!(chosen(&fresh, true, Some(0)), Chosen::Link);
    }

    #[test]
    fn a_rule_is_asked_for_each_message_and_ends() {
        let rule =
            Relation::rule(|message| if message.redelivered { Relation::None } else { Relation::Link });
        assert_eq!(chosen(&rule, true, None), Chosen::Nothing);
        assert_eq!(chosen(&rule, false, None), Chosen::Link);
        let endless = Relation::rule(|_| Relation::rule(|_| Relation::Parent));
        assert_eq!(chosen(&endless, false, None), Chosen::Link);
    }
}

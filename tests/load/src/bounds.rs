//! How much a run may do.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

/// So many messages, and no more time than this: whichever comes first ends the run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) messages: u32,
    pub(crate) time: Duration,
    began: Instant,
}

impl Bounds {
    /// From the command line: a number of messages, and one of seconds.
    pub(crate) fn parse(words: &[String]) -> anyhow::Result<Self> {
        let [messages, seconds] = words else { bail!("the bounds are <messages> <seconds>") };
        let number = |word: &str| word.parse::<u32>().with_context(|| format!("`{word}` is no number"));
        let time = Duration::from_secs(number(seconds)?.into());
        Ok(Self { messages: number(messages)?, time, began: Instant::now() })
    }

    /// The same time for another number of messages, from now on.
    pub(crate) fn of(self, messages: u32) -> Self {
        Self { messages, began: Instant::now(), ..self }
    }

    /// Whether the time is over.
    pub(crate) fn is_over(&self) -> bool {
        self.began.elapsed() > self.time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> anyhow::Result<Bounds> {
        Bounds::parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn bounds_are_a_number_of_messages_and_one_of_seconds() {
        let bounds = parse(&["1000", "20"]).unwrap();
        assert_eq!((bounds.messages, bounds.time), (1_000, Duration::from_secs(20)));
        assert!(parse(&["1000"]).is_err() && parse(&["1000", "-1"]).is_err());
    }
}

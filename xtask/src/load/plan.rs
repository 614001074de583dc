//! What is measured, against what, and what it should reach.

/// One way to send messages, and all the variants of it.
#[derive(Debug)]
pub(crate) struct Part {
    /// What the client calls it.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// Messages of one run.
    pub(crate) messages: u32,
    /// What the variants are compared with; targets are for the first.
    pub(crate) floors: &'static [&'static str],
    pub(crate) variants: &'static [Variant],
    /// Short runs and many rounds: what else the machine does is then the same in all runs of a round.
    pub(crate) rounds: usize,
    /// No round begins after so many minutes.
    pub(crate) minutes: u64,
}

#[derive(Debug)]
pub(crate) struct Variant {
    /// What the client calls it.
    pub(crate) name: &'static str,
    pub(crate) says: &'static str,
    /// The least throughput, as a part of the floor's.
    pub(crate) target: Option<f64>,
}

const fn variant(name: &'static str, says: &'static str) -> Variant {
    Variant { name, says, target: None }
}

impl Variant {
    const fn at_least(self, target: f64) -> Self {
        Self { target: Some(target), ..self }
    }
}

pub(crate) const PARTS: [Part; 4] = [
    // What level 1 costs is smaller than what two runs of the same differ by: it takes more rounds than the others.
    Part {
        name: "kafka-level1",
        title: "Kafka at full speed, level 1: `BaseProducer`, acks=1",
        messages: 400_000,
        rounds: 81,
        floors: &["ready"],
        variants: &[
            variant("ready", "a ready-made header of the same size"),
            variant("level1", "level 1, our propagator registered").at_least(0.95),
            variant("level1-own", "level 1, a `Propagation` of one's own").at_least(0.95),
        ],
        minutes: 6,
    },
    Part {
        name: "kafka",
        title: "Kafka at full speed, and what else there is: `BaseProducer`, acks=1",
        messages: 400_000,
        rounds: 21,
        floors: &["ready", "bare"],
        variants: &[
            variant("bare", "no header"),
            variant("ready", "a ready-made header of the same size"),
            variant("level1", "level 1, our propagator registered"),
            variant("level2-dropped", "level 2, not recorded").at_least(0.85),
            variant("level2-skipped", "level 2, not started (`skip_unsampled`)"),
            variant("level2-recorded", "level 2, recorded").at_least(0.60),
            variant("span-dropped", "a span by hand around level 1, not recorded"),
            variant("span-recorded", "a span by hand around level 1, recorded"),
            variant("level2-dropped-metrics", "level 2, not recorded, metrics"),
            variant("level2-recorded-metrics", "level 2, recorded, metrics"),
            variant("short", "stock propagator, short injector"),
            variant("copied", "stock propagator, copied snippet"),
        ],
        minutes: 7,
    },
    Part {
        name: "kafka-awaited",
        title: "Kafka, each send awaited: `FutureProducer`, acks=all, linger.ms=0",
        messages: 2_000,
        rounds: 25,
        floors: &["bare"],
        variants: &[
            variant("bare", "without us"),
            variant("ready", "a ready-made header of the same size"),
            variant("level1", "level 1, sampled context").at_least(0.97),
            variant("level2-dropped", "level 2, not recorded").at_least(0.95),
            variant("level2-recorded", "level 2, recorded"),
        ],
        minutes: 3,
    },
    Part {
        name: "rabbitmq",
        title: "RabbitMQ: confirms, 512 in flight",
        messages: 15_000,
        rounds: 35,
        floors: &["bare"],
        variants: &[
            variant("bare", "without us"),
            variant("ready", "a ready-made header of the same size"),
            variant("level1", "level 1, sampled context").at_least(0.97),
            variant("level2-dropped", "level 2, not recorded").at_least(0.95),
            variant("level2-recorded", "level 2, recorded"),
        ],
        minutes: 3,
    },
];

/// What the client calls the soak.
pub(crate) const SOAK: &str = "soak";

/// How much of it all is done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    /// No more rounds than these.
    pub(crate) rounds: usize,
    /// A run has so many times fewer messages.
    pub(crate) divisor: u32,
    pub(crate) soak_messages: u32,
}

impl Size {
    pub(crate) const FULL: Self = Self { rounds: usize::MAX, divisor: 1, soak_messages: 1_000_000 };

    /// Shows that the command works, and measures nothing.
    pub(crate) const QUICK: Self = Self { rounds: 2, divisor: 20, soak_messages: 50_000 };
}

/// The order of a round: each begins with another variant, and every second one goes backwards, so that what comes behind
/// what is not always the same.
pub(crate) fn order(count: usize, round: usize) -> Vec<usize> {
    let forward = (0..count).map(|index| (index + round) % count);
    if round.is_multiple_of(2) { forward.collect() } else { forward.rev().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_round_has_every_variant_once() {
        assert_eq!(order(3, 0), [0, 1, 2]);
        assert_eq!(order(3, 1), [0, 2, 1]);
        for round in 0..7 {
            let mut all = order(5, round);
            all.sort_unstable();
            assert_eq!(all, [0, 1, 2, 3, 4]);
        }
    }

    #[test]
    fn what_is_compared_with_is_measured() {
        for part in &PARTS {
            for floor in part.floors {
                assert!(part.variants.iter().any(|variant| variant.name == *floor), "{floor}");
            }
        }
    }
}

//! What is measured, against what, and what it should reach.

/// One way to send messages, and all the variants of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// Messages of one run.
    pub(crate) messages: u32,
    /// Short runs and many rounds: everything else on the machine is then the same in all runs of a round.
    pub(crate) rounds: usize,
    /// No round begins after so many minutes.
    pub(crate) minutes: u64,
    /// The name, what it is, and the least throughput as a part of the first one's, which all are compared with.
    pub(crate) variants: &'static [(&'static str, &'static str, Option<f64>)],
}

const READY: &str = "a ready-made header of the same size";

pub(crate) const PARTS: [Part; 3] = [
    // Two runs of the same differ by more than level 1 costs: it takes more rounds than the others.
    Part {
        name: "kafka-level1",
        title: "Kafka at full speed, level 1: `BaseProducer`, acks=1",
        messages: 400_000,
        rounds: 81,
        minutes: 6,
        variants: &[
            ("ready", READY, None),
            ("level1", "level 1", Some(0.95)),
            ("level1-own", "level 1, a `Propagation` passed explicitly", Some(0.95)),
        ],
    },
    Part {
        name: "kafka",
        title: "Kafka at full speed, and what else there is: `BaseProducer`, acks=1",
        messages: 400_000,
        rounds: 21,
        minutes: 7,
        variants: &[
            ("ready", READY, None),
            ("bare", "no header", None),
            ("level1", "level 1", None),
            ("level2-dropped", "level 2, not recorded", Some(0.85)),
            ("level2-skipped", "level 2, not started (`skip_unsampled`)", None),
            ("level2-recorded", "level 2, recorded", Some(0.60)),
            ("span-dropped", "a span by hand around level 1, not recorded", None),
            ("span-recorded", "a span by hand around level 1, recorded", None),
            ("level2-dropped-metrics", "level 2, not recorded, metrics", None),
            ("level2-recorded-metrics", "level 2, recorded, metrics", None),
            ("short", "stock propagator, short injector", None),
            ("copied", "stock propagator, copied snippet", None),
        ],
    },
    Part {
        name: "rabbitmq",
        title: "RabbitMQ: confirms, 512 in flight",
        messages: 15_000,
        rounds: 35,
        minutes: 3,
        variants: &[
            ("bare", "without us", None),
            ("ready", READY, None),
            ("level1", "level 1, sampled context", Some(0.97)),
            ("level2-dropped", "level 2, not recorded", Some(0.95)),
            ("level2-recorded", "level 2, recorded", None),
        ],
    },
];

/// What the command line calls the soak.
pub(crate) const SOAK: &str = "soak";

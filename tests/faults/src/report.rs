//! The results, as tables in Markdown.

use std::fs;
use std::process::Command;

use anyhow::Context as _;

use crate::ledger::Tally;
use crate::lost::{self, Series};
use crate::spans::Count;

/// What was seen during one fault.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) broker: &'static str,
    pub(crate) fault: &'static str,
    pub(crate) tally: Tally,
    pub(crate) spans: Count,
    /// `messaging.client.sent.messages`.
    pub(crate) sent_by_metrics: u64,
    pub(crate) mib: f64,
    pub(crate) seconds: u64,
}

const TITLE: &str = "\
# Faults

`cargo xtask faults` writes this page. A service sends numbered messages to a cluster of three nodes and handles them, while a
fault happens. The number of a message is its body, and decides the trace in which it is sent. The service reconnects after a
lost connection; it does not send a message again. The run fails if a confirmed message is not handled, if the context of a
handler is not in the message's trace, if an aborted message is handled, if a span does not end exactly once, or if the metrics
count other send operations than there are spans.

- RabbitMQ: a quorum queue, to which at most 64 messages are unconfirmed, and a classic queue on another node, with one. Both are
  durable, all messages are persistent and `mandatory`. Each queue has two consumers. A memory alarm is set with
  `set_vm_memory_high_watermark 0`.
- Kafka: KRaft, replication 3, `min.insync.replicas` 2, `acks=all`, an idempotent producer, two consumers of one group that commit
  each message. A process of its own is the consumer that is killed; the spans in the table are of the other processes.
- For 512 pending confirmations, the node is frozen until they are pending, then killed and restarted.
- **again**: messages that were handled once more, which both brokers allow.
- **spans**: `send`, `process` and the settlements. An error that no broker's word describes has the name of its Rust type.";

const LOST: &str = "\
A process sends and handles 100 messages and sends 100 more; then its connections are cut, 50 times. It reads its memory after every
tenth time. The same loop without us shows the client's own share; more than 4 MiB above it is a failure.";

const HEAD: &str = "| broker | fault | sent | confirmed | handled | again | lost | in a wrong trace | spans started | \
     ended | errors by `error.type` | resident MiB | s |\n\
     | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |";

impl Row {
    /// A message may be handled twice: both brokers promise "at least once".
    pub(crate) fn problems(&self) -> Vec<String> {
        let Self { tally, spans, .. } = self;
        let problems = [
            (tally.handled == 0, "nothing was handled".to_owned()),
            (tally.lost > 0, format!("{} confirmed messages are lost", tally.lost)),
            (tally.in_wrong_trace > 0, format!("{} messages were in a wrong trace", tally.in_wrong_trace)),
            (tally.aborted_and_handled > 0, format!("{} aborted were handled", tally.aborted_and_handled)),
            (
                !spans.each_ended_once(),
                format!("{} spans are open, {} ended out of turn", spans.open(), spans.out_of_turn),
            ),
            (
                self.sent_by_metrics != spans.sends,
                format!("{} send spans, but {} on metrics", spans.sends, self.sent_by_metrics),
            ),
        ];
        let found = problems.into_iter().filter(|(is_so, _)| *is_so);
        found.map(|(_, text)| format!("{}, {}: {text}", self.broker, self.fault)).collect()
    }

    pub(crate) fn line(&self) -> String {
        let Self { broker, fault, tally, spans, .. } = self;
        let errors: Vec<_> = spans.errors.iter().map(|(error, count)| format!("{error} {count}")).collect();
        let aborted = if tally.aborted > 0 { format!(" ({} aborted)", tally.aborted) } else { String::new() };
        format!(
            "| {broker} | {fault} | {} | {}{aborted} | {} | {} | {} | {} | {} | {} | {} | {:.0} | {} |",
            tally.sent,
            tally.confirmed,
            tally.handled,
            tally.duplicates,
            tally.lost,
            tally.in_wrong_trace,
            spans.started,
            spans.ended,
            errors.join("; "),
            self.mib,
            self.seconds,
        )
    }
}

/// All that was seen.
#[derive(Debug, Default)]
pub(crate) struct Results {
    pub(crate) rows: Vec<Row>,
    pub(crate) lost: Vec<Series>,
}

impl Results {
    pub(crate) fn tables(&self) -> String {
        let rows: String = self.rows.iter().map(|row| row.line() + "\n").collect();
        let lost: String = self.lost.iter().map(|series| series.line() + "\n").collect();
        format!("{HEAD}\n{rows}\n## 50 lost connections\n\n{LOST}\n\n{}\n{lost}", lost::HEAD)
    }

    pub(crate) fn problems(&self) -> Vec<String> {
        let lost = lost::problems(&self.lost);
        self.rows.iter().flat_map(Row::problems).chain(lost).collect()
    }

    /// Writes the page.
    pub(crate) fn write(&self) -> anyhow::Result<()> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/RESULTS.md");
        let date = Command::new("date").args(["-u", "+%F"]).output().map(|output| output.stdout);
        let date = String::from_utf8_lossy(&date.unwrap_or_default()).trim().to_owned();
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let text = format!(
            "{TITLE}\n\nRun on {date}, brokers and service on {cores} shared cores.\n\n{}",
            self.tables()
        );
        fs::write(path, text).with_context(|| format!("cannot write {path}"))
    }
}

/// The resident memory of this process, without files: the engine's and the compiler's work throws these out and in.
pub(crate) fn mib() -> anyhow::Result<f64> {
    let status = fs::read_to_string("/proc/self/status").context("only Linux reports the memory")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB"));
    Ok(line.context("/proc/self/status has no RssAnon")?.parse::<f64>()? / 1_024.0)
}

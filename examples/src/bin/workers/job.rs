//! The jobs: posters to be printed, on a printer that has its days.

use std::fmt;
use std::time::Duration;

use tokio::time;

/// So that there is something to see: real work takes time.
const WORK: Duration = Duration::from_millis(5);

pub(crate) struct Job {
    pub(crate) id: u32,
    pub(crate) what: &'static str,
    /// How many attempts fail before one does not.
    pub(crate) fails: u64,
}

pub(crate) static JOBS: [Job; 5] = [
    Job { id: 1, what: "a poster", fails: 0 },
    Job { id: 2, what: "two tickets", fails: 0 },
    Job { id: 3, what: "a map", fails: 1 },
    Job { id: 4, what: "a menu", fails: 2 },
    Job { id: 5, what: "a banner", fails: u64::MAX },
];

/// Why a job was not done; its type is what spans and metrics have as `error.type`.
#[derive(Debug)]
pub(crate) enum NotPrinted {
    NoPaper,
    NoJob,
}

impl std::error::Error for NotPrinted {}

impl fmt::Display for NotPrinted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoPaper => "no paper",
            Self::NoJob => "nobody knows this job",
        })
    }
}

impl Job {
    pub(crate) fn of(id: &str) -> Option<&'static Self> {
        JOBS.iter().find(|job| job.id.to_string() == id)
    }
}

/// The handler: knows no queue and no carrier, and its span is a child of the one that is current.
#[tracing::instrument(skip(id))]
pub(crate) async fn print(id: &str, attempt: u64) -> Result<(), NotPrinted> {
    let job = Job::of(id).ok_or(NotPrinted::NoJob)?;
    time::sleep(WORK).await;
    if attempt > job.fails { Ok(()) } else { Err(NotPrinted::NoPaper) }
}

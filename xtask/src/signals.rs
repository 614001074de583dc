//! Ctrl-C and `kill`: remembered, so that a command can clean up before it ends.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use anyhow::Context as _;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// The exit code after an interrupt, as shells have it for Ctrl-C.
pub(crate) const EXIT_CODE: u8 = 130;

static INTERRUPTED: OnceLock<Arc<AtomicBool>> = OnceLock::new();

/// From here on these signals only set a flag; the terminal still sends Ctrl-C to the children.
pub(crate) fn catch() -> anyhow::Result<()> {
    let flag = INTERRUPTED.get_or_init(Arc::default);
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(flag)).context("cannot catch Ctrl-C")?;
    }
    Ok(())
}

/// Returns whether somebody wants this command to end.
pub(crate) fn interrupted() -> bool {
    INTERRUPTED.get().is_some_and(|flag| flag.load(Ordering::Relaxed))
}

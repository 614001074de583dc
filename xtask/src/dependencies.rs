//! What deny.toml says about the dependencies.

use crate::machine::{self, cargo};
use crate::progress::{say, step};
use crate::run;

/// Checks licences, sources, bans, and known vulnerabilities if their database can be fetched.
pub(crate) fn check(all: &mut run::All) -> anyhow::Result<()> {
    step("Licences, sources and advisories of the dependencies");
    machine::provide_subcommand("deny", "0.20.2")?;
    all.show(&mut cargo(&["deny", "check", "bans", "licenses", "sources"]))?;
    let log = machine::state().join("advisories.log");
    match run::logged("fetching the advisories", &mut cargo(&["deny", "fetch", "db"]), &log) {
        Ok(()) => all.show(&mut cargo(&["deny", "check", "advisories"]))?,
        Err(_) => say(&format!(
            "advisories are not checked: their database on GitHub cannot be fetched ({})",
            log.display()
        )),
    }
    Ok(())
}

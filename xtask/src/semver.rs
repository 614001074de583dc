//! The public interface of each library, compared with its last release.

use crate::libraries::Library;
use crate::machine::{self, cargo};
use crate::progress::{say, step};
use crate::run;

/// Fails if a version number promises more than the interface keeps.
pub(crate) fn check(libraries: &[Library], all: &mut run::All) -> anyhow::Result<()> {
    step("The interface and the version numbers");
    for library in libraries {
        let Some(last) = library.releases().into_iter().next() else {
            say(&format!("{0}: nothing to compare with, git has no tag {0}-v*", library.name));
            continue;
        };
        machine::provide_subcommand("semver-checks", "0.51.0")?;
        let words = ["semver-checks", "-p", library.name, "--all-features", "--baseline-rev", &last];
        all.show(&mut cargo(&words))?;
    }
    Ok(())
}

//! `cargo xtask check`: everything that needs no broker.

use crate::libraries::Library;
use crate::machine::{self, cargo};
use crate::progress::step;
use crate::{dependencies, documentation, interface, ranges, run};

/// Runs every check, and returns 0 if all passed.
pub(crate) fn check() -> anyhow::Result<u8> {
    machine::provide_compilers()?;
    let mut all = run::All::default();

    step("Formatting");
    all.show(&mut cargo(&["fmt", "--all", "--check"]))?;

    step("Lints of everything");
    all.show(&mut cargo(&[
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--",
        "-D",
        "warnings",
    ]))?;

    step("Lints of the example as `cargo xtask demo` builds it");
    let demo = ["clippy", "-p", "carrier-examples", "--bin", "handoff", "--no-default-features"];
    all.show(cargo(&demo).args(["--", "-D", "warnings"]))?;

    let libraries = Library::all()?;
    documentation::check(&libraries, false, &mut all)?;
    interface::check(&mut all)?;

    for library in &libraries {
        step(&format!("{} with every set of its features", library.name));
        for features in library.feature_sets() {
            let features = format!("--features={features}");
            let words =
                ["clippy", "-p", library.name, "--no-default-features", &features, "--", "-D", "warnings"];
            all.show(&mut cargo(&words))?;
        }
    }

    dependencies::check(&mut all)?;

    ranges::check(&mut all)?;

    step("Result");
    Ok(all.result("every check passed"))
}

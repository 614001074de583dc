//! `cargo xtask load`: the end-to-end measurement on real brokers, which `tests/load` does.

use crate::progress::step;
use crate::{images, machine, run};

/// Measures; the exit code is 0 if every part could be measured and memory did not grow.
pub(crate) fn load(is_quick: bool, parts: &[String]) -> anyhow::Result<u8> {
    machine::provide_compilers()?;
    images::with_brokers(|environment| {
        step("The measurement");
        // Built as an application is built that is deployed.
        let mut client = machine::cargo(&["run", "--release", "-p", "carrier-load", "--"]);
        client.args(is_quick.then_some("--quick")).args(parts).envs(environment.iter().cloned());
        Ok(u8::from(!run::status(&mut client)?.success()))
    })
}

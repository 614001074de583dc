//! `cargo xtask faults`: clusters that fail while messages pass, which `tests/faults` does.

use crate::progress::step;
use crate::{images, machine, run};

/// The exit code is 0 if no message was lost or in a wrong trace, and every span ended once.
pub(crate) fn faults(parts: &[String]) -> anyhow::Result<u8> {
    machine::provide_compilers()?;
    images::with_brokers(|environment| {
        step("The faults");
        let mut client = machine::cargo(&["run", "-p", "carrier-faults", "--"]);
        client.args(parts).envs(environment.iter().cloned());
        Ok(u8::from(!run::status(&mut client)?.success()))
    })
}

//! Runs the target that `CARRIER_FUZZ_TARGET` names: with libFuzzer, or over the files that are its arguments.
#![cfg_attr(fuzzing, no_main)]

use std::sync::LazyLock;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("CARRIER_FUZZ_TARGET").expect("CARRIER_FUZZ_TARGET names a target");
    carrier_fuzz::target(&name).expect("there is a target of this name")
});

#[cfg(fuzzing)]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| TARGET(bytes));

#[cfg(not(fuzzing))]
fn main() {
    for file in std::env::args_os().skip(1) {
        TARGET(&std::fs::read(file).unwrap());
    }
}

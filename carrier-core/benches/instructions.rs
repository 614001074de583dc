//! Instructions under Valgrind, compared with `tests/measure/limits.txt`.

mod cases;

use std::process::ExitCode;

use carrier_measure::Instructions;

fn main() -> ExitCode {
    Instructions::check("core", |instructions| {
        cases::all(instructions);
        cases::growth(instructions);
    })
}

//! Instructions under Valgrind, compared with `tests/measure/limits.txt`.

mod cases;

fn main() -> std::process::ExitCode {
    carrier_measure::Instructions::check("amqp", cases::all)
}

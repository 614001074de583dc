//! What a person reads.

/// Announces a step.
pub(crate) fn step(title: &str) {
    eprintln!("\n== {title}");
}

/// Says something within a step.
pub(crate) fn say(line: &str) {
    eprintln!("   {line}");
}

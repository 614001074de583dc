//! What is used where the application registered no propagator.

use std::sync::LazyLock;

use crate::W3c;

static DEFAULT: LazyLock<W3c> = LazyLock::new(|| parse(std::env::var("OTEL_PROPAGATORS").ok().as_deref()));

/// The propagators of `OTEL_PROPAGATORS`, read once.
pub(crate) fn propagator() -> &'static W3c {
    &DEFAULT
}

/// A comma-separated list; an empty variable counts as unset (OpenTelemetry specification, environment variables).
///
/// Unset is trace context alone, and not the specification's trace context and baggage: nobody sends baggage that
/// they did not choose to send. Names of propagators that are not here (`b3`, `jaeger`, …) turn nothing on.
fn parse(variable: Option<&str>) -> W3c {
    let names = variable.unwrap_or_default().trim();
    if names.is_empty() {
        return W3c { trace_context: true, baggage: false };
    }
    let lists = |wanted: &str| names.split(',').any(|name| name.trim() == wanted);
    W3c {
        trace_context: lists("tracecontext") && !lists("none"),
        baggage: lists("baggage") && !lists("none"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(variable: Option<&str>) -> (bool, bool) {
        let W3c { trace_context, baggage } = parse(variable);
        (trace_context, baggage)
    }

    #[test]
    fn without_the_variable_it_is_trace_context_and_nothing_else() {
        assert_eq!(chosen(None), (true, false));
        assert_eq!(chosen(Some("")), (true, false));
        assert_eq!(chosen(Some(" ")), (true, false));
    }

    #[test]
    fn the_variable_decides() {
        assert_eq!(chosen(Some("tracecontext,baggage")), (true, true));
        assert_eq!(chosen(Some(" baggage ")), (false, true));
        assert_eq!(chosen(Some("none")), (false, false));
        assert_eq!(chosen(Some("none,tracecontext")), (false, false));
        assert_eq!(chosen(Some("b3,tracecontext")), (true, false));
        assert_eq!(chosen(Some("b3")), (false, false));
    }
}

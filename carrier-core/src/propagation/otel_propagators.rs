//! The propagators of `OTEL_PROPAGATORS`, for a program that registered none.

use std::sync::LazyLock;

use crate::propagator::W3c;

static DEFAULT: LazyLock<W3c> = LazyLock::new(|| parse(std::env::var("OTEL_PROPAGATORS").ok().as_deref()));

/// Returns the propagators of `OTEL_PROPAGATORS`, which is read once.
pub(crate) fn propagator() -> &'static W3c {
    &DEFAULT
}

/// Parses a comma-separated list; an empty variable counts as unset (OpenTelemetry specification, environment variables).
///
/// The default is trace context alone, although the specification's default includes baggage: baggage must be a choice.
/// Names of other propagators (`b3`, `jaeger`, …) are ignored.
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

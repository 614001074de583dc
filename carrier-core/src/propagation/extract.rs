//! Extraction, and the report of what was found.

use std::borrow::Cow;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use opentelemetry::baggage::{Baggage, BaggageExt as _};
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use opentelemetry::{Context, ContextGuard};
use smallvec::SmallVec;

use super::Propagation;
use super::configuration::{Settings, Trust, Used, filtered};
#[cfg(feature = "tracing")]
use super::event;
use crate::carrier::bounded::MAX_COPIES;
use crate::carrier::{Conflict, ExtractionStatus, FieldNames, TextMapReader};
use crate::format::baggage::ReceivedMembers;
use crate::format::{MalformedReason, W3C_FIELDS, slot};
use crate::propagator::AsExtractor;

/// Reads the context from a carrier; returns an empty context if there is none.
///
/// It never fails and never panics, whatever the headers hold. It starts from an empty context, so a message without a
/// context does not get the current span. The propagator is chosen as in [`inject`](crate::inject).
///
/// # Examples
///
/// ```
/// use std::collections::HashMap;
/// use opentelemetry::trace::TraceContextExt;
///
/// let headers = HashMap::from([(
///     "traceparent".to_owned(),
///     "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
/// )]);
/// let cx = carrier_core::extract(&headers);
/// assert_eq!(cx.span().span_context().span_id().to_string(), "b7ad6b7169203331");
/// ```
pub fn extract<R: TextMapReader>(reader: &R) -> Context {
    Propagation::new().extract(reader)
}

/// Reads the context from a carrier, and reports what was found.
///
/// # Examples
///
/// ```
/// let found = carrier_core::inspect(&std::collections::HashMap::<String, String>::new());
/// assert_eq!(found.status(), &carrier_core::ExtractionStatus::Absent);
/// ```
pub fn inspect<R: TextMapReader>(reader: &R) -> Extraction {
    Propagation::new().inspect(reader)
}

impl Propagation {
    /// Reads the context from a carrier; returns an empty context if there is none that is trusted.
    pub fn extract<R: TextMapReader>(&self, reader: &R) -> Context {
        let mut rest = None;
        let context = self.read_fast(reader, false, &mut rest);
        match rest {
            None => context,
            Some(found) => self.judge(found).context,
        }
    }

    /// Reads the context from a carrier, and reports what was found.
    pub fn inspect<R: TextMapReader>(&self, reader: &R) -> Extraction {
        self.judge(self.with_propagator(|settings, propagator| read(settings, propagator, reader, true)))
    }

    /// Reads the context from a carrier, the valid spans that are not its parent, and the label of what was found.
    ///
    /// Without `with_status`, the label may be wrong.
    #[cfg(feature = "instrumentation")]
    #[inline]
    pub(crate) fn extract_with_links<R: TextMapReader>(
        &self,
        reader: &R,
        with_status: bool,
    ) -> (Context, SmallVec<[SpanContext; 1]>, &'static str) {
        let mut rest = None;
        let context = self.read_fast(reader, with_status, &mut rest);
        let Some(found) = rest else {
            let is_absent = || !context.has_active_span() && context.baggage().is_empty();
            let status = match with_status && is_absent() {
                true => ExtractionStatus::Absent,
                false => ExtractionStatus::Valid,
            };
            return (context, SmallVec::new(), status.label());
        };
        let found = self.judge(found);
        (found.context, found.unused, found.status.label())
    }

    /// Returns the names of the context's headers: W3C's, and those of a foreign propagator.
    #[cfg(feature = "instrumentation")]
    pub(crate) fn field_names(&self) -> Vec<String> {
        let foreign = self.with_propagator(|_, propagator| match propagator {
            Used::W3c(_) => Vec::new(),
            Used::Other(propagator) => propagator.fields().map(str::to_owned).collect(),
        });
        W3C_FIELDS.into_iter().map(str::to_owned).chain(foreign).collect()
    }

    /// Returns the span that a message carries, trusted or not.
    #[cfg(feature = "instrumentation")]
    pub(crate) fn sender<R: TextMapReader>(&self, reader: &R) -> Option<SpanContext> {
        let found = self.with_propagator(|settings, propagator| read(settings, propagator, reader, false));
        let span = found.context.span();
        Some(span.span_context()).filter(|span| span.is_valid()).cloned()
    }

    /// Fast path. Returns the context if every field is present at most once and valid; otherwise fills `rest` with the
    /// full result.
    #[inline]
    fn read_fast<R: TextMapReader>(
        &self,
        reader: &R,
        with_status: bool,
        rest: &mut Option<Extraction>,
    ) -> Context {
        self.with_propagator(|settings, propagator| {
            let fast = settings.read_fast(propagator, reader, with_status);
            if fast.is_none() {
                *rest = Some(read(settings, propagator, reader, with_status || is_event_enabled()));
            }
            fast.unwrap_or_default()
        })
    }

    /// Applies the trust settings and emits the debug event. It must run outside OpenTelemetry's global lock.
    fn judge(&self, mut found: Extraction) -> Extraction {
        #[cfg(feature = "tracing")]
        event::emit(&found.status);
        self.settings().apply_trust(&mut found);
        found
    }
}

/// A status costs a second look at the fields of a foreign propagator. `extract` wants it for the debug event only.
fn is_event_enabled() -> bool {
    #[cfg(feature = "tracing")]
    return event::is_enabled();
    #[cfg(not(feature = "tracing"))]
    false
}

/// Reads a carrier, whoever is trusted; `with_status` says whether the status is wanted.
pub(super) fn read<R: TextMapReader>(
    settings: &Settings,
    propagator: Used<'_>,
    reader: &R,
    with_status: bool,
) -> Extraction {
    let conflict = settings.conflict(reader);
    match propagator {
        Used::W3c(w3c) => {
            let (context, status, unused) = match w3c.read_once(reader) {
                Some(once) => {
                    let status = once.status();
                    (once.onto(&Context::new()), status, SmallVec::new())
                }
                None => w3c.inspect(reader, conflict).onto(&Context::new()),
            };
            Extraction { context, status, unused }
        }
        Used::Other(propagator) => read_foreign(propagator, reader, conflict, with_status),
    }
}

fn read_foreign<R: TextMapReader>(
    propagator: &dyn TextMapPropagator,
    reader: &R,
    conflict: Conflict,
    with_status: bool,
) -> Extraction {
    let view = AsExtractor::with_conflict(reader, conflict);
    let context = show(propagator, &view);
    if !with_status {
        return Extraction { context, ..Extraction::default() };
    }
    let mut declares = [false; W3C_FIELDS.len()];
    propagator.fields().filter_map(slot).for_each(|slot| declares[slot] = true);
    let (mut status, unused) = view.status(declares);
    if context.has_active_span() {
        if status == ExtractionStatus::Absent {
            status = ExtractionStatus::Valid;
        }
    } else if !status.is_invalid() && context.baggage().is_empty() {
        // The status of the W3C fields is known. Other fields are only known to hold something.
        let fields: Vec<_> = propagator.fields().filter(|field| slot(field).is_none()).collect();
        let first = first_with_value(reader, &fields).map(|field| ExtractionStatus::Malformed {
            field: field.to_owned().into(),
            reason: MalformedReason::Unrecognised,
        });
        status = first.unwrap_or(ExtractionStatus::Absent);
    }
    Extraction { context, status, unused }
}

/// Returns the first of some fields that has a value in the carrier. It reads the carrier once.
fn first_with_value<'f, R: TextMapReader>(reader: &R, fields: &[&'f str]) -> Option<&'f str> {
    let names = FieldNames::new(fields);
    let values = reader.find(&names).take(MAX_COPIES.saturating_mul(fields.len()));
    let first = values.filter(|(_, value)| !value.is_empty()).map(|(place, _)| place).min()?;
    fields.get(first).copied()
}

/// Calls a foreign propagator with an empty current context: some return the current one instead of the given one.
fn show(propagator: &dyn TextMapPropagator, view: &dyn Extractor) -> Context {
    let empty = Context::new();
    let _guard = attached(&empty);
    propagator.extract_with_context(&empty, view)
}

/// Makes a context the current one. OpenTelemetry panics in the destructor of a thread-local, where none can be current.
pub(crate) fn attached(cx: &Context) -> Option<ContextGuard> {
    catch_unwind(AssertUnwindSafe(|| cx.clone().attach())).ok()
}

impl Settings {
    /// Fast path; `None` if the full read is needed.
    #[inline]
    fn read_fast<R: TextMapReader>(
        &self,
        propagator: Used<'_>,
        reader: &R,
        with_status: bool,
    ) -> Option<Context> {
        if self.trust != Trust::Parent || self.baggage_in.is_some() {
            return None;
        }
        match propagator {
            Used::W3c(w3c) => w3c.read_once(reader).map(|once| once.onto(&Context::new())),
            Used::Other(propagator) => (!is_event_enabled())
                .then(|| show(propagator, &AsExtractor::with_conflict(reader, self.conflict(reader))))
                // What a message without a span holds needs a closer look.
                .filter(|context| !with_status || context.has_active_span()),
        }
    }

    fn conflict<R: TextMapReader>(&self, reader: &R) -> Conflict {
        self.conflict.unwrap_or_else(|| reader.conflict())
    }

    /// Removes what is not trusted.
    fn apply_trust(&self, found: &mut Extraction) {
        match self.trust {
            Trust::Parent => {}
            Trust::Link => {
                if found.context.has_active_span() {
                    let span = found.context.span().span_context().clone();
                    found.unused.insert(0, span);
                    found.context = baggage_alone(&found.context);
                }
            }
            Trust::Ignore => {
                found.unused.clear();
                found.context = Context::new();
            }
        }
        if let (Cow::Owned(filtered), _) = filtered(&found.context, self.baggage_in.as_ref()) {
            found.context = filtered;
        }
    }
}

/// Returns a context with the baggage of another and without its span. An invalid span would make samplers drop.
pub(crate) fn baggage_alone(cx: &Context) -> Context {
    let baggage: Baggage = cx.baggage().iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    if baggage.is_empty() {
        return Context::new();
    }
    with_received_members(Context::new().with_baggage(baggage), cx)
}

/// Adds how the baggage of another context was received, so that members that are not changed can leave as they came.
pub(crate) fn with_received_members(cx: Context, other: &Context) -> Context {
    match other.get::<ReceivedMembers>() {
        Some(received) => cx.with_value(received.clone()),
        None => cx,
    }
}

/// The context that a message brought, and what was found.
///
/// It is returned by [`inspect`] and [`Propagation::inspect`]. There is no error to handle: you can use the
/// [`context`](Self::context) whatever the status is.
///
/// # Examples
///
/// ```
/// let headers = vec![("traceparent".to_owned(), "00-0-0-00".to_owned())];
/// let found = carrier_core::inspect(&headers);
/// assert_eq!(found.status().label(), "malformed");
/// assert_eq!(found.to_string(), "traceparent is malformed: its length is wrong");
/// ```
#[derive(Debug, Clone, Default)]
pub struct Extraction {
    context: Context,
    status: ExtractionStatus,
    unused: SmallVec<[SpanContext; 1]>,
}

impl Extraction {
    /// Returns the context to use; an empty one if there is none.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// Returns the context to use, by value.
    pub fn into_context(self) -> Context {
        self.context
    }

    /// Returns what was found: of `traceparent`, `tracestate` and `baggage`, in this order, the first that is not valid.
    pub fn status(&self) -> &ExtractionStatus {
        &self.status
    }

    /// Returns the valid span contexts that were found and are not the parent, for links.
    ///
    /// With [`Trust::Link`] that is the sender's; with conflicting `traceparent` headers the ones that are not used.
    pub fn links(&self) -> &[SpanContext] {
        &self.unused
    }

    #[inline]
    pub(super) fn pop_link(&mut self) -> Option<SpanContext> {
        self.unused.pop()
    }
}

impl fmt::Display for Extraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.status.fmt(f)
    }
}

//! Injecting and extracting.

use std::borrow::Cow;

use opentelemetry::Context;
use opentelemetry::baggage::{Baggage, BaggageExt};
use opentelemetry::global::get_text_map_propagator;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{SpanContext, TraceContextExt};
#[cfg(feature = "instrumentation")]
use smallvec::SmallVec;

use crate::environment;
use crate::injection::DropReason;
use crate::names::{BAGGAGE, is_ours};
use crate::read::MAX_REPETITIONS;
use crate::settings::{BaggageFilter, Settings, Source};
use crate::used::Used;
use crate::{
    AsExtractor, Conflict, Existing, Extraction, Fields, Injection, Outcome, Propagation, Reason, Status,
    TextMapCarrier, TextMapReader, Trust, W3c,
};

/// Writes the context into a carrier; with a context that has no span, the propagator's old fields are removed as well.
///
/// Uses the propagator that is registered with [`opentelemetry::global`]. Where none is (or one without fields, which
/// cannot be told from none), `OTEL_PROPAGATORS` decides, and without it W3C trace context alone: see [`w3c`](crate::w3c).
///
/// All fields of the propagator are replaced at once and nothing else is touched: each field is there once or not at
/// all, and every other header stays as it was. The report of what was done need not be looked at.
///
/// # Examples
///
/// ```
/// use std::collections::HashMap;
/// use opentelemetry::Context;
///
/// let mut headers = HashMap::new();
/// carrier_core::inject(&Context::current(), &mut headers);
/// ```
pub fn inject<C: TextMapCarrier>(cx: &Context, carrier: &mut C) -> Injection {
    Propagation::application().inject(cx, carrier)
}

/// Reads the context that a carrier brought; an empty context where there is none.
///
/// It never fails and never panics, whatever is in the headers, and starts from an empty context: a message without a
/// context does not get the span that happens to be current. The propagator is chosen as in [`inject`].
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
    Propagation::application().extract(reader)
}

/// Reads the context that a carrier brought, and says what was found.
///
/// # Examples
///
/// ```
/// let found = carrier_core::inspect(&std::collections::HashMap::<String, String>::new());
/// assert_eq!(found.status(), &carrier_core::Status::Absent);
/// ```
pub fn inspect<R: TextMapReader>(reader: &R) -> Extraction {
    Propagation::application().inspect(reader)
}

impl Propagation {
    /// Writes the context into a carrier; with a context that has no span, the propagator's old fields are removed as well.
    ///
    /// As [`inject`], with this configuration.
    pub fn inject<C: TextMapCarrier>(&self, cx: &Context, carrier: &mut C) -> Injection {
        let settings = &*self.0;
        self.with_propagator(|propagator| {
            let fields = propagator.fields();
            let survey = settings.survey(propagator, &fields, carrier);
            settings.inject(propagator, fields, survey, cx, carrier)
        })
        .unwrap_or_default()
    }

    /// What is in a carrier already; `None` where propagation is off.
    #[cfg(feature = "instrumentation")]
    pub(crate) fn survey<C: TextMapCarrier>(&self, carrier: &C) -> Option<Survey> {
        self.with_propagator(|propagator| {
            let (fields, has_spans) = (propagator.fields(), propagator.has_spans());
            let declared = fields.declared();
            Survey { has_spans, declared, ..self.0.survey(propagator, &fields, carrier) }
        })
    }

    /// [`inject`](Self::inject) behind a [`survey`](Self::survey) of the same carrier.
    #[cfg(feature = "instrumentation")]
    pub(crate) fn inject_surveyed<C: TextMapCarrier>(
        &self,
        survey: Survey,
        cx: &Context,
        carrier: &mut C,
    ) -> Injection {
        let mut survey = Some(survey);
        self.with_propagator(|propagator| {
            let (fields, survey) = (propagator.fields(), survey.take().unwrap_or_default());
            // The application may have registered another propagator since, whose fields nobody looked for.
            let is_same = survey.declared.is_some() && survey.declared == fields.declared();
            let size = survey.size.filter(|_| is_same);
            self.0.inject(propagator, fields, Survey { size, ..survey }, cx, carrier)
        })
        .unwrap_or_default()
    }

    /// The context that a carrier brought, and the valid spans beside it.
    #[cfg(feature = "instrumentation")]
    #[inline]
    pub(crate) fn links<R: TextMapReader>(&self, reader: &R) -> (Context, SmallVec<[SpanContext; 1]>) {
        let mut more = None;
        let context = self.glance(reader, &mut more);
        match more {
            None => (context, SmallVec::new()),
            Some(found) => {
                let found = self.judged(found);
                (found.context, found.unused)
            }
        }
    }

    /// Calls `then` with the propagator that is used; `None` where propagation is off.
    #[inline]
    fn with_propagator<T>(&self, mut then: impl FnMut(Used<'_>) -> T) -> Option<T> {
        match &self.0.source {
            Source::Application => get_text_map_propagator(|propagator| {
                is_used(propagator).then(|| then(Used::Other(propagator)))
            })
            .or_else(|| Some(then(Used::Ours(environment::propagator())))),
            Source::Own(propagator) => Some(then(Used::Other(&**propagator))),
            Source::W3c(w3c) => Some(then(Used::Ours(w3c))),
            Source::Off => None,
        }
    }

    /// Reads the context that a carrier brought; an empty context where there is none, or none to be trusted.
    pub fn extract<R: TextMapReader>(&self, reader: &R) -> Context {
        let mut more = None;
        let context = self.glance(reader, &mut more);
        match more {
            None => context,
            Some(found) => self.judged(found).into_context(),
        }
    }

    /// Reads the context that a carrier brought, and says what was found.
    pub fn inspect<R: TextMapReader>(&self, reader: &R) -> Extraction {
        let found = self.with_propagator(|propagator| self.0.read(propagator, reader, Report::Wanted));
        self.judged(found.unwrap_or_else(nothing))
    }

    /// The span that a carrier brought, trusted or not.
    #[cfg(feature = "instrumentation")]
    pub(crate) fn sender<R: TextMapReader>(&self, reader: &R) -> Option<SpanContext> {
        let found = self.with_propagator(|propagator| self.0.read(propagator, reader, Report::Unwanted))?;
        let span = found.context.span();
        Some(span.span_context()).filter(|span| span.is_valid()).cloned()
    }

    /// The context of a message that there is nothing to say of; of another, `more` gets what was found.
    #[inline]
    fn glance<R: TextMapReader>(&self, reader: &R, more: &mut Option<Extraction>) -> Context {
        let settings = &*self.0;
        let quick = self.with_propagator(|propagator| {
            let quick = settings.quick(propagator, reader);
            if quick.is_none() {
                *more = Some(settings.read(propagator, reader, Report::for_the_event()));
            }
            quick
        });
        quick.flatten().unwrap_or_default()
    }

    /// What is left of what was found; a doubt is told, which must not happen inside of OpenTelemetry's lock.
    fn judged(&self, mut found: Extraction) -> Extraction {
        #[cfg(feature = "tracing")]
        crate::doubt::tell(&found.status);
        self.0.distrust(&mut found);
        found
    }
}

/// What is in a carrier before an injection.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    is_reused: bool,
    /// Whether the propagator writes spans: one of baggage alone does not.
    #[cfg(feature = "instrumentation")]
    has_spans: bool,
    /// Which fields were looked for.
    #[cfg(feature = "instrumentation")]
    declared: Option<[bool; 3]>,
    /// What counts against the limit where it is certain that none of the fields is there.
    size: Option<usize>,
    existing: Option<SpanContext>,
    /// What becomes of the message where nothing is to be written.
    outcome: Outcome,
}

#[cfg(feature = "instrumentation")]
impl Survey {
    /// The valid span context that is there.
    pub(crate) fn existing(&self) -> Option<&SpanContext> {
        self.existing.as_ref()
    }

    /// Whether an injection will write a span.
    pub(crate) fn is_open(&self) -> bool {
        self.has_spans && self.outcome == Outcome::Nothing
    }
}

/// Whether somebody looks at what is said of a read: through another propagator it takes a second look at the fields.
#[derive(Clone, Copy, PartialEq)]
enum Report {
    Wanted,
    Unwanted,
}

impl Report {
    /// `extract` gives none; the event of the feature `tracing` may want it.
    fn for_the_event() -> Self {
        #[cfg(feature = "tracing")]
        if crate::doubt::is_heard() {
            return Self::Wanted;
        }
        Self::Unwanted
    }
}

fn is_used(propagator: &dyn TextMapPropagator) -> bool {
    propagator.fields().next().is_some()
}

/// What a propagator sees in a view.
fn show(propagator: &dyn TextMapPropagator, view: &dyn Extractor) -> Context {
    let empty = Context::new();
    // Some propagators answer with the current context instead of the one they are given.
    let _guard = empty.clone().attach();
    propagator.extract_with_context(&empty, view)
}

fn nothing() -> Extraction {
    Extraction::of(Context::new(), Status::Absent)
}

impl Settings {
    /// What of the propagator's fields is in a carrier, and what that means for an injection.
    #[inline]
    fn survey<C: TextMapCarrier>(&self, propagator: Used<'_>, fields: &Fields<'_>, carrier: &C) -> Survey {
        let size = fields.size_if_absent(carrier);
        let mut survey = Survey { is_reused: size.is_none(), size, ..Survey::default() };
        if survey.is_reused {
            let mut found = self.read(propagator, carrier, Report::Wanted);
            let is_valid = found.context.has_active_span();
            survey.outcome = match self.existing {
                Existing::Keep if is_valid => Outcome::Kept,
                Existing::LeaveAlone => Outcome::LeftAlone,
                _ => Outcome::Nothing,
            };
            survey.existing = match is_valid {
                true => Some(found.context.span().span_context().clone()),
                // In conflict: the last is the newest.
                false => found.unused.pop(),
            };
        }
        survey
    }

    #[inline]
    fn inject<'p, C: TextMapCarrier>(
        &self,
        propagator: Used<'p>,
        mut fields: Fields<'p>,
        survey: Survey,
        cx: &Context,
        carrier: &mut C,
    ) -> Injection {
        let Survey { is_reused, size, .. } = survey;
        let mut report = Injection::of(survey.existing, survey.outcome);
        if report.outcome != Outcome::Nothing {
            return report;
        }
        let (cx, dropped) = filtered(cx, self.baggage_out.as_ref());
        report.drop_members(BAGGAGE, dropped, DropReason::NotAllowed);
        propagator.write(&cx, &mut fields, &mut report);
        if !fields.has_entries() && !is_reused {
            return report;
        }
        let there = match size {
            Some(size) => {
                fields.for_a_new_message();
                // A propagator may set what it did not declare.
                if fields.may_replace() { carrier.size_without(&fields) } else { size }
            }
            None => carrier.size_without(&fields),
        };
        match self.budget.apply(carrier, there, &mut fields, &mut report) {
            Some(bytes) if fields.has_entries() => report.written(&fields, bytes),
            Some(_) => report.outcome = Outcome::Removed,
            None => {
                fields.unset_all();
                report.outcome = Outcome::NoRoom;
            }
        }
        carrier.replace(&mut fields);
        report
    }

    /// The context of a message as nearly all are; `None` where there is more to look at.
    #[inline]
    fn quick<R: TextMapReader>(&self, propagator: Used<'_>, reader: &R) -> Option<Context> {
        if self.trust != Trust::Parent || self.baggage_in.is_some() {
            return None;
        }
        match propagator {
            Used::Ours(w3c) => w3c.plain(reader).map(|plain| plain.onto(&Context::new())),
            Used::Other(propagator) => (Report::for_the_event() == Report::Unwanted)
                .then(|| show(propagator, &AsExtractor::with_conflict(reader, self.conflict(reader)))),
        }
    }

    fn conflict<R: TextMapReader>(&self, reader: &R) -> Conflict {
        self.conflict.unwrap_or_else(|| reader.conflict())
    }

    fn read<R: TextMapReader>(&self, propagator: Used<'_>, reader: &R, report: Report) -> Extraction {
        match propagator {
            Used::Ours(w3c) => self.read_own(w3c, reader),
            Used::Other(propagator) => self.read_other(propagator, reader, report),
        }
    }

    fn read_own<R: TextMapReader>(&self, propagator: &W3c, reader: &R) -> Extraction {
        if let Some(plain) = propagator.plain(reader) {
            let status = if plain.is_empty() { Status::Absent } else { Status::Valid };
            return Extraction::of(plain.onto(&Context::new()), status);
        }
        propagator.find(reader, self.conflict(reader)).onto(&Context::new())
    }

    fn read_other<R: TextMapReader>(
        &self,
        propagator: &dyn TextMapPropagator,
        reader: &R,
        report: Report,
    ) -> Extraction {
        let view = AsExtractor::with_conflict(reader, self.conflict(reader));
        let context = show(propagator, &view);
        if report == Report::Unwanted {
            return Extraction { context, ..nothing() };
        }
        let (mut status, unused) = view.status(|field| propagator.fields().any(|declared| declared == field));
        if context.has_active_span() {
            if status == Status::Absent {
                status = Status::Valid;
            }
        } else if matches!(status, Status::Absent | Status::Valid) && context.baggage().is_empty() {
            // W3C's own fields have said what is wrong with them.
            let mut fields = propagator.fields().filter(|field| !is_ours(field));
            let holds_something =
                |field: &str| reader.get_all(field).take(MAX_REPETITIONS).any(|value| !value.is_empty());
            let unrecognised = fields.find(|field| holds_something(field));
            status = unrecognised.map_or(Status::Absent, |field| Status::Malformed {
                field: crate::names::known(field),
                reason: Reason::Unrecognised,
            });
        }
        Extraction { context, status, unused }
    }

    /// Takes from what was found what is not to be trusted.
    #[inline]
    fn distrust(&self, found: &mut Extraction) {
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

/// The context with the baggage that is allowed, and how many members are not.
#[inline]
fn filtered<'a>(cx: &'a Context, allowed: Option<&BaggageFilter>) -> (Cow<'a, Context>, usize) {
    match allowed {
        None => (Cow::Borrowed(cx), 0),
        Some(allowed) => only(cx, allowed),
    }
}

fn only<'a>(cx: &'a Context, allowed: &BaggageFilter) -> (Cow<'a, Context>, usize) {
    let baggage = cx.baggage();
    let kept = baggage.iter().filter(|(key, _)| allowed(key.as_str()));
    let kept: Baggage = kept.map(|(key, value)| (key.clone(), value.clone())).collect();
    match baggage.len() - kept.len() {
        0 => (Cow::Borrowed(cx), 0),
        dropped => (Cow::Owned(cx.with_baggage(kept)), dropped),
    }
}

/// A context with the baggage of another, and without its span: never one with an invalid span, which samplers drop.
pub(crate) fn baggage_alone(cx: &Context) -> Context {
    let baggage: Baggage = cx.baggage().iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    match baggage.is_empty() {
        true => Context::new(),
        false => Context::new().with_baggage(baggage),
    }
}

#[cfg(all(test, feature = "instrumentation"))]
mod tests {
    use super::*;
    use crate::{W3cTraceContext, testing, w3c};

    #[test]
    fn what_one_propagator_looked_for_is_not_taken_for_what_another_writes() {
        let before = Propagation::builder().propagator(W3cTraceContext::new()).build();
        let after = Propagation::builder().propagator(w3c()).build();
        let mut headers = vec![("baggage".to_owned(), "old=1".to_owned())];
        let survey = before.survey(&headers).unwrap();
        after.inject_surveyed(survey, &testing::remote_context(), &mut headers);
        let keys: Vec<_> = headers.iter().map(|(key, _)| &**key).collect();
        assert_eq!(keys, ["traceparent"]);
    }
}

//! What a handler returns: a failure in it counts, wherever it is.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::ops::{ControlFlow, Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use carrier_core::instrumentation::{ErrorTypes, Failure, Handled, Plain};

use crate::seen::Seen;
use crate::support::{block_on, from_orders, headers};
use crate::telemetry::Telemetry;

/// An error with a cause.
#[derive(Debug)]
struct Step(&'static str, Option<Box<Step>>);

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Step {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.1.as_deref().map(|cause| cause as &dyn Error)
    }
}

fn steps(texts: &[&'static str]) -> Step {
    let (first, causes) = texts.split_first().unwrap();
    Step(first, (!causes.is_empty()).then(|| Box::new(steps(causes))))
}

const STEP: &str = concat!(module_path!(), "::Step");

/// The type and the description of the failure in a value.
fn failed<K>(value: &impl Handled<K>) -> Option<(String, String)> {
    value.failure(&ErrorTypes::default()).map(|it| (it.error_type().to_owned(), it.description().to_owned()))
}

fn some(error_type: &str, description: &str) -> Option<(String, String)> {
    Some((error_type.to_owned(), description.to_owned()))
}

#[test]
fn a_timeout_around_a_handler_that_fails_is_a_failed_span() {
    let telemetry = Telemetry::new();
    let process = telemetry.instrumentation().process(from_orders(), &headers(&[]), |_| {});
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let work = async { Err::<(), _>(steps(&["disk on fire"])) };
    let output =
        runtime.block_on(process.run(async { tokio::time::timeout(Duration::from_secs(9), work).await }));
    assert!(output.unwrap().is_err());
    assert_eq!(telemetry.seen(), [Seen::process("orders").failed(STEP, "disk on fire")]);
}

#[test]
fn an_error_three_levels_deep_counts_and_so_does_each_level() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    type Nested = Result<Result<Result<(), Step>, tokio::time::error::Elapsed>, tokio::task::JoinError>;
    let (elapsed, aborted) = runtime.block_on(async {
        let elapsed = tokio::time::timeout(Duration::ZERO, std::future::pending::<()>()).await.unwrap_err();
        let task = tokio::spawn(std::future::pending::<()>());
        task.abort();
        (elapsed, task.await.unwrap_err())
    });
    let of = |nested: Nested| failed(&nested);
    assert_eq!(of(Ok(Ok(Err(steps(&["x"]))))), some(STEP, "x"));
    assert_eq!(of(Ok(Err(elapsed))), some("tokio::time::error::Elapsed", "deadline has elapsed"));
    let (error_type, description) = of(Err(aborted)).unwrap();
    assert_eq!(error_type, "tokio::runtime::task::error::JoinError");
    assert!(description.contains("was cancelled"), "{description}");
    assert_eq!(of(Ok(Ok(Ok(())))), None);
}

#[test]
fn a_failure_inside_of_a_value_counts() {
    let ok = || Ok::<u8, Step>(1);
    let bad = || Err::<u8, Step>(steps(&["x"]));
    let expected = some(STEP, "x");
    assert_eq!(failed(&Some(bad())), expected);
    assert_eq!(failed(&vec![ok(), bad()]), expected);
    assert_eq!(failed(&[ok(), bad()]), expected);
    assert_eq!(failed(&(1, bad())), expected);
    assert_eq!(failed(&(bad(),)), expected);
    assert_eq!(failed(&("x", true, ok(), vec![(0_u64, Some(bad()))])), expected);
    assert_eq!(failed(&Box::new(bad())), expected);
    assert_eq!(failed(&Arc::new(bad())), expected);
    assert_eq!(failed(&&bad()), expected);
    assert_eq!(failed(&ControlFlow::<_, ()>::Break(bad())), expected);
    assert_eq!(failed(&ControlFlow::<(), _>::Continue(bad())), expected);
    assert_eq!(failed(&Ok::<_, String>(Some(vec![bad()]))), expected);
}

#[test]
fn of_several_failures_the_first_counts() {
    let bad = |text| Err::<u8, Step>(steps(&[text]));
    assert_eq!(failed(&vec![Ok(1), bad("one"), bad("two")]), some(STEP, "one"));
    assert_eq!(failed(&(Ok::<u8, String>(1), bad("one"), bad("two"))), some(STEP, "one"));
}

#[test]
fn plain_values_are_no_failures() {
    assert_eq!(failed(&()), None);
    assert_eq!(failed(&(true, 7_u8, -7_i64, 0.5)), None);
    assert_eq!(failed(&(String::from("error"), "error", Cow::Borrowed("error"), 'e')), None);
    assert_eq!(failed(&(vec![0_u8, 255], [1_u16; 3], Some(Duration::ZERO))), None);
    assert_eq!(failed(&None::<Result<(), Step>>), None);
    assert_eq!(failed(&Ok::<_, Step>(7)), None);
    assert_eq!(failed(&Plain(Err::<(), _>(steps(&["looked at"])))), None);
}

#[test]
fn a_type_of_ones_own_takes_one_line_or_says_what_its_failures_are() {
    struct Invoice;
    impl Handled for Invoice {}
    struct Answer(u16);
    impl Handled for Answer {
        fn failure(&self, _: &ErrorTypes) -> Option<Failure> {
            (self.0 >= 500).then(|| Failure::new("server_error", "the answer is an error"))
        }
    }
    assert_eq!(failed(&Ok::<_, Step>(Some(Invoice))), None);
    let telemetry = Telemetry::new();
    let process = telemetry.instrumentation().process(from_orders(), &headers(&[]), |_| {});
    assert_eq!(block_on(process.run(async { Ok::<_, Step>(Answer(503)) })).unwrap().0, 503);
    let expected = Seen::process("orders").failed("server_error", "the answer is an error");
    assert_eq!(telemetry.seen(), [expected]);
}

#[test]
fn the_type_of_a_boxed_error_is_not_the_box() {
    type Boxed = Box<dyn Error>;
    type Sendable = Box<dyn Error + Send>;
    type Shared = Box<dyn Error + Send + Sync>;
    let expected = some("_OTHER", "x: y");
    assert_eq!(failed(&Err::<(), Boxed>(steps(&["x", "y"]).into())), expected);
    assert_eq!(failed(&Err::<(), Sendable>(Box::new(steps(&["x", "y"])))), expected);
    assert_eq!(failed(&Err::<(), Shared>(steps(&["x", "y"]).into())), expected);
    let in_arc: Arc<dyn Error + Send + Sync> = Arc::new(steps(&["x", "y"]));
    assert_eq!(failed(&Err::<(), _>(in_arc)), expected);
    let borrowed: &'static dyn Error = Box::leak(Box::new(steps(&["x", "y"])));
    assert_eq!(failed(&Err::<(), _>(borrowed)), expected);
}

#[test]
fn a_report_type_that_derefs_to_its_error_is_a_boxed_one() {
    struct Report(Box<dyn Error + Send + Sync>);
    impl Deref for Report {
        type Target = dyn Error + Send + Sync;

        fn deref(&self) -> &Self::Target {
            &*self.0
        }
    }
    impl DerefMut for Report {
        fn deref_mut(&mut self) -> &mut Self::Target {
            &mut *self.0
        }
    }
    assert_eq!(failed(&Err::<u8, _>(Report(steps(&["x", "y"]).into()))), some("_OTHER", "x: y"));
}

#[test]
fn anyhows_context_is_followed_by_its_causes() {
    use anyhow::Context as _;
    let stored: Result<(), _> = Err(std::io::Error::other("disk on fire"));
    let stored = stored.context("storing the invoice");
    assert_eq!(failed(&stored), some("_OTHER", "storing the invoice: disk on fire"));
    let told = Err::<(), _>(anyhow::anyhow!("disk on fire")).context("storing").context("billing");
    assert_eq!(failed(&told), some("_OTHER", "billing: storing: disk on fire"));
}

#[test]
fn text_is_an_error_with_its_type() {
    assert_eq!(failed(&Err::<(), _>("x")), some("&str", "x"));
    assert_eq!(failed(&Err::<(), _>(String::from("x"))), some("alloc::string::String", "x"));
    let (error_type, text) = failed(&Err::<(), Cow<'static, str>>("x".into())).unwrap();
    assert!(error_type.starts_with("alloc::borrow::Cow<") && text == "x", "{error_type}");
    let boxed: Box<str> = "x".into();
    assert_eq!(failed(&Err::<(), _>(boxed)), some("alloc::boxed::Box<str>", "x"));
}

#[test]
fn each_cause_is_there_once() {
    let text = |texts: &[&'static str]| Failure::of(&steps(texts)).description().to_owned();
    assert_eq!(text(&["storing the invoice", "disk on fire"]), "storing the invoice: disk on fire");
    assert_eq!(text(&["a: b: c", "b: c", "c", "d"]), "a: b: c: d");
    assert_eq!(text(&["the same", "the same"]), "the same");
    assert_eq!(text(&["", "a cause", ""]), "a cause");
}

#[test]
fn a_long_description_is_cut_at_a_character_and_marked() {
    // A character of two bytes at an odd place.
    let long: &'static str = Box::leak(format!("x{}", "ß".repeat(600)).into_boxed_str());
    for error in [steps(&[long]), steps(&["", long]), steps(&[long, "cause"])] {
        let failure = Failure::of(&error);
        let description = failure.description();
        assert!(description.len() <= 1_024 && description.len() > 1_018, "{}", description.len());
        assert!(description.starts_with("xßß") && description.ends_with("ß…"), "{description}");
    }
    let text = failed(&Err::<(), _>(long)).unwrap().1;
    assert!(text.len() <= 1_024 && text.ends_with("ß…"), "{text}");
    let exact: &'static str = Box::leak("x".repeat(1_024).into_boxed_str());
    assert_eq!(Failure::of(&steps(&[exact])).description(), exact);
    let causes = Failure::of(&steps(&["storing", long])).description().to_owned();
    assert!(causes.starts_with("storing: xß") && causes.len() <= 1_024 && causes.ends_with('…'), "{causes}");
}

#[test]
fn a_chain_without_an_end_has_a_limit() {
    #[derive(Debug)]
    struct Endless;
    impl fmt::Display for Endless {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("endless")
        }
    }
    impl Error for Endless {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&Endless)
        }
    }
    assert_eq!(Failure::of(&Endless).description(), "endless");
}

#[test]
fn a_text_that_cannot_be_formatted_is_no_panic() {
    #[derive(Debug)]
    struct Broken;
    impl fmt::Display for Broken {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("half")?;
            Err(fmt::Error)
        }
    }
    impl Error for Broken {}
    assert_eq!(
        failed(&Err::<(), _>(Broken)),
        some(concat!(module_path!(), "::a_text_that_cannot_be_formatted_is_no_panic::Broken"), "half")
    );
}

//! What a handler returns, and whether there is a failure in it.

use std::borrow::Cow;
use std::error::Error;
use std::marker::PhantomData;
use std::ops::{ControlFlow, Deref, DerefMut};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::outcome::{ErrorTypes, Failure};

/// What a handler returns: whether the message was handled.
///
/// | type | a failure |
/// | --- | --- |
/// | `()`, `bool`, numbers, text, [`Duration`] | never |
/// | `Option`, `Vec`, arrays, tuples, `Box`, `Arc`, references, [`ControlFlow`] | the first failure in it |
/// | `Result` | its error, or a failure in its value: `Ok(Err(_))` is a failure |
/// | your own type | what your `impl` says |
/// | [`Plain`] | never: for another crate's type |
///
/// The error of a `Result` is a [`std::error::Error`], a box of one (`Box<dyn Error>`, `anyhow::Error`, `eyre::Report`), or
/// text. [`ErrorTypes::failure`] says what is recorded. Convert any other error with `map_err`.
///
/// The compiler infers `Kind`. Name it in a generic function only: `where F::Output: Handled<Kind>`.
///
/// # Examples
///
/// A type of your own takes one line, or says what its failures are:
///
/// ```
/// use carrier_core::instrumentation::{ErrorTypes, Failure, Handled};
///
/// struct Invoice;
/// impl Handled for Invoice {}
///
/// struct Answer(u16);
/// impl Handled for Answer {
///     fn failure(&self, _: &ErrorTypes) -> Option<Failure> {
///         (self.0 >= 500).then(|| Failure::new("server_error", "the answer is an error"))
///     }
/// }
///
/// async fn example(process: carrier_core::instrumentation::Process) -> Result<Invoice, std::io::Error> {
///     process.run(async { Ok(Invoice) }).await
/// }
/// ```
///
/// A type that may contain an unseen failure does not compile:
///
/// ```compile_fail
/// struct Unknown(Result<(), std::io::Error>);
///
/// async fn example(process: carrier_core::instrumentation::Process) {
///     process.run(async { Unknown(Ok(())) }).await;
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say whether the message was handled",
    note = "a `Result` does if its error is a `std::error::Error`, a boxed one, or text; convert another error with `map_err`",
    note = "write `impl Handled for …{{}}` for your own type; put another crate's value into `Plain`, or return `()`"
)]
pub trait Handled<Kind = ()> {
    /// Returns the failure, or `None` if the message was handled. The default is `None`.
    ///
    /// `errors` turns an error into a failure, with the program's own `error.type` if it has a
    /// [classifier](super::InstrumentationBuilder::error_types).
    fn failure(&self, errors: &ErrorTypes) -> Option<Failure> {
        let _ = errors;
        None
    }
}

/// A value that is never a failure: for a handler that returns another crate's type.
///
/// # Examples
///
/// ```
/// use std::net::TcpStream;
/// use carrier_core::instrumentation::{Plain, Process};
///
/// async fn example(process: Process) -> std::io::Result<TcpStream> {
///     let Plain(stream) = process.run(async { TcpStream::connect("audit:514").map(Plain) }).await?;
///     Ok(stream)
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Plain<T>(pub T);

impl<T> Handled for Plain<T> {}

macro_rules! plain {
    ($($type:ty),*) => { $(impl Handled for $type {})* };
}

plain!((), bool, char, str, String, Cow<'_, str>, Duration);
plain!(u8, u16, u32, u64, u128, usize, i8, i16, i32, i64, i128, isize, f32, f64);

macro_rules! pointer {
    ($($type:ty),*) => {
        $(impl<K, T: Handled<K> + ?Sized> Handled<K> for $type {
            fn failure(&self, errors: &ErrorTypes) -> Option<Failure> {
                (**self).failure(errors)
            }
        })*
    };
}

pointer!(&T, Box<T>, Rc<T>, Arc<T>);

macro_rules! items {
    ($($type:ty $(, $length:ident)?);*) => {
        $(impl<K, T: Handled<K> $(, const $length: usize)?> Handled<K> for $type {
            fn failure(&self, errors: &ErrorTypes) -> Option<Failure> {
                self.iter().find_map(|item| item.failure(errors))
            }
        })*
    };
}

items!(Option<T>; [T]; Vec<T>; [T; N], N);

impl<K, L, B: Handled<K>, C: Handled<L>> Handled<(K, L)> for ControlFlow<B, C> {
    fn failure(&self, errors: &ErrorTypes) -> Option<Failure> {
        match self {
            Self::Break(value) => value.failure(errors),
            Self::Continue(value) => value.failure(errors),
        }
    }
}

macro_rules! tuple {
    ($($kind:ident $type:ident $at:tt),*) => {
        impl<$($kind, $type: Handled<$kind>),*> Handled<($($kind,)*)> for ($($type,)*) {
            fn failure(&self, errors: &ErrorTypes) -> Option<Failure> {
                None$(.or_else(|| self.$at.failure(errors)))*
            }
        }
    };
}

tuple!(J A 0);
tuple!(J A 0, K B 1);
tuple!(J A 0, K B 1, L C 2);
tuple!(J A 0, K B 1, L C 2, M D 3);

/// Marks a `Result` with an error of a known type. The markers only keep the implementations apart.
#[derive(Debug)]
pub struct Concrete<K>(PhantomData<K>);

/// Marks a `Result` with a boxed error.
#[derive(Debug)]
pub struct Boxed<K>(PhantomData<K>);

/// Marks a `Result` whose error is text.
#[derive(Debug)]
pub struct Text<K>(PhantomData<K>);

impl<K, T: Handled<K>, E: Error + 'static> Handled<Concrete<K>> for Result<T, E> {
    fn failure(&self, errors: &ErrorTypes) -> Option<Failure> {
        self.as_ref().map_or_else(|error| Some(errors.failure(error)), |value| value.failure(errors))
    }
}

// `DerefMut` keeps out `Arc<dyn Error>`, which is an error itself.
impl<K, T: Handled<K>, E: DerefMut<Target: DynError>> Handled<Boxed<K>> for Result<T, E> {
    fn failure(&self, errors: &ErrorTypes) -> Option<Failure> {
        self.as_ref().map_or_else(|error| Some((**error).failure(errors)), |value| value.failure(errors))
    }
}

impl<K, T: Handled<K>, E: Deref<Target = str>> Handled<Text<K>> for Result<T, E> {
    fn failure(&self, errors: &ErrorTypes) -> Option<Failure> {
        self.as_ref().map_or_else(|error| Some(Failure::of_text::<E>(error)), |value| value.failure(errors))
    }
}

/// An error behind a pointer, of unknown type.
pub trait DynError {
    /// Returns the failure that it is.
    fn failure(&self, errors: &ErrorTypes) -> Failure;
}

macro_rules! dyn_error {
    ($($type:ty),*) => {
        $(impl DynError for $type {
            fn failure(&self, errors: &ErrorTypes) -> Failure {
                errors.of_dyn(self)
            }
        })*
    };
}

dyn_error!(dyn Error, dyn Error + Send, dyn Error + Sync, dyn Error + Send + Sync);

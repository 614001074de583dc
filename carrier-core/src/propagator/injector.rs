//! Our carriers for OpenTelemetry's propagators.

use opentelemetry::propagation::Injector;

use crate::carrier::{Fields, TextMapCarrier};

/// Any [`TextMapCarrier`] as an OpenTelemetry [`Injector`].
///
/// Each `set` replaces all copies of its key. A field that the propagator does not set stays as it was. If the carrier may
/// hold an old context, call [`inject`](crate::inject) instead: it removes old fields as well.
///
/// # Examples
///
/// ```
/// use carrier_core::AsInjector;
/// use opentelemetry::propagation::Injector;
///
/// let mut headers = vec![("b3".to_owned(), "old".to_owned())];
/// AsInjector(&mut headers).set("b3", "new".to_owned());
/// assert_eq!(headers, [("b3".to_owned(), "new".to_owned())]);
/// ```
#[derive(Debug)]
pub struct AsInjector<'a, C>(pub &'a mut C);

impl<C: TextMapCarrier> Injector for AsInjector<'_, C> {
    fn set(&mut self, key: &str, value: String) {
        let mut fields = Fields::default();
        fields.set(key, value);
        if fields.additions() > 0 {
            self.0.replace(&mut fields);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_injector_replaces_every_copy_and_leaves_the_rest() {
        let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let mut headers = pairs(&[("b3", "1"), ("user", "u"), ("B3", "2")]);
        AsInjector(&mut headers).set("b3", "3".to_owned());
        assert_eq!(headers, pairs(&[("user", "u"), ("b3", "3")]));
        AsInjector(&mut headers).set("user", String::new());
        assert_eq!(headers, pairs(&[("user", "u"), ("b3", "3")]));
    }
}

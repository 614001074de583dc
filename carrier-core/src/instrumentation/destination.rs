//! Where a message goes to or comes from, as spans and metrics name it.

use std::borrow::Cow;

use opentelemetry::{KeyValue, StringValue};

use super::attribute;

/// Where a message goes to or comes from.
///
/// # Examples
///
/// ```
/// use carrier_core::instrumentation::Destination;
///
/// let topic = Destination::new("orders");
/// // Of many names only the template is fit for a metric, and for the name of a span.
/// let reply = Destination::new("replies.17").template("replies.{client}").temporary();
/// ```
#[derive(Debug, Clone)]
#[must_use = "a destination is given to an operation"]
pub struct Destination {
    name: Option<StringValue>,
    on_metrics: OnMetrics,
    template: Option<StringValue>,
    partition: Option<StringValue>,
    nature: Nature,
}

/// What few destinations are.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Nature {
    temporary: bool,
    anonymous: bool,
}

/// What a metric calls a destination: only what has few values.
#[derive(Debug, Clone)]
enum OnMetrics {
    TheName,
    Another(StringValue),
    Nothing,
}

impl Destination {
    /// A destination of this name, `messaging.destination.name`, of which there are few enough to tell them apart on metrics.
    ///
    /// A name that is used again and again is cheapest as an `Arc<str>`.
    pub fn new(name: impl Into<StringValue>) -> Self {
        Self { name: Some(name.into()), ..Self::none() }
    }

    /// No destination in particular: an operation on several, or on what only the broker knows.
    pub fn none() -> Self {
        Self {
            name: None,
            on_metrics: OnMetrics::TheName,
            template: None,
            partition: None,
            nature: Nature::default(),
        }
    }

    /// What metrics call it instead of its name; `None` where there are too many of its kind.
    pub fn on_metrics(self, name: Option<impl Into<StringValue>>) -> Self {
        let on_metrics = match name {
            Some(name) => OnMetrics::Another(name.into()),
            None => OnMetrics::Nothing,
        };
        Self { on_metrics, ..self }
    }

    /// `messaging.destination.template`: what many destinations have in common, for the name of the span and for metrics.
    pub fn template(self, template: impl Into<StringValue>) -> Self {
        Self { template: Some(template.into()), ..self }
    }

    /// `messaging.destination.partition.id`.
    pub fn partition(self, id: impl Into<StringValue>) -> Self {
        Self { partition: Some(id.into()), ..self }
    }

    /// It may not be there any more once its messages are processed: `messaging.destination.temporary`.
    pub fn temporary(self) -> Self {
        Self { nature: Nature { temporary: true, ..self.nature }, ..self }
    }

    /// Its name was made up by the broker: `messaging.destination.anonymous`.
    pub fn anonymous(self) -> Self {
        Self { nature: Nature { anonymous: true, ..self.nature }, ..self }
    }

    pub(super) fn has_partition(&self) -> bool {
        self.partition.is_some()
    }

    pub(super) fn nature(&self) -> Nature {
        self.nature
    }

    /// The name of a span: the operation and what it is done to (messaging spans, "Span name").
    ///
    /// A temporary or anonymous destination is left out, since there would be as many names; for no destination in
    /// particular it is the server, where that is known.
    pub(super) fn span_name(&self, operation: &'static str, server: Option<&str>) -> Cow<'static, str> {
        let to = match (&self.template, &self.name) {
            (Some(template), _) => Some(template.as_str()),
            (None, Some(name)) => Some(name.as_str()).filter(|_| !self.nature.is_passing()),
            (None, None) => server,
        };
        match to {
            Some(to) => {
                let mut text = String::with_capacity(operation.len() + 1 + to.len());
                text.push_str(operation);
                text.push(' ');
                text.push_str(to);
                text.into()
            }
            None => operation.into(),
        }
    }

    /// What samplers may want to know of it.
    pub(super) fn at_start(self, attributes: &mut Vec<KeyValue>) {
        add(attributes, attribute::MESSAGING_DESTINATION_NAME, self.name);
        add(attributes, attribute::MESSAGING_DESTINATION_TEMPLATE, self.template);
        add(attributes, attribute::MESSAGING_DESTINATION_PARTITION_ID, self.partition);
    }

    /// What of it has few values (messaging metrics: the name "if and only if known to have low cardinality").
    pub(super) fn for_metrics(&self, attributes: &mut Vec<KeyValue>) {
        // With a template the name is known to be one of many.
        let is_one_of_many = self.template.is_some() || self.nature.is_passing();
        let name = match &self.on_metrics {
            _ if self.template.is_some() => None,
            OnMetrics::TheName => self.name.clone().filter(|_| !is_one_of_many),
            OnMetrics::Another(name) => Some(name.clone()),
            OnMetrics::Nothing => None,
        };
        add(attributes, attribute::MESSAGING_DESTINATION_NAME, name);
        add(attributes, attribute::MESSAGING_DESTINATION_TEMPLATE, self.template.clone());
        add(attributes, attribute::MESSAGING_DESTINATION_PARTITION_ID, self.partition.clone());
    }
}

impl Nature {
    /// Whether there are many of its kind.
    fn is_passing(self) -> bool {
        self.temporary || self.anonymous
    }

    /// What else there is to know of a destination.
    pub(super) fn details(self, details: &mut super::Details<'_>) {
        if self.temporary {
            details.set(attribute::MESSAGING_DESTINATION_TEMPORARY, true);
        }
        if self.anonymous {
            details.set(attribute::MESSAGING_DESTINATION_ANONYMOUS, true);
        }
    }
}

fn add(attributes: &mut Vec<KeyValue>, key: &'static str, value: Option<StringValue>) {
    if let Some(value) = value {
        attributes.push(KeyValue::new(key, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_metrics(destination: &Destination) -> Vec<(String, String)> {
        let mut attributes = Vec::new();
        destination.for_metrics(&mut attributes);
        attributes.into_iter().map(|pair| (pair.key.to_string(), pair.value.to_string())).collect()
    }

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_span_is_named_after_its_operation_and_destination() {
        assert_eq!(Destination::new("orders").span_name("send", Some("broker:9092")), "send orders");
    }

    #[test]
    fn for_no_destination_in_particular_a_span_is_named_after_the_server() {
        assert_eq!(Destination::none().span_name("commit", Some("broker:9092")), "commit broker:9092");
        assert_eq!(Destination::none().span_name("commit", None), "commit");
    }

    #[test]
    fn a_template_names_the_span_and_stands_for_the_name_on_metrics() {
        let many = Destination::new("replies.17").template("replies.{client}").temporary();
        assert_eq!(many.span_name("process", None), "process replies.{client}");
        assert_eq!(on_metrics(&many), owned(&[("messaging.destination.template", "replies.{client}")]));
    }

    #[test]
    fn what_is_temporary_or_anonymous_is_in_no_name_and_on_no_metric() {
        for many in [Destination::new("q").temporary(), Destination::new("q").anonymous()] {
            assert_eq!(many.span_name("process", Some("broker")), "process");
            assert_eq!(on_metrics(&many), []);
        }
    }

    #[test]
    fn metrics_have_a_name_of_their_own_where_one_is_given() {
        let queue = Destination::new("exchange:key:queue").on_metrics(Some("exchange:queue")).partition("3");
        let expected =
            [("messaging.destination.name", "exchange:queue"), ("messaging.destination.partition.id", "3")];
        assert_eq!(on_metrics(&queue), owned(&expected));
        assert_eq!(on_metrics(&Destination::new("x").on_metrics(None::<String>)), []);
    }
}

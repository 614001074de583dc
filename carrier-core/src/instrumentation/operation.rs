//! What spans and metrics say of an operation: its type, the client that does it, its destination.

use std::borrow::Cow;
use std::sync::Arc;

use opentelemetry::trace::SpanKind;
use opentelemetry::{KeyValue, StringValue};

use super::attribute;

/// An operation ("Operation types" of the messaging spans).
#[derive(Debug, Clone)]
pub(super) struct Operation {
    pub(super) name: StringValue,
    pub(super) kind: OperationType,
    pub(super) span_kind: SpanKind,
    /// Whether its end counts a message as sent.
    pub(super) counts_sent: bool,
}

/// The type of an operation: `messaging.operation.type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OperationType {
    /// A message is sent.
    Send,
    /// A message was asked for.
    Receive,
    /// A message, or a batch, is processed.
    Process,
    /// A message is settled.
    Settle,
}

impl Operation {
    /// An operation whose name is that of its type.
    pub(super) fn new(kind: OperationType, span_kind: SpanKind) -> Self {
        Self { name: kind.as_str().into(), kind, span_kind, counts_sent: kind == OperationType::Send }
    }
}

impl OperationType {
    /// The value of the attribute: `send`, `receive`, `process` or `settle`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Receive => "receive",
            Self::Process => "process",
            Self::Settle => "settle",
        }
    }
}

/// The client that does the operations: the same for all of them.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) system: StringValue,
    pub(super) server: Option<Server>,
    pub(super) consumer_group: Option<StringValue>,
    pub(super) client_id: Option<StringValue>,
    /// Attributes that only one system has.
    more: Vec<KeyValue>,
}

/// The broker.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pub(super) address: StringValue,
    pub(super) port: Option<u16>,
    /// `address:port`: names spans that have no destination.
    pub(super) name: String,
}

impl Client {
    pub(super) fn new(system: StringValue) -> Self {
        Self { system, server: None, consumer_group: None, client_id: None, more: Vec::new() }
    }

    pub(super) fn with_server(self, server: Option<(StringValue, Option<u16>)>) -> Self {
        Self { server: server.map(|(address, port)| Server::new(address, port)), ..self }
    }

    pub(super) fn with_consumer_group(self, name: Option<StringValue>) -> Self {
        Self { consumer_group: name.map(shared), ..self }
    }

    pub(super) fn with_client_id(self, id: Option<StringValue>) -> Self {
        Self { client_id: id.map(shared), ..self }
    }

    pub(super) fn with_attribute(mut self, attribute: KeyValue) -> Self {
        self.more.retain(|old| old.key != attribute.key);
        self.more.push(attribute);
        self
    }

    /// Adds what spans and metrics have in common: system, server, the system's own, and a consumer's group.
    pub(super) fn attributes(&self, kind: OperationType, attributes: &mut Vec<KeyValue>) {
        attributes.push(KeyValue::new(attribute::MESSAGING_SYSTEM, self.system.clone()));
        if let Some(server) = &self.server {
            attributes.push(KeyValue::new(attribute::SERVER_ADDRESS, server.address.clone()));
            if let Some(port) = server.port {
                attributes.push(KeyValue::new(attribute::SERVER_PORT, i64::from(port)));
            }
        }
        attributes.extend_from_slice(&self.more);
        if kind != OperationType::Send {
            add(attributes, attribute::MESSAGING_CONSUMER_GROUP_NAME, self.consumer_group.clone());
        }
    }
}

/// Where a message is sent to, or received from.
///
/// # Examples
///
/// ```
/// use carrier_core::instrumentation::Destination;
///
/// let topic = Destination::new("orders");
/// // For one of many names, metrics and the names of spans use the template.
/// let reply = Destination::new("replies.17").template("replies.{client}").temporary();
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "pass the destination to an operation"]
pub struct Destination {
    name: Option<StringValue>,
    on_metrics: OnMetrics,
    template: Option<StringValue>,
    pub(super) partition: Option<StringValue>,
    pub(super) is_temporary: bool,
    pub(super) is_anonymous: bool,
}

#[derive(Debug, Clone, Default)]
enum OnMetrics {
    #[default]
    Same,
    Other(StringValue),
    Off,
}

impl Destination {
    /// A destination of this name, `messaging.destination.name`. Metrics use the name, so there must be few of them.
    ///
    /// For a name that is used repeatedly, pass an `Arc<str>`: it is cloned several times per message.
    pub fn new(name: impl Into<StringValue>) -> Self {
        Self { name: Some(name.into()), ..Self::default() }
    }

    /// No single destination: an operation on several, or on one that only the broker knows.
    pub fn none() -> Self {
        Self::default()
    }

    /// Name used on metrics. `None` leaves it off, for high-cardinality destinations.
    pub fn on_metrics(self, name: Option<impl Into<StringValue>>) -> Self {
        let on_metrics = name.map_or(OnMetrics::Off, |name| OnMetrics::Other(name.into()));
        Self { on_metrics, ..self }
    }

    /// `messaging.destination.template`: a pattern that many destinations share. It names the span and is on metrics.
    pub fn template(self, template: impl Into<StringValue>) -> Self {
        Self { template: Some(template.into()), ..self }
    }

    /// `messaging.destination.partition.id`.
    pub fn partition(self, id: impl Into<StringValue>) -> Self {
        Self { partition: Some(id.into()), ..self }
    }

    /// `messaging.destination.temporary`: the destination may be gone when its messages are processed.
    pub fn temporary(self) -> Self {
        Self { is_temporary: true, ..self }
    }

    /// `messaging.destination.anonymous`: the broker generated the name.
    pub fn anonymous(self) -> Self {
        Self { is_anonymous: true, ..self }
    }

    /// The name given to [`new`](Self::new).
    pub fn name(&self) -> Option<&str> {
        self.name.as_ref().map(StringValue::as_str)
    }

    /// The name of a span: operation and destination (messaging spans, "Span name").
    ///
    /// A temporary or anonymous destination is left out, because its name has a high cardinality. Without a destination,
    /// the server's name is used.
    pub(super) fn span_name(&self, operation: &StringValue, server: Option<&Server>) -> Cow<'static, str> {
        let to = match (&self.template, &self.name) {
            (Some(template), _) => Some(template.as_str()),
            (None, Some(name)) => Some(name.as_str()).filter(|_| !self.has_many_names()),
            (None, None) => server.map(|server| server.name.as_str()),
        };
        match to {
            Some(to) => [operation.as_str(), " ", to].concat().into(),
            None => operation.to_string().into(),
        }
    }

    /// Adds the attributes that samplers may read.
    pub(super) fn span_attributes(self, attributes: &mut Vec<KeyValue>) {
        add(attributes, attribute::MESSAGING_DESTINATION_NAME, self.name);
        add(attributes, attribute::MESSAGING_DESTINATION_TEMPLATE, self.template);
        add(attributes, attribute::MESSAGING_DESTINATION_PARTITION_ID, self.partition);
    }

    /// Adds the attributes with few values (messaging metrics: the name "if and only if known to have low cardinality").
    pub(super) fn metric_attributes(&self, attributes: &mut Vec<KeyValue>) {
        let name = match &self.on_metrics {
            _ if self.template.is_some() => None,
            OnMetrics::Same => self.name.clone().filter(|_| !self.has_many_names()),
            OnMetrics::Other(name) => Some(name.clone()),
            OnMetrics::Off => None,
        };
        add(attributes, attribute::MESSAGING_DESTINATION_NAME, name);
        add(attributes, attribute::MESSAGING_DESTINATION_TEMPLATE, self.template.clone());
        add(attributes, attribute::MESSAGING_DESTINATION_PARTITION_ID, self.partition.clone());
    }

    fn has_many_names(&self) -> bool {
        self.is_temporary || self.is_anonymous
    }
}

fn add(attributes: &mut Vec<KeyValue>, key: &'static str, value: Option<StringValue>) {
    if let Some(value) = value {
        attributes.push(KeyValue::new(key, value));
    }
}

impl Server {
    pub(super) fn new(address: StringValue, port: Option<u16>) -> Self {
        let name = match port {
            Some(port) => format!("{address}:{port}"),
            None => address.to_string(),
        };
        Self { name, address: shared(address), port }
    }
}

/// A value that is cloned for every span without a copy of its text.
fn shared(value: StringValue) -> StringValue {
    Arc::<str>::from(value.as_str()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on_metrics(destination: &Destination) -> Vec<(String, String)> {
        let mut attributes = Vec::new();
        destination.metric_attributes(&mut attributes);
        attributes.into_iter().map(|pair| (pair.key.to_string(), pair.value.to_string())).collect()
    }

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn span_name(destination: &Destination, operation: &'static str, server: Option<&str>) -> String {
        let server =
            server.map(|name| Server { address: "broker".into(), port: None, name: name.to_owned() });
        destination.span_name(&operation.into(), server.as_ref()).into_owned()
    }

    #[test]
    fn a_span_is_named_after_its_operation_and_destination() {
        assert_eq!(span_name(&Destination::new("orders"), "send", Some("broker:9092")), "send orders");
    }

    #[test]
    fn without_a_destination_a_span_is_named_after_the_server() {
        assert_eq!(span_name(&Destination::none(), "commit", Some("broker:9092")), "commit broker:9092");
        assert_eq!(span_name(&Destination::none(), "commit", None), "commit");
    }

    #[test]
    fn a_template_names_the_span_and_replaces_the_name_on_metrics() {
        let many = Destination::new("replies.17").template("replies.{client}").temporary();
        assert_eq!(span_name(&many, "process", None), "process replies.{client}");
        assert_eq!(on_metrics(&many), owned(&[("messaging.destination.template", "replies.{client}")]));
    }

    #[test]
    fn a_temporary_or_anonymous_destination_is_in_no_span_name_and_on_no_metric() {
        for many in [Destination::new("q").temporary(), Destination::new("q").anonymous()] {
            assert_eq!(span_name(&many, "process", Some("broker")), "process");
            assert_eq!(on_metrics(&many), []);
        }
    }

    #[test]
    fn metrics_use_their_own_name_if_one_is_given() {
        let queue = Destination::new("exchange:key:queue").on_metrics(Some("exchange:queue")).partition("3");
        let expected =
            [("messaging.destination.name", "exchange:queue"), ("messaging.destination.partition.id", "3")];
        assert_eq!(on_metrics(&queue), owned(&expected));
        assert_eq!(on_metrics(&Destination::new("x").on_metrics(None::<String>)), []);
    }
}

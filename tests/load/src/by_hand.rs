//! A span by hand around level 1: what of level 2's cost is the SDK's own.

use std::sync::Arc;

use opentelemetry::trace::{Span as _, SpanKind, TraceContextExt as _, Tracer as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::SdkTracer;
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{BaseRecord, DeliveryResult, ProducerContext};
use rdkafka::{ClientContext, Message as _};

use crate::kafka::Deliveries;
use crate::{BODY, context};

/// A record whose span ends with its delivery.
pub(crate) type Record<'a> = BaseRecord<'a, (), [u8], Box<Context>>;

/// What is the same for every message, as somebody has it who minds the cost.
pub(crate) struct Spans {
    tracer: SdkTracer,
    topic: Arc<str>,
    server: Arc<str>,
    port: i64,
}

impl Spans {
    pub(crate) fn new(topic: &str, broker: &str) -> Self {
        let (server, port) = broker.rsplit_once(':').unwrap_or((broker, ""));
        let tracer = context::tracer_provider().tracer("by hand");
        Self { tracer, topic: topic.into(), server: server.into(), port: port.parse().unwrap_or(9_092) }
    }

    /// A record with the context of its span, which says what level 2's says.
    pub(crate) fn record<'a>(&self, topic: &'a str) -> Record<'a> {
        let parent = Context::current();
        let attributes = vec![
            KeyValue::new("messaging.system", "kafka"),
            KeyValue::new("server.address", Arc::clone(&self.server)),
            KeyValue::new("server.port", self.port),
            KeyValue::new("messaging.operation.name", "send"),
            KeyValue::new("messaging.operation.type", "send"),
            KeyValue::new("messaging.destination.name", Arc::clone(&self.topic)),
        ];
        let builder = self.tracer.span_builder(format!("send {topic}")).with_kind(SpanKind::Producer);
        let mut span = builder.with_attributes(attributes).start_with_context(&self.tracer, &parent);
        if span.is_recording() {
            span.set_attribute(KeyValue::new("messaging.message.body.size", BODY.len() as i64));
        }
        let cx = parent.with_span(span);
        let mut headers = OwnedHeaders::new_with_capacity(1);
        carrier_kafka::inject(&cx, &mut headers);
        BaseRecord::with_opaque_to(topic, Box::new(cx)).payload(&BODY[..]).headers(headers)
    }
}

/// Ends spans where messages are counted.
pub(crate) struct Ending(pub(crate) Deliveries);

impl ClientContext for Ending {}

impl ProducerContext for Ending {
    type DeliveryOpaque = Box<Context>;

    fn delivery(&self, result: &DeliveryResult<'_>, cx: Box<Context>) {
        let span = cx.span();
        if let Ok(message) = result
            && span.is_recording()
        {
            span.set_attribute(KeyValue::new(
                "messaging.destination.partition.id",
                message.partition().to_string(),
            ));
            span.set_attribute(KeyValue::new("messaging.kafka.offset", message.offset()));
        }
        span.end();
        self.0.delivery(result, ());
    }
}

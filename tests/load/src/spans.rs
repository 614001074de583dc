//! A span by hand around level 1, for a record: the part of level 2's cost that is the SDK's. The benchmarks of carrier-kafka
//! include this file.

use std::sync::Arc;

use carrier_core::Propagation;
use carrier_measure::{own, span};
use opentelemetry::trace::{SpanKind, TraceContextExt as _, TracerProvider as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{BaseRecord, DeliveryResult, ProducerContext};
use rdkafka::{ClientContext, Message as _};

/// What is the same for every message, in the form that costs least.
pub(crate) struct Spans {
    pub(crate) tracer: SdkTracer,
    pub(crate) level_1: Propagation,
    pub(crate) topic: Arc<str>,
    pub(crate) server: Option<(Arc<str>, i64)>,
}

impl Spans {
    pub(crate) fn new(provider: &SdkTracerProvider, topic: &str) -> Self {
        let tracer = provider.tracer("by hand");
        Self { tracer, level_1: own(), topic: topic.into(), server: None }
    }

    /// A record with the context of its span, which has the attributes of level 2's span.
    pub(crate) fn record<'a>(
        &self,
        topic: &'a str,
        payload: &'a [u8],
    ) -> BaseRecord<'a, (), [u8], Box<Context>> {
        let mut attributes = Vec::with_capacity(7);
        attributes.extend([
            KeyValue::new("messaging.system", "kafka"),
            KeyValue::new("messaging.operation.name", "send"),
            KeyValue::new("messaging.operation.type", "send"),
            KeyValue::new("messaging.destination.name", Arc::clone(&self.topic)),
        ]);
        if let Some((address, port)) = &self.server {
            attributes.push(KeyValue::new("server.address", Arc::clone(address)));
            attributes.push(KeyValue::new("server.port", *port));
        }
        let name = format!("send {topic}");
        let cx = span(&self.tracer, &Context::current(), SpanKind::Producer, name, attributes);
        let mut headers = OwnedHeaders::new_with_capacity(1);
        carrier_kafka::inject_with(&self.level_1, &cx, &mut headers);
        BaseRecord::with_opaque_to(topic, Box::new(cx)).payload(payload).headers(headers)
    }
}

/// Ends the span of a record with its delivery.
pub(crate) struct Ending<C>(pub(crate) C);

impl<C: ClientContext> ClientContext for Ending<C> {}

impl<C: ProducerContext<DeliveryOpaque = ()>> ProducerContext for Ending<C> {
    type DeliveryOpaque = Box<Context>;

    fn delivery(&self, result: &DeliveryResult<'_>, cx: Box<Context>) {
        let span = cx.span();
        if let (Ok(message), true) = (result, span.is_recording()) {
            let partition = message.partition().to_string();
            span.set_attribute(KeyValue::new("messaging.destination.partition.id", partition));
            span.set_attribute(KeyValue::new("messaging.kafka.offset", message.offset()));
        }
        span.end();
        self.0.delivery(result, ());
    }
}

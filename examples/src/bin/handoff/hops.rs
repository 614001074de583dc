//! The way of an order: who hands it to whom, and over what.

use std::sync::Arc;

use carrier_core::instrumentation::Relation;
use carrier_core::{FieldValue, Propagation, TextMapReader};
use tokio::sync::mpsc::UnboundedSender;

/// One handover between two services.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Hop {
    pub(crate) name: &'static str,
    pub(crate) from: End,
    pub(crate) to: End,
    /// The broker that keeps the order between the two, and what it keeps it in.
    pub(crate) queue: Option<(&'static str, &'static str)>,
}

/// The service and the span at one end of a hop.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) service: &'static str,
    pub(crate) span: &'static str,
}

pub(crate) const SHOP: &str = "shop";
pub(crate) const GATEWAY: &str = "gateway";
pub(crate) const PACKING: &str = "packing";
pub(crate) const SHIPPING: &str = "shipping";

pub(crate) static HTTP: Hop = Hop {
    name: "HTTP",
    from: End { service: SHOP, span: "POST /orders" },
    to: End { service: GATEWAY, span: "POST /orders" },
    queue: None,
};

pub(crate) static KAFKA: Hop = Hop {
    name: "Kafka",
    from: End { service: GATEWAY, span: "send orders" },
    to: End { service: PACKING, span: "process orders" },
    queue: Some(("Kafka", "orders")),
};

pub(crate) static AMQP: Hop = Hop {
    name: "AMQP",
    from: End { service: PACKING, span: "send parcels" },
    to: End { service: SHIPPING, span: "process parcels" },
    queue: Some(("RabbitMQ", "parcels")),
};

static WAY: [&Hop; 3] = [&HTTP, &KAFKA, &AMQP];

/// Returns the hops in their order, with or without the last.
pub(crate) fn way(with_amqp: bool) -> &'static [&'static Hop] {
    if with_amqp { &WAY } else { &WAY[..2] }
}

/// The headers that arrived over one hop.
pub(crate) struct Arrived {
    pub(crate) hop: &'static Hop,
    pub(crate) headers: Vec<(String, String)>,
}

/// What each service gets for the sake of the demonstration: it tells which headers came, and what was asked for.
#[derive(Clone)]
pub(crate) struct Demo {
    pub(crate) lost: Option<&'static Hop>,
    pub(crate) linked: Option<&'static Hop>,
    /// The hop whose consumer fails.
    pub(crate) failing: Option<&'static Hop>,
    pub(crate) arrived: Arc<UnboundedSender<Arrived>>,
}

impl Demo {
    /// Whether `--break` asks this hop to lose its headers.
    pub(crate) fn loses(&self, hop: &'static Hop) -> bool {
        self.lost == Some(hop)
    }

    /// What the consumer of this hop ends with: `--fail` asks for an error.
    pub(crate) fn work(&self, hop: &'static Hop) -> anyhow::Result<()> {
        anyhow::ensure!(self.failing != Some(hop), "the parcel does not fit into the van");
        Ok(())
    }

    /// What the sender of this hop writes into its message: what the application does, or nothing.
    pub(crate) fn propagation(&self, hop: &'static Hop) -> Propagation {
        if self.loses(hop) { Propagation::off() } else { Propagation::new() }
    }

    /// What the sender's span is to the receiver's: `--link` asks for a trace of its own.
    pub(crate) fn relation(&self, hop: &'static Hop) -> Relation {
        if self.linked == Some(hop) { Relation::Link } else { Relation::Parent }
    }

    /// Keeps the headers for the picture, whatever they came in.
    pub(crate) fn saw(&self, hop: &'static Hop, headers: &impl TextMapReader) {
        let headers = headers.entries().map(|(name, value)| (name.to_owned(), text(value))).collect();
        // Nobody listens any more: the program is about to end with an error of its own.
        let _ = self.arrived.send(Arrived { hop, headers });
    }
}

fn text(value: FieldValue<'_>) -> String {
    match value {
        FieldValue::Null => "(null)".to_owned(),
        FieldValue::Other(kind) => format!("({kind})"),
        text => String::from_utf8_lossy(text.as_bytes().unwrap_or_default()).into_owned(),
    }
}

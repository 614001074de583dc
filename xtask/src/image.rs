//! What a broker's image is called, and where it is from.

use std::path::PathBuf;

use crate::machine;

/// One broker's image.
pub(crate) struct Image {
    pub(crate) name: &'static str,
    /// The variable that names an image to use, and that the harness reads.
    pub(crate) variable: &'static str,
    /// The variable that names a broker which already runs.
    pub(crate) address: &'static str,
    pub(crate) public: &'static str,
    /// The image's folder in tests/images, and a part of the built image's name.
    pub(crate) folder: &'static str,
    /// Whether the image needs jars from Maven.
    pub(crate) maven: bool,
}

pub(crate) const RABBITMQ: Image = Image {
    name: "RabbitMQ",
    variable: "CARRIER_RABBITMQ_IMAGE",
    address: "AMQP_URL",
    public: "rabbitmq:4.2",
    folder: "rabbitmq",
    maven: false,
};

pub(crate) const KAFKA: Image = Image {
    name: "Kafka",
    variable: "CARRIER_KAFKA_IMAGE",
    address: "KAFKA_BROKERS",
    public: "apache/kafka:4.1.1",
    folder: "kafka",
    maven: true,
};

impl Image {
    /// Returns the folder with the files that the image is built from.
    pub(crate) fn source(&self) -> PathBuf {
        machine::root().join("tests/images").join(self.folder)
    }
}

//! The brokers' images: named by the environment, here already, pulled, or built.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

use crate::engine::docker;
use crate::machine::variable;
use crate::{build, machine, pull, run, signals};

/// One broker's image.
pub(crate) struct Image {
    pub(crate) name: &'static str,
    /// The variable that names an image to use, and that the harness reads.
    pub(crate) variable: &'static str,
    /// The variable that names a broker which already runs.
    pub(crate) address: &'static str,
    public: &'static str,
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

/// Sees to it that the engine has an image of this broker, and returns its name.
///
/// # Errors
///
/// Names the step that failed, and what a person can do instead.
pub(crate) fn ensure(image: &Image) -> anyhow::Result<String> {
    run::step(&format!("{} image", image.name));
    if let Some(named) = variable(image.variable) {
        run::say(&format!("{named} ({})", image.variable));
        if !is_here(&named) {
            pull::pull(&named).with_context(|| format!("{} names {named}", image.variable))?;
        }
        return Ok(named);
    }
    if is_here(image.public) {
        run::say(&format!("{} is here", image.public));
        return Ok(image.public.to_owned());
    }
    let own = build::tag(image)?;
    if is_here(&own) {
        run::say(&format!("{own} is here, built earlier"));
        return Ok(own);
    }
    match pull::pull_unless_it_failed_lately(image.public) {
        Ok(()) => return Ok(image.public.to_owned()),
        Err(error) if signals::interrupted() => return Err(error),
        Err(error) => run::say(&format!("{error:#}")),
    }
    run::say(&format!("so {own} is built here, about a minute"));
    build::build(image, &own).with_context(|| {
        format!(
            "the {name} image could neither be pulled nor built. Instead, set {address} to a {name} that already \
             runs, or {variable} to an image that Docker Engine has",
            name = image.name,
            address = image.address,
            variable = image.variable
        )
    })?;
    Ok(own)
}

fn is_here(image: &str) -> bool {
    let mut command = docker(&["image", "inspect", "--format", "{{.Id}}", image]);
    run::ask(&mut command, Duration::from_secs(10)).is_ok()
}

//! The brokers' images: named by the environment, here already, pulled, or built from Debian's and Maven's packages.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;

use crate::containers;
use crate::engine::{self, docker};
use crate::machine::{self, state, variable};
use crate::progress::{go_on, say, step};
use crate::run;

/// One broker's image.
pub(crate) struct Image {
    name: &'static str,
    /// The variable that names an image to use, and that the harness reads.
    pub(crate) variable: &'static str,
    /// The variable that names a broker which already runs.
    pub(crate) address: &'static str,
    public: &'static str,
    /// The image's folder in tests/images, and a part of the built image's name.
    folder: &'static str,
    /// Whether the image needs jars from Maven.
    needs_maven: bool,
}

pub(crate) const RABBITMQ: Image = Image {
    name: "RabbitMQ",
    variable: "CARRIER_RABBITMQ_IMAGE",
    address: "AMQP_URL",
    public: "rabbitmq:4.2",
    folder: "rabbitmq",
    needs_maven: false,
};

pub(crate) const KAFKA: Image = Image {
    name: "Kafka",
    variable: "CARRIER_KAFKA_IMAGE",
    address: "KAFKA_BROKERS",
    public: "apache/kafka:4.1.1",
    folder: "kafka",
    needs_maven: true,
};

/// How long a question may take that needs no registry.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// Variables for the programs that need brokers.
pub(crate) type Environment = Vec<(&'static str, String)>;

/// Provides what tests need to start brokers, and sees to it that none is left.
pub(crate) fn with_brokers<T>(work: impl FnOnce(&Environment) -> anyhow::Result<T>) -> anyhow::Result<T> {
    if [RABBITMQ, KAFKA].iter().all(|image| variable(image.address).is_some()) {
        step("Brokers");
        say("the ones that AMQP_URL and KAFKA_BROKERS name");
        say("Tests that stop or restart a broker start one of their own and need Docker Engine for it.");
        if engine::version().is_err() {
            say("No engine answers: those tests will fail. Unset the variables to have one provided.");
            return work(&Vec::new());
        }
    }
    let variables = engine::ensure()
        .and_then(|()| [RABBITMQ, KAFKA].iter().map(|image| Ok((image.variable, ensure(image)?))).collect());
    let mut variables: Environment = variables.context(
        "real brokers are needed, and there are none (AMQP_URL and KAFKA_BROKERS can name ones that already run)",
    )?;
    containers::supervised(|id| {
        variables.push((containers::VARIABLE, id.to_owned()));
        work(&variables)
    })
}

/// Returns whether an engine answers and has an image of this broker, so that [`ensure`] has nothing to prepare.
pub(crate) fn is_prepared(image: &Image) -> bool {
    let names = match variable(image.variable) {
        Some(named) => vec![named],
        None => [image.public.to_owned()].into_iter().chain(tag(image).ok()).collect(),
    };
    engine::version().is_ok() && names.iter().any(|name| is_here(name))
}

/// Sees to it that the engine has an image of this broker, and returns its name.
pub(crate) fn ensure(image: &Image) -> anyhow::Result<String> {
    step(&format!("{} image", image.name));
    if let Some(named) = variable(image.variable) {
        say(&format!("{named} ({})", image.variable));
        if !is_here(&named) {
            pull(image, &named)?;
        }
        return Ok(named);
    }
    let own = tag(image)?;
    if let Some(here) = [image.public, &own].into_iter().find(|tag| is_here(tag)) {
        say(&format!("{here} is here"));
        return Ok(here.to_owned());
    }
    let Err(error) = pull(image, image.public) else { return Ok(image.public.to_owned()) };
    go_on()?;
    say(&format!("{error:#}"));
    say(&format!("so {own} is built here, about a minute"));
    build(image, &own).with_context(|| {
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
    run::ask(&mut command, ANSWER_LIMIT).is_ok()
}

/// Docker Engine itself gives up after some seconds if no registry answers.
fn pull(image: &Image, tag: &str) -> anyhow::Result<()> {
    let log = state().join(format!("{}-pull.log", image.folder));
    run::logged(&format!("pulling {tag}"), &mut docker(&["pull", tag]), &log)
}

/// Returns the built image's name and tag; the tag changes with every file that goes into it.
fn tag(image: &Image) -> anyhow::Result<String> {
    let script = format!("cat build.sh {}/* | cksum | tr ' ' -", image.folder);
    let sum = run::ask(Command::new("sh").args(["-c", &script]).current_dir(folder()), ANSWER_LIMIT)?;
    Ok(format!("carrier-{}:{}", image.folder, sum.trim()))
}

fn folder() -> PathBuf {
    machine::root().join("tests/images")
}

fn build(image: &Image, tag: &str) -> anyhow::Result<()> {
    machine::provide("mmdebstrap", &["mmdebstrap", "debian-archive-keyring"])?;
    if image.needs_maven {
        machine::provide("mvn", &["maven"])?;
    }
    let mut script = Command::new(folder().join("build.sh"));
    script.args([image.folder, tag]);
    run::logged(&format!("building {tag}"), &mut script, &state().join(format!("{}-build.log", image.folder)))
}

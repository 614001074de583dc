//! The brokers' images: named by the environment, here already, pulled, or built.

use std::time::Duration;

use anyhow::Context as _;

use crate::engine::docker;
pub(crate) use crate::image::{Image, KAFKA, RABBITMQ};
use crate::machine::variable;
use crate::{build, pull, run, signals};

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

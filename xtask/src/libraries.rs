//! The crates that are published, as cargo and git describe them.

use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use crate::machine::{LIBRARIES, cargo, root};
use crate::run;

/// A crate that is published.
pub(crate) struct Library {
    pub(crate) name: &'static str,
    pub(crate) version: String,
    features: Vec<String>,
}

impl Library {
    /// Returns all of them, each after those that it depends on.
    pub(crate) fn all() -> anyhow::Result<Vec<Self>> {
        let mut metadata = cargo(&["metadata", "--no-deps", "--format-version=1"]);
        let metadata = run::ask(&mut metadata, Duration::from_secs(60))?;
        let metadata: Value = serde_json::from_str(&metadata).context("cannot read cargo's metadata")?;
        let library = |name: &'static str| {
            let mut packages = metadata["packages"].as_array().into_iter().flatten();
            let package = packages.find(|package| package["name"] == name)?;
            let features = package["features"].as_object()?.keys().filter(|feature| *feature != "default");
            Some(Self {
                name,
                version: package["version"].as_str()?.to_owned(),
                features: features.cloned().collect(),
            })
        };
        let all =
            LIBRARIES.into_iter().map(|name| library(name).with_context(|| format!("cargo has no {name}")));
        all.collect()
    }

    /// Returns every set of the features, for `--features`.
    pub(crate) fn feature_sets(&self) -> impl Iterator<Item = String> {
        (0..1_usize << self.features.len()).map(|set| {
            let chosen = self.features.iter().enumerate().filter(|(at, _)| set >> at & 1 == 1);
            chosen.map(|(_, feature)| feature.as_str()).collect::<Vec<_>>().join(",")
        })
    }

    /// Returns the tag of this version.
    pub(crate) fn tag(&self) -> String {
        format!("{}-v{}", self.name, self.version)
    }

    /// Returns the tags of all releases, the newest first.
    pub(crate) fn releases(&self) -> Vec<String> {
        let mut git = Command::new("git");
        git.current_dir(root()).args([
            "tag",
            "--list",
            "--sort=-version:refname",
            &format!("{}-v*", self.name),
        ]);
        let tags = run::ask(&mut git, Duration::from_secs(60)).unwrap_or_default();
        tags.lines().map(str::to_owned).collect()
    }
}

//! Builds a broker's image from Debian's and Maven's packages, for machines that cannot pull one.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;

use crate::engine::docker;
use crate::image::Image;
use crate::{machine, run};

/// To be changed with the steps below: an image that was built by others is then built anew.
const RECIPE: &str = "1";

/// What a build works in, with its process id: two may run at once.
const FOLDER: &str = "image-build-";

/// The release whose packages the images are made of.
const SUITE: &str = "trixie";

/// Returns the built image's name and tag; the tag changes with every file that goes into it.
///
/// # Errors
///
/// Where the image's folder cannot be read.
pub(crate) fn tag(image: &Image) -> anyhow::Result<String> {
    let mut hash = fnv(0xcbf2_9ce4_8422_2325, RECIPE.as_bytes());
    hash = fnv(hash, SUITE.as_bytes());
    for (name, content) in files(&image.source())? {
        hash = fnv(hash, name.as_bytes());
        hash = fnv(hash, &[0]);
        hash = fnv(hash, &content);
    }
    Ok(format!("carrier-{}:{hash:016x}", image.folder))
}

/// FNV-1a: any change must show, nobody attacks it, and it is the same in every release of Rust.
fn fnv(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

fn files(folder: &Path) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    let unreadable = || format!("cannot read {}", folder.display());
    for entry in fs::read_dir(folder).with_context(unreadable)? {
        let entry = entry.with_context(unreadable)?;
        let content = fs::read(entry.path()).with_context(unreadable)?;
        files.insert(entry.file_name().to_string_lossy().into_owned(), content);
    }
    Ok(files)
}

/// Builds the image and removes what was made on the way, also after a failure.
///
/// # Errors
///
/// Names the step, the command, and how its log ended.
pub(crate) fn build(image: &Image, tag: &str) -> anyhow::Result<()> {
    let folder = machine::state().join(format!("{FOLDER}{}", std::process::id()));
    remove_abandoned()?;
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let result = build_in(image, tag, &folder);
    let removed = remove(&folder);
    result.and(removed)
}

/// Removes what a build left behind that was killed.
fn remove_abandoned() -> anyhow::Result<()> {
    let Ok(entries) = fs::read_dir(machine::state()) else {
        return Ok(());
    };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if let Some(process) = name.strip_prefix(FOLDER)
            && !Path::new("/proc").join(process).exists()
        {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

fn remove(folder: &Path) -> anyhow::Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))
}

fn build_in(image: &Image, tag: &str, folder: &Path) -> anyhow::Result<()> {
    let name = image.name;
    let log = |step: &str| machine::state().join(format!("{}-{step}.log", image.folder));
    let files = files(&image.source())?;
    for file in files.keys() {
        // A copy keeps the mode: one of them is a program.
        fs::copy(image.source().join(file), folder.join(file))
            .with_context(|| format!("cannot copy {file}"))?;
    }

    machine::provide("mmdebstrap", &["mmdebstrap", "debian-archive-keyring"])?;
    let packages = files.get("packages").map(|list| String::from_utf8_lossy(list)).unwrap_or_default();
    let packages: Vec<&str> = packages.split_whitespace().collect();
    let mut rootfs = Command::new("mmdebstrap");
    rootfs
        .args(["--variant=apt", &format!("--include={}", packages.join(",")), SUITE])
        .arg(folder.join("rootfs.tar"));
    run::logged(&format!("making the {name} root file system"), &mut rootfs, &log("mmdebstrap"))?;

    if image.maven {
        machine::provide("mvn", &["maven"])?;
        let mut maven = Command::new("mvn");
        maven.args(["-B", "-f"]).arg(folder.join("pom.xml")).args([
            "dependency:copy-dependencies",
            "-DincludeScope=runtime",
            "-DoutputDirectory=libs",
        ]);
        run::logged(&format!("collecting {name}'s jars"), &mut maven, &log("mvn"))?;
    }

    let mut build = docker(&["build", "--tag", tag]);
    build.arg(folder);
    run::logged(&format!("building {tag}"), &mut build, &log("build"))
}

//! The documentation, as cargo builds it here and as docs.rs does.

use std::fs;

use crate::libraries::Library;
use crate::machine::{cargo, root, target};
use crate::progress::step;
use crate::{run, rustdoc};

/// Where the documentation of the newest release is.
const HOST: &str = "https://docs.rs/";

/// Builds the documentation without a warning, and follows the links of the pages on crates.io into it.
pub(crate) fn check(libraries: &[Library], as_docs_rs: bool, all: &mut run::All) -> anyhow::Result<()> {
    step(if as_docs_rs { "Documentation, as docs.rs builds it" } else { "Documentation" });
    let mut doc = cargo(&["doc", "--no-deps", "--all-features"]);
    doc.args(libraries.iter().flat_map(|library| ["-p", library.name]));
    doc.env("RUSTDOCFLAGS", if as_docs_rs { "--cfg docsrs -D warnings" } else { "-D warnings" });
    all.show(if as_docs_rs { rustdoc::unstable(&mut doc)? } else { &mut doc })?;

    for library in libraries {
        let readme = fs::read_to_string(root().join(library.name).join("README.md")).unwrap_or_default();
        for address in readme.split(HOST).skip(1) {
            let address = address.split([')', '>', ' ', '\n']).next().unwrap_or_default();
            if address.starts_with("carrier-") && !exists(address) {
                all.fail(&format!("{}/README.md: nothing is at {HOST}{address}", library.name));
            }
        }
    }
    Ok(())
}

/// Returns whether the documentation has `crate/latest/page#anchor`.
fn exists(address: &str) -> bool {
    let (path, anchor) = address.split_once('#').unwrap_or((address, ""));
    let Some((_, page)) = path.split_once("/latest/") else {
        return !path.contains('/');
    };
    let page = target().join("doc").join(page);
    let page = if page.is_dir() { page.join("index.html") } else { page };
    fs::read_to_string(page).is_ok_and(|html| anchor.is_empty() || html.contains(&format!("id=\"{anchor}\"")))
}

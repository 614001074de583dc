//! Prints the public items of a library, and the foreign types in them: `carrier-interface <rustdoc's JSON>`.
#![allow(clippy::print_stdout, reason = "its output is the file")]

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::Context as _;
use public_api::tokens::Token;

/// Traits that only the compiler names.
const UNSTABLE: [&str; 3] = ["Freeze", "UnsafeUnpin", "StructuralPartialEq"];

fn main() -> anyhow::Result<()> {
    let json =
        std::env::args_os().nth(1).map(PathBuf::from).context("the path of rustdoc's JSON is missing")?;
    let own = json.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
    let api = public_api::Builder::from_rustdoc_json(&json).omit_blanket_impls(true).build()?;

    let mut types = BTreeSet::new();
    for item in api.items() {
        let line = text(item.tokens());
        if UNSTABLE.iter().all(|name| !line.contains(&format!("core::marker::{name} for "))) {
            println!("{line}");
            types.extend(paths(item.tokens()));
        }
    }
    println!("\nforeign types");
    types.retain(|path| {
        ["alloc", "core", "std", &own].iter().all(|name| path.split("::").next() != Some(name))
    });
    types.iter().for_each(|path| println!("{path}"));
    Ok(())
}

/// Returns an item as Rust. A bound of an associated type gets the colon that the library leaves out.
fn text<'t>(tokens: impl Iterator<Item = &'t Token>) -> String {
    let mut after_name = false;
    tokens.fold(String::new(), |mut text, token| {
        let is_name = matches!(token, Token::Identifier(_) | Token::Type(_));
        if after_name && is_name {
            text.push_str(": ");
        }
        after_name = is_name;
        text + token.text()
    })
}

/// Returns the paths of the types and traits in an item.
fn paths<'t>(tokens: impl Iterator<Item = &'t Token>) -> Vec<String> {
    let (mut found, mut path) = (Vec::new(), String::new());
    for token in tokens {
        match token {
            Token::Identifier(name) if path.ends_with("::") => path.push_str(name),
            Token::Identifier(name) => path.clone_from(name),
            Token::Symbol(symbol) if symbol == "::" && !path.is_empty() => path.push_str(symbol),
            Token::Type(name) if path.ends_with("::") => found.push(std::mem::take(&mut path) + name),
            _ => path.clear(),
        }
    }
    found
}

//! The arrows in ARCHITECTURE.md: `a ← b ← c, d` says that `b` may import `a`, and that `c` and `d` may import both.

use std::collections::{BTreeMap, BTreeSet};

use crate::graph::Graph;
use crate::source::Crate;
use crate::{LIBRARIES, imports};

/// Whether each library must have a block for its modules.
const MODULE_BLOCKS_ARE_REQUIRED: bool = true;

type Names = BTreeSet<String>;

/// A fenced block with arrows.
#[derive(Debug, Default)]
struct Block {
    /// The library and the folder in it (`""` for all of it) that the last line before the block names.
    place: Option<(String, String)>,
    names: Names,
    allowed: Graph,
}

impl Block {
    /// Parses lines of names and arrows. If one side of an arrow is empty, it is the same as that side of the arrow above,
    /// in the same column. Text in parentheses is a remark.
    fn parse(lines: &[&str], place: Option<(String, String)>) -> Self {
        let mut block = Self { place, ..Self::default() };
        let mut above: BTreeMap<usize, [Vec<String>; 2]> = BTreeMap::new();
        for line in lines {
            let cells: Vec<Vec<String>> = line.split('←').map(names).collect();
            block.names.extend(cells.iter().flatten().cloned());
            let columns = line.chars().enumerate().filter(|(_, character)| *character == '←');
            let mut row = BTreeMap::new();
            for ((column, _), pair) in columns.zip(cells.windows(2)) {
                let above = above.get(&column).cloned().unwrap_or_default();
                let [left, right] =
                    [0, 1].map(|side| if pair[side].is_empty() { &above[side] } else { &pair[side] }.clone());
                for (to, from) in left.iter().flat_map(|to| right.iter().map(move |from| (to, from))) {
                    block.allowed.add(from, to, line);
                }
                row.insert(column, [left, right]);
            }
            above = row;
        }
        block
    }

    /// Compares the block with what exists, what it must name, and who imports whom.
    fn problems(&self, exist: &Names, required: &Names, imports: &Graph) -> Vec<String> {
        let unknown = self.names.difference(exist).map(|name| format!("{name} does not exist"));
        let missing = required.difference(&self.names).map(|name| format!("{name} is missing"));
        let circle = self.allowed.shortest_cycle().map(|cycle| format!("a circle: {}", cycle.join(" → ")));
        let wrong = imports.arrows().filter_map(|(from, to, place)| {
            let is_named = self.names.contains(from) && self.names.contains(to);
            (is_named && self.allowed.way(from, to).is_none())
                .then(|| format!("no arrow from {from} to {to}, but {place} imports it"))
        });
        unknown.chain(missing).chain(circle).chain(wrong).collect()
    }
}

/// `a, b (remark)` as its names.
fn names(cell: &str) -> Vec<String> {
    let names = cell.split(',').map(|name| name.split('(').next().unwrap_or_default().trim());
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// The library and the folder that a line names: `carrier-core`, or `carrier-core/src/instrumentation`.
fn place(line: &str) -> Option<(String, String)> {
    let mut words = line.split(|character: char| !(character.is_alphanumeric() || "-_/".contains(character)));
    words.find_map(|word| {
        let (library, rest) = word.split_at(word.find('/').unwrap_or(word.len()));
        let folder = if rest.is_empty() { "" } else { rest.strip_prefix("/src/")?.trim_end_matches('/') };
        LIBRARIES.contains(&library).then(|| (library.to_owned(), folder.to_owned()))
    })
}

/// The fenced blocks of a page that have an arrow.
fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut last_place = None;
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("```") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
            if block.iter().any(|line| line.contains('←')) {
                blocks.push(Block::parse(&block, last_place.clone()));
            }
        }
        last_place = place(line).or(last_place);
    }
    blocks
}

/// The packages of the workspace, and which package's manifest names which as a dependency.
fn packages() -> (Names, Graph) {
    let manifest = crate::read("Cargo.toml");
    let members = manifest.lines().find(|line| line.starts_with("members")).unwrap_or_default();
    let mut packages = BTreeSet::new();
    let mut graph = Graph::default();
    for folder in members.split('"').skip(1).step_by(2) {
        let path = format!("{folder}/Cargo.toml");
        let manifest = crate::read(&path);
        let name = manifest.lines().find_map(|line| line.strip_prefix("name = ")).unwrap_or_default();
        let name = name.trim_matches('"');
        packages.insert(name.to_owned());
        let mut is_dependency = false;
        for line in manifest.lines() {
            if line.starts_with('[') {
                is_dependency = line.ends_with("dependencies]");
            } else if let Some((dependency, _)) = line.split_once(['.', ' ']).filter(|_| is_dependency) {
                graph.add(name, dependency, &path);
            }
        }
    }
    (packages, graph)
}

/// Compares a block with the modules of a library, or of a folder in it.
fn problems_of_modules(block: &Block, library: &str, folder: &str) -> Vec<String> {
    let parsed = Crate::read(library);
    let folder = if folder.is_empty() { String::new() } else { format!("{}::", folder.replace('/', "::")) };
    let files = parsed.modules.iter().filter(|(path, module)| *path != "crate" && **path == module.unit);
    let inside = files.filter_map(|(path, _)| imports::short(path).strip_prefix(&folder)?.split("::").next());
    let modules = inside.map(str::to_owned).collect();
    block.problems(&modules, &modules, &imports::graph(&parsed).inside(&folder))
}

#[test]
fn no_import_goes_against_the_arrows_of_the_architecture() {
    let (packages, dependencies) = packages();
    let used = dependencies.arrows().map(|(_, package, _)| package.to_owned());
    let known: Names = packages.iter().cloned().chain(used).collect();
    let mut missing: BTreeSet<&str> = LIBRARIES.into_iter().filter(|_| MODULE_BLOCKS_ARE_REQUIRED).collect();
    missing.insert("the workspace");
    let mut problems = Vec::new();
    for block in blocks(&crate::read("ARCHITECTURE.md")) {
        if !block.names.is_disjoint(&packages) {
            missing.remove("the workspace");
            problems.extend(block.problems(&known, &LIBRARIES.map(str::to_owned).into(), &dependencies));
        } else if let Some((library, folder)) = &block.place {
            missing.retain(|place| place != library || !folder.is_empty());
            let found = problems_of_modules(&block, library, folder);
            problems.extend(found.iter().map(|problem| format!("{library} {folder}: {problem}")));
        } else {
            problems.push(format!("no line before this block names a library: {:?}", block.names));
        }
    }
    problems.extend(missing.iter().map(|place| format!("ARCHITECTURE.md has no arrows for {place}")));
    crate::assert_none(&problems);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(arrows: &[(&str, &str)]) -> Graph {
        let mut graph = Graph::default();
        arrows.iter().for_each(|(from, to)| graph.add(from, to, "x.rs:1"));
        graph
    }

    fn problems(text: &str, exist: &str, arrows: &[(&str, &str)]) -> Vec<String> {
        let exist = exist.split(' ').map(str::to_owned).collect();
        Block::parse(&text.lines().collect::<Vec<_>>(), None).problems(&exist, &exist, &graph(arrows))
    }

    #[test]
    fn imports_along_the_arrows_are_allowed() {
        let text = "a ← b ← c, d (remark)\nc ← e";
        assert!(problems(text, "a b c d e", &[("b", "a"), ("d", "a"), ("e", "c"), ("e", "b")]).is_empty());
    }

    #[test]
    fn imports_against_the_arrows_and_between_siblings_are_found() {
        let found = problems("a ← b ← c, d", "a b c d", &[("a", "c"), ("c", "d")]);
        let expected =
            ["no arrow from a to c, but x.rs:1 imports it", "no arrow from c to d, but x.rs:1 imports it"];
        assert_eq!(found, expected);
    }

    #[test]
    fn unknown_and_missing_names_and_circles_are_found() {
        let found = problems("a ← b ← a", "a c", &[]);
        assert_eq!(found, ["b does not exist", "c is missing", "a circle: a → b → a"]);
    }

    #[test]
    fn an_arrow_without_a_name_takes_the_one_above_it() {
        let text = "a ← b ← c     ← e\n      ← d (x) ← f";
        assert!(problems(text, "a b c d e f", &[("d", "b"), ("d", "a"), ("f", "d")]).is_empty());
        assert_eq!(problems(text, "a b c d e f", &[("d", "c"), ("e", "d")]).len(), 2);
        let text = "a ← b ← d\n  ← c ←";
        assert!(problems(text, "a b c d", &[("d", "c"), ("c", "a")]).is_empty());
    }

    #[test]
    fn a_block_belongs_to_the_library_or_folder_named_last() {
        let page = "### carrier-core\nText.\n```text\na ← b\n```\nIn `carrier-core/src/w3c`:\n```text\nc ← d\n```\n\
                    ```rust\nno arrow\n```\n";
        let places: Vec<_> = blocks(page).into_iter().filter_map(|block| block.place).collect();
        let expected = [("carrier-core", ""), ("carrier-core", "w3c")];
        assert_eq!(places, expected.map(|(library, folder)| (library.to_owned(), folder.to_owned())));
    }
}

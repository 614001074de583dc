//! A graph of imports: who imports whom, and a place in the source that shows it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// `graph.0[a][b]` is a place where `a` imports `b`.
#[derive(Debug, Default)]
pub(crate) struct Graph(BTreeMap<String, BTreeMap<String, String>>);

impl Graph {
    /// Adds `from → to`. The first place is kept.
    pub(crate) fn add(&mut self, from: &str, to: &str, place: &str) {
        if from != to {
            let targets = self.0.entry(from.to_owned()).or_default();
            targets.entry(to.to_owned()).or_insert_with(|| place.to_owned());
        }
    }

    /// All arrows as `(from, to, place)`.
    pub(crate) fn arrows(&self) -> impl Iterator<Item = (&str, &str, &str)> {
        self.0.iter().flat_map(|(from, targets)| {
            targets.iter().map(move |(to, place)| (from.as_str(), to.as_str(), place.as_str()))
        })
    }

    /// The graph of the direct children of a folder (`""`, `"instrumentation::"`): each stands for all modules in it.
    pub(crate) fn inside(&self, folder: &str) -> Self {
        let child = |name: &str| Some(name.strip_prefix(folder)?.split("::").next()?.to_owned());
        let mut inside = Self::default();
        for (from, to, place) in self.arrows() {
            if let (Some(from), Some(to)) = (child(from), child(to)) {
                inside.add(&from, &to, place);
            }
        }
        inside
    }

    /// The shortest way from one node to another, with at least one arrow.
    pub(crate) fn way(&self, from: &str, to: &str) -> Option<Vec<String>> {
        let mut seen = BTreeSet::new();
        let mut ways = VecDeque::from([vec![from.to_owned()]]);
        while let Some(way) = ways.pop_front() {
            for next in self.0.get(way.last()?).into_iter().flat_map(BTreeMap::keys) {
                let longer = [&way[..], std::slice::from_ref(next)].concat();
                if next == to {
                    return Some(longer);
                }
                if seen.insert(next) {
                    ways.push_back(longer);
                }
            }
        }
        None
    }

    pub(crate) fn shortest_cycle(&self) -> Option<Vec<String>> {
        self.0.keys().filter_map(|node| self.way(node, node)).min_by_key(Vec::len)
    }

    /// The groups of nodes that reach each other.
    pub(crate) fn circles(&self) -> BTreeSet<BTreeSet<&str>> {
        let reach = |from: &str, to: &str| self.way(from, to).is_some();
        let in_circles: Vec<_> = self.0.keys().filter(|node| reach(node, node)).collect();
        let circle = |node: &str| {
            let others = in_circles.iter().filter(|other| reach(node, other) && reach(other, node));
            others.map(|other| other.as_str()).collect()
        };
        in_circles.iter().map(|node| circle(node)).collect()
    }

    /// Describes the cycles: the modules of each circle, and the shortest cycle with a place for each arrow.
    pub(crate) fn describe_cycles(&self) -> Option<String> {
        let shortest = self.shortest_cycle()?;
        let mut text = String::new();
        for circle in self.circles() {
            let names: Vec<_> = circle.iter().copied().collect();
            text += &format!("{} modules import each other: {}\n", names.len(), names.join(", "));
        }
        text += &format!("shortest cycle: {}\n", shortest.join(" → "));
        for pair in shortest.windows(2) {
            text += &format!("  {} → {}: {}\n", pair[0], pair[1], self.0[&pair[0]][&pair[1]]);
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(arrows: &[(&str, &str)]) -> Graph {
        let mut graph = Graph::default();
        arrows.iter().for_each(|(from, to)| graph.add(from, to, &format!("{from}.rs:1")));
        graph
    }

    #[test]
    fn the_shortest_cycle_is_described() {
        let graph = graph(&[("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("d", "c"), ("d", "e")]);
        let expected = "4 modules import each other: a, b, c, d\nshortest cycle: c → d → c\n  \
                        c → d: c.rs:1\n  d → c: d.rs:1\n";
        assert_eq!(graph.describe_cycles().as_deref(), Some(expected));
    }

    #[test]
    fn a_graph_without_cycles_has_none() {
        let graph = graph(&[("a", "b"), ("a", "c"), ("b", "d"), ("c", "d"), ("a", "a")]);
        assert_eq!(graph.describe_cycles(), None);
    }

    #[test]
    fn a_folder_stands_for_its_modules() {
        let graph = graph(&[("a::x", "b"), ("b", "a::y"), ("a::x", "a::y"), ("a", "a::x")]);
        assert_eq!(graph.shortest_cycle(), None);
        assert_eq!(graph.inside("").shortest_cycle().unwrap(), ["a", "b", "a"]);
        assert_eq!(graph.inside("a::").arrows().collect::<Vec<_>>(), [("x", "y", "a::x.rs:1")]);
    }
}

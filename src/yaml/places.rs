//! Where each key of a document stands, for mistakes that only a check over the finished values can see.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use super::problem::Problem;

/// The document as a tree of positions without values.
#[derive(Debug, Default)]
enum Node {
    Map(BTreeMap<String, (Position, Spanned<Node>)>),
    Seq(Vec<Spanned<Node>>),
    #[default]
    Leaf,
}

/// Line and column, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Position {
    line: usize,
    column: usize,
}

impl Position {
    fn of<T>(spanned: &Spanned<T>) -> Option<Self> {
        let at = spanned.referenced;
        let position =
            Self { line: usize::try_from(at.line()).ok()?, column: usize::try_from(at.column()).ok()? };
        (position.line > 0).then_some(position)
    }
}

/// The places of one document's keys. Built lazily, only when there is something to complain about.
#[derive(Debug)]
pub struct Places<'t> {
    file: &'t str,
    text: &'t str,
    root: Arc<Node>,
}

/// The places of a document that is asked about again and again, read at the first question.
#[derive(Debug, Clone, Default)]
pub struct KnownPlaces(OnceLock<Arc<Node>>);

impl KnownPlaces {
    /// The places in this document, which has to be the same at each call.
    pub fn of<'t>(&self, file: &'t str, text: &'t str) -> Places<'t> {
        let root = self.0.get_or_init(|| Places::of(file, text).root);
        Places { file, text, root: Arc::clone(root) }
    }
}

impl<'t> Places<'t> {
    /// Indexes a document. A text that is no YAML gives an index that knows only the file.
    pub fn of(file: &'t str, text: &'t str) -> Self {
        let root = Arc::new(serde_saphyr::from_str(text).unwrap_or_default());
        Self { file, text, root }
    }

    /// A problem at the value that `path` leads to, such as `["api", "tokens", "0", "name"]`.
    ///
    /// Where the path leads nowhere, the nearest key above it is shown: that is where the missing key belongs.
    pub fn problem(&self, path: &[&str], message: impl Into<String>) -> Problem {
        match self.find(path) {
            Some(at) => Problem::at(self.file, self.text, at.line, at.column, message),
            None => Problem::in_file(self.file, message),
        }
    }

    /// As [`Places::problem`], with the value masked in the line that is shown.
    pub fn problem_hiding_value(&self, path: &[&str], message: impl Into<String>) -> Problem {
        self.problem(path, message).hiding_value(self.text)
    }

    /// Whether the document itself says something at exactly this path.
    pub fn contains(&self, path: &[&str]) -> bool {
        let mut node = self.root.as_ref();
        path.iter().all(|step| match child(node, step) {
            Some((_, below)) => {
                node = below;
                true
            }
            None => false,
        })
    }

    fn find(&self, path: &[&str]) -> Option<Position> {
        let (mut node, mut best) = (self.root.as_ref(), None);
        for step in path {
            let Some((position, below)) = child(node, step) else { break };
            best = position.or(best);
            node = below;
        }
        best
    }
}

/// One step down: the position to show for it, and what is below.
fn child<'n>(node: &'n Node, step: &str) -> Option<(Option<Position>, &'n Node)> {
    match node {
        Node::Map(map) => map.get(step).map(|(key, value)| {
            // A scalar is shown itself; a block is shown by its key, which is the line a reader looks for.
            let position = if matches!(value.value, Node::Leaf) { Position::of(value) } else { None };
            (position.or(Some(*key)), &value.value)
        }),
        Node::Seq(items) => {
            let item = items.get(step.parse::<usize>().ok()?)?;
            Some((Position::of(item), &item.value))
        }
        Node::Leaf => None,
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut map = BTreeMap::new();
        while let Some(key) = access.next_key::<Spanned<String>>()? {
            let value: Spanned<Node> = access.next_value()?;
            let position = Position::of(&key).unwrap_or(Position { line: 1, column: 1 });
            map.insert(key.value, (position, value));
        }
        Ok(Node::Map(map))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Node::Seq(items))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_str<E>(self, _: &str) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        Deserialize::deserialize(deserializer)
    }

    fn visit_enum<A: serde::de::EnumAccess<'de>>(self, access: A) -> Result<Node, A::Error> {
        let _: (IgnoredAny, _) = access.variant()?;
        Ok(Node::Leaf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml::Place;

    const TEXT: &str = "server:\n  listen: 0.0.0.0:1\napi:\n  tokens:\n    - name: a\n    - {name: b, role: admin}\nmode: dry_run\n";

    fn line_and_column(path: &[&str]) -> Option<(usize, usize)> {
        match Places::of("f.yaml", TEXT).problem(path, "x").place {
            Place::At { line, column, .. } => Some((line, column)),
            Place::File { .. } | Place::Environment { .. } => None,
        }
    }

    #[test]
    fn a_scalar_is_shown_at_its_value_and_a_block_at_its_key() {
        assert_eq!(line_and_column(&["server", "listen"]), Some((2, 11)));
        assert_eq!(line_and_column(&["server"]), Some((1, 1)));
        assert_eq!(line_and_column(&["api", "tokens", "1", "role"]), Some((6, 23)));
    }

    #[test]
    fn a_missing_key_is_shown_at_the_nearest_key_above_it() {
        assert_eq!(line_and_column(&["server", "tls", "key_file"]), Some((1, 1)));
        assert_eq!(line_and_column(&["slack"]), None);
    }

    #[test]
    fn contains_asks_for_the_whole_path() {
        let places = Places::of("f.yaml", TEXT);
        assert!(places.contains(&["api", "tokens", "0", "name"]));
        assert!(!places.contains(&["api", "tokens", "2"]));
        assert!(!places.contains(&["mode", "x"]));
    }

    #[test]
    fn a_text_that_is_no_yaml_knows_only_its_file() {
        let places = Places::of("f.yaml", "a: [");
        assert_eq!(places.problem(&["a"], "x").place, Place::File { file: "f.yaml".to_owned() });
    }
}

//! Reads YAML as the cluster does, and remembers on which line everything stands.
//!
//! kubectl, Helm and Argo CD read the older YAML 1.1, in which `yes` is true and `012` is ten. A reader of today's YAML
//! would let both pass as texts, and the cluster would refuse them later.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use serde_json::{Map, Value};

/// How deep a document may be nested: the deepest field of the API stands at 14.
const DEPTH: usize = 64;
/// How many values a document may have, aliases written out.
const VALUES: usize = 200_000;

/// One document of a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Document {
    /// What it says, as the API server gets it.
    pub(crate) value: Value,
    /// The line of each value, by its JSON pointer.
    lines: BTreeMap<String, usize>,
    /// What was written without quotes and is no text, by its JSON pointer.
    plain: BTreeMap<String, String>,
    /// Keys that stand twice in one place, by their JSON pointer.
    pub(crate) duplicates: Vec<String>,
}

impl Document {
    /// The line of a value, or of what it stands in.
    pub(crate) fn line(&self, pointer: &str) -> usize {
        let mut pointer = pointer;
        loop {
            if let Some(line) = self.lines.get(pointer) {
                return *line;
            }
            match pointer.rsplit_once('/') {
                Some((parent, _)) => pointer = parent,
                None => return 1,
            }
        }
    }

    /// What was written where the cluster reads something else than a text.
    pub(crate) fn plain(&self, pointer: &str) -> Option<&str> {
        self.plain.get(pointer).map(String::as_str)
    }
}

/// The documents of a file.
///
/// # Errors
/// A sentence with the line where the text is no YAML.
pub(crate) fn documents(text: &str) -> Result<Vec<Document>, String> {
    let mut reader = Reader::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| format!("line {}: {}", error.marker().line(), error.info()))?;
        reader.read(event, span).map_err(|problem| format!("line {}: {problem}", span.start.line()))?;
    }
    Ok(reader.documents)
}

#[derive(Clone, Debug)]
struct Node {
    line: usize,
    /// How many values it consists of.
    size: usize,
    shape: Shape,
}

#[derive(Clone, Debug)]
enum Shape {
    /// A value, and what was written where it is no text.
    Scalar(Value, Option<String>),
    Sequence(Vec<Node>),
    /// Keys, their lines, and values.
    Mapping(Vec<(String, usize, Node)>),
}

/// A list or map that is being read.
struct Open {
    anchor: usize,
    line: usize,
    shape: Shape,
    /// The key that waits for its value, and its line.
    key: Option<(String, usize)>,
    /// What `<<` brings in, weaker than the map's own keys.
    merged: Vec<Node>,
}

#[derive(Default)]
struct Reader {
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    documents: Vec<Document>,
}

impl Reader {
    fn read(&mut self, event: Event<'_>, span: Span) -> Result<(), String> {
        let line = span.start.line();
        match event {
            Event::DocumentStart(_) => self.anchors.clear(),
            Event::Scalar(text, style, anchor, tag) => {
                let is_text = style != ScalarStyle::Plain || tag.is_some_and(|tag| tag.suffix == "str");
                let value = if is_text { Value::String(text.clone().into_owned()) } else { resolve(&text) };
                let plain = (!value.is_string()).then(|| text.into_owned());
                self.close(anchor, Node { line, size: 1, shape: Shape::Scalar(value, plain) })?;
            }
            Event::SequenceStart(anchor, _) => self.begin(anchor, line, Shape::Sequence(vec![]))?,
            Event::MappingStart(anchor, _) => self.begin(anchor, line, Shape::Mapping(vec![]))?,
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else { return Ok(()) };
                let (anchor, node) = finish(open);
                self.close(anchor, node)?;
            }
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned().ok_or("an alias without its anchor")?;
                self.close(0, Node { line, ..node })?;
            }
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, anchor: usize, line: usize, shape: Shape) -> Result<(), String> {
        if self.open.len() >= DEPTH {
            return Err(format!("nested more than {DEPTH} deep"));
        }
        self.open.push(Open { anchor, line, shape, key: None, merged: vec![] });
        Ok(())
    }

    /// Puts a value that is complete where it belongs.
    fn close(&mut self, anchor: usize, node: Node) -> Result<(), String> {
        if node.size > VALUES {
            return Err(format!("more than {VALUES} values, aliases written out"));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(open) = self.open.last_mut() else {
            let mut document = Document::default();
            document.value = flatten(node, "", &mut document);
            self.documents.push(document);
            return Ok(());
        };
        match (&mut open.shape, open.key.take()) {
            (Shape::Sequence(items), _) => items.push(node),
            (Shape::Mapping(entries), Some((key, line))) => match (key.as_str(), node.shape) {
                ("<<", Shape::Sequence(maps)) => open.merged.extend(maps),
                ("<<", shape) => open.merged.push(Node { shape, ..node }),
                (_, shape) => entries.push((key, line, Node { shape, ..node })),
            },
            (Shape::Mapping(_), None) => open.key = Some((key_text(&node)?, node.line)),
            (Shape::Scalar(..), _) => {}
        }
        Ok(())
    }
}

fn finish(open: Open) -> (usize, Node) {
    let mut shape = open.shape;
    if let Shape::Mapping(entries) = &mut shape {
        for node in open.merged {
            let Shape::Mapping(weaker) = node.shape else { continue };
            for entry in weaker {
                if entries.iter().all(|(key, ..)| *key != entry.0) {
                    entries.push(entry);
                }
            }
        }
    }
    let inner: usize = match &shape {
        Shape::Scalar(..) => 0,
        Shape::Sequence(items) => items.iter().map(|item| item.size).sum(),
        Shape::Mapping(entries) => entries.iter().map(|(_, _, value)| value.size).sum(),
    };
    (open.anchor, Node { line: open.line, size: inner.saturating_add(1), shape })
}

fn key_text(node: &Node) -> Result<String, String> {
    match &node.shape {
        Shape::Scalar(Value::String(text), _) => Ok(text.clone()),
        Shape::Scalar(value, _) => Ok(value.to_string()),
        _ => Err("a key that is a list or a map".into()),
    }
}

fn flatten(node: Node, pointer: &str, document: &mut Document) -> Value {
    document.lines.entry(pointer.to_owned()).or_insert(node.line);
    match node.shape {
        Shape::Scalar(value, plain) => {
            if let Some(plain) = plain {
                document.plain.insert(pointer.to_owned(), plain);
            }
            value
        }
        Shape::Sequence(items) => {
            let items = items.into_iter().enumerate();
            items.map(|(index, item)| flatten(item, &format!("{pointer}/{index}"), document)).collect()
        }
        Shape::Mapping(entries) => {
            let mut map = Map::new();
            for (key, line, value) in entries {
                let inner = format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"));
                document.lines.insert(inner.clone(), line);
                let value = flatten(value, &inner, document);
                if map.insert(key, value).is_some() {
                    document.duplicates.push(inner);
                }
            }
            Value::Object(map)
        }
    }
}

/// What a word without quotes is to the cluster.
fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => true.into(),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => false.into(),
        _ => number(text).unwrap_or_else(|| text.into()),
    }
}

fn number(text: &str) -> Option<Value> {
    if !text.starts_with(|first: char| first.is_ascii_digit() || matches!(first, '+' | '-' | '.')) {
        return None;
    }
    let bare = text.trim_start_matches(['+', '-']);
    if text.len() - bare.len() <= 1 && matches!(bare, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN") {
        // Kubernetes has no such number: the cluster refuses the whole file.
        return Some(Value::Null);
    }
    let figures = text.replace('_', "");
    if let Some(whole) = whole(&figures) {
        return Some(whole);
    }
    let is_figure = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.' | 'e' | 'E');
    let number: f64 =
        figures.parse().ok().filter(|number: &f64| number.is_finite() && figures.chars().all(is_figure))?;
    // 1e3 travels as 1000.
    #[allow(clippy::cast_possible_truncation, reason = "it has no fraction, and is far from the bounds")]
    let whole = (number.fract() == 0.0 && number.abs() < 1e15).then_some(number as i64);
    Some(whole.map_or_else(|| number.into(), Value::from))
}

/// A whole number of base 10, or with a prefix of another; a leading zero means base 8.
fn whole(text: &str) -> Option<Value> {
    let (negative, figures) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let figures = figures.strip_prefix('+').filter(|_| !negative).unwrap_or(figures);
    let prefixed = |prefixes: [&str; 2]| prefixes.into_iter().find_map(|prefix| figures.strip_prefix(prefix));
    let (base, figures) = if let Some(rest) = prefixed(["0x", "0X"]) {
        (16, rest)
    } else if let Some(rest) = prefixed(["0o", "0O"]) {
        (8, rest)
    } else if let Some(rest) = prefixed(["0b", "0B"]) {
        (2, rest)
    } else if figures.len() > 1 && figures.starts_with('0') {
        (8, figures)
    } else {
        (10, figures)
    };
    let size = u64::from_str_radix(figures, base).ok().filter(|_| !figures.starts_with(['+', '-']))?;
    if negative { i64::try_from(size).ok().map(|size| (-size).into()) } else { Some(size.into()) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn one(text: &str) -> Document {
        let mut all = documents(text).unwrap();
        assert_eq!(all.len(), 1, "{text}");
        all.remove(0)
    }

    /// The right column is what kubectl 1.33 makes of the left one.
    #[test]
    fn words_without_quotes_are_what_the_cluster_makes_of_them() {
        for (written, read) in [
            ("y", json!(true)),
            ("yes", json!(true)),
            ("On", json!(true)),
            ("n", json!(false)),
            ("No", json!(false)),
            ("OFF", json!(false)),
            ("TRUE", json!(true)),
            ("tRUE", json!("tRUE")),
            ("~", json!(null)),
            ("null", json!(null)),
            ("nulL", json!("nulL")),
            ("012", json!(10)),
            ("0o12", json!(10)),
            ("0x1f", json!(31)),
            ("0b11", json!(3)),
            ("0b12", json!("0b12")),
            ("08", json!(8)),
            ("1_000", json!(1000)),
            ("_1", json!("_1")),
            ("1:30", json!("1:30")),
            ("1e3", json!(1000)),
            (".5", json!(0.5)),
            ("+1", json!(1)),
            ("5.", json!(5)),
            ("-0", json!(0)),
            ("+.5", json!(0.5)),
            ("1e400", json!("1e400")),
            ("2020-02-19", json!("2020-02-19")),
            ("0.10", json!(0.1)),
            ("=", json!("=")),
            ("10.0.0.1", json!("10.0.0.1")),
            ("1Gi", json!("1Gi")),
            ("--5", json!("--5")),
            ("'no'", json!("no")),
            ("\"012\"", json!("012")),
            ("!!str 1", json!("1")),
        ] {
            assert_eq!(one(&format!("a: {written}\n")).value["a"], read, "{written}");
        }
    }

    #[test]
    fn everything_has_its_line() {
        let document = one("# a comment\na:\n  - b: 1\n    c/d: x\n  - b: |\n      text\n");
        let lines: Vec<usize> =
            ["", "/a", "/a/0/b", "/a/0/c~1d", "/a/1/b", "/a/1/none", "/z"].map(|path| document.line(path)).into();
        assert_eq!(lines, [2, 2, 3, 4, 5, 5, 2]);
        assert_eq!((document.plain("/a/0/b"), document.plain("/a/0/c~1d")), (Some("1"), None));
    }

    #[test]
    fn anchors_and_merges_are_written_out() {
        let document = one("base: &base {a: 1, b: 2}\nmine: {<<: *base, b: 3}\nlist: [*base]\n");
        assert_eq!(document.value["mine"], json!({"a": 1, "b": 3}));
        assert_eq!(document.value["list"], json!([{"a": 1, "b": 2}]));
    }

    #[test]
    fn a_key_that_stands_twice_is_named() {
        assert_eq!(one("a: {b: 1, c: 2, b: 3}\n").duplicates, ["/a/b"]);
    }

    #[test]
    fn no_document_exhausts_the_machine() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..10 {
            let before = format!("*a{}", level - 1);
            bomb.push_str(&format!("a{level}: &a{level} [{}]\n", [before.as_str(); 10].join(", ")));
        }
        assert!(documents(&bomb).unwrap_err().contains("200000 values"));
        assert!(documents(&"[".repeat(10_000)).is_err());
        let deep = (0..100).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect::<String>();
        assert!(documents(&deep).unwrap_err().contains("64 deep"));
        assert!(documents("a: [b").unwrap_err().starts_with("line "));
    }
}

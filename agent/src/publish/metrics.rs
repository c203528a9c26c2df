//! Headline metrics: the numbers of `Metrics` outputs.

use std::collections::BTreeMap;
use std::fmt;

use seatrial_core::contract::ExitCode;
use seatrial_core::decimal::Decimal;
use seatrial_crds::limits;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::error::AgentError;
use crate::publish::folder::OutputFolder;

/// The largest file that is read, in bytes.
const FILE: u64 = 1 << 20;
/// How many values of a file are named that are no metrics.
const NOTES: usize = 20;
/// How deep objects may stand in each other: `weighted avg.f1-score` is two deep.
const DEPTH: usize = 8;

/// The values of one file, by name, in the file's order. A member of a nested object has the names of both, with a dot
/// between them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Members {
    /// The numbers, exactly as the file writes them.
    pub(crate) numbers: Vec<(String, String)>,
    /// The other values, with what they are instead of numbers: a gate that asks for one says so.
    pub(crate) others: Vec<(String, String)>,
}

/// Reads the file of a `Metrics` output.
///
/// Values that are no numbers are listed in `notes`, and are no error: the step's work is done, and must not be lost for them.
///
/// # Errors
/// Anything but a JSON object.
pub(crate) fn read(folder: &OutputFolder, file: &str, notes: &mut Vec<String>) -> Result<Members, AgentError> {
    let path = folder.path().join(file);
    let bad =
        |why: String| AgentError::new(ExitCode::BadOutput, format!("the Metrics output {}: {why}", path.display()));
    let text = folder.read_small(file, FILE).map_err(|error| {
        bad(format!("cannot be read: {error}; write one JSON object of numbers to the path in the OUTPUT_ variable"))
    })?;
    let text = quote_constants(&text);
    let object: Object = serde_json::from_slice(&text)
        .map_err(|error| bad(format!("is no JSON object: {error}; write one, as in {{\"auc\": 0.81}}")))?;
    let mut found = vec![];
    flatten(None, object, 1, &mut found);
    let mut unusable = vec![];
    let members = sort(found, &mut unusable);
    for (name, why) in unusable.iter().take(NOTES) {
        let short: String = name.chars().take(limits::METRIC_NAME).collect();
        notes.push(format!("{}: \"{short}\" is {why}: it is no metric", path.display()));
    }
    if unusable.len() > NOTES {
        notes.push(format!("{}: {} values in all are no metrics", path.display(), unusable.len()));
    }
    Ok(members)
}

/// Whether a metric can have a name.
fn is_name(name: &str) -> bool {
    (1..=limits::METRIC_NAME).contains(&name.len())
}

/// Adds the members of an object, those of nested ones by the names of all, with their numbers or what they are instead.
fn flatten(
    parent: Option<&str>,
    Object(members): Object,
    depth: usize,
    found: &mut Vec<(String, Result<String, String>)>,
) {
    for (name, value) in members {
        let name = parent.map_or(name.clone(), |parent| format!("{parent}.{name}"));
        let nested = value.get().starts_with('{').then(|| serde_json::from_str::<Object>(value.get()).ok()).flatten();
        match nested {
            // A name that is too long is said once, and not for each of many members again.
            Some(inner) if depth < DEPTH && is_name(&name) => flatten(Some(&name), inner, depth + 1, found),
            _ => found.push((name, number(value.get()))),
        }
    }
}

/// Parts numbers from what is none, and names what has no name that a metric can have, or stands twice.
fn sort(found: Vec<(String, Result<String, String>)>, unusable: &mut Vec<(String, String)>) -> Members {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut all: Vec<(String, Result<String, String>)> = vec![];
    for (name, value) in found {
        if !is_name(&name) {
            unusable.push((name, format!("a name that has not 1 to {} bytes", limits::METRIC_NAME)));
        } else if let Some((_, value)) = places.get(&name).and_then(|place| all.get_mut(*place)) {
            *value = Err("written twice".to_owned());
        } else {
            places.insert(name.clone(), all.len());
            all.push((name, value));
        }
    }
    let mut members = Members::default();
    for (name, value) in all {
        match value {
            Ok(number) => members.numbers.push((name, number)),
            Err(what) => members.others.push((name, what)),
        }
    }
    unusable.extend(members.others.iter().cloned());
    members
}

/// A member's number as it is written, or what it is instead.
fn number(value: &str) -> Result<String, String> {
    let what = match value.as_bytes().first() {
        Some(b'{') => format!("nested more than {DEPTH} deep"),
        Some(b'[') => "a list".to_owned(),
        Some(b'"') => match CONSTANTS.iter().find(|constant| value.trim_matches('"') == **constant) {
            Some(constant) => (*constant).to_owned(),
            None => "a text".to_owned(),
        },
        Some(b'n') => "null".to_owned(),
        Some(b't' | b'f') => "a truth value".to_owned(),
        _ if value.len() > limits::DECIMAL => format!("longer than {} characters", limits::DECIMAL),
        _ if Decimal::parse(value).is_none() => "a number beyond all bounds".to_owned(),
        _ => return Ok(value.to_owned()),
    };
    Err(what)
}

/// What Python and others write for numbers that JSON cannot have.
const CONSTANTS: [&str; 3] = ["-Infinity", "Infinity", "NaN"];

/// Puts such numbers into quotes, so that the rest can be read.
fn quote_constants(text: &[u8]) -> Vec<u8> {
    let mut quoted = Vec::with_capacity(text.len());
    let (mut rest, mut in_text) = (text, false);
    while let Some((first, after)) = rest.split_first() {
        let constant = CONSTANTS.iter().find(|constant| !in_text && rest.starts_with(constant.as_bytes()));
        if let Some(constant) = constant {
            quoted.extend_from_slice(format!("\"{constant}\"").as_bytes());
            rest = rest.get(constant.len()..).unwrap_or_default();
            continue;
        }
        quoted.push(*first);
        rest = after;
        match (first, after.split_first()) {
            // Whatever is escaped ends no text.
            (b'\\', Some((escaped, further))) if in_text => {
                quoted.push(*escaped);
                rest = further;
            }
            (b'"', _) => in_text = !in_text,
            _ => {}
        }
    }
    quoted
}

/// The members of a JSON object as they are written, in their order: also those of one name.
struct Object(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Object;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut members = vec![];
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Object(members))
            }
        }
        deserializer.deserialize_map(Visit)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;
    use tempfile::TempDir;

    use super::*;
    use crate::pod::beneath::Beneath;

    /// What a folder comes to that was filled like this.
    fn read_folder(fill: impl FnOnce(&Path)) -> Result<(Members, Vec<String>), AgentError> {
        let root = TempDir::new().unwrap();
        fs::create_dir(root.path().join("x")).unwrap();
        fill(&root.path().join("x"));
        let folder = OutputFolder::open(&Beneath::volume(root.path()).unwrap(), Path::new("x")).unwrap();
        let mut notes = vec![];
        read(&folder, "metrics.json", &mut notes).map(|metrics| (metrics, notes))
    }

    /// What the agent may read and the user may not, endless files, and such as nothing comes from.
    #[test]
    fn only_a_regular_file_of_a_sensible_size_is_read() {
        type Fill = fn(&Path);
        let cases: [(Fill, &str); 4] = [
            (|folder| std::os::unix::fs::symlink("/dev/zero", folder.join("metrics.json")).unwrap(), "cannot be read"),
            (|folder| mkfifo(&folder.join("metrics.json"), Mode::S_IRWXU).unwrap(), "special file"),
            (|folder| fs::create_dir(folder.join("metrics.json")).unwrap(), "cannot be read"),
            (
                |folder| {
                    let file = fs::File::create(folder.join("metrics.json")).unwrap();
                    file.set_len(FILE + 1).unwrap();
                },
                "more than 1048576 bytes",
            ),
        ];
        for (fill, expected) in cases {
            let error = read_folder(fill).unwrap_err();
            assert_eq!(error.code, ExitCode::BadOutput);
            assert!(error.message.contains(expected), "{}", error.message);
        }
    }

    fn read_text(text: &str) -> Result<(Members, Vec<String>), AgentError> {
        read_folder(|folder| fs::write(folder.join("metrics.json"), text).unwrap())
    }

    fn pairs(members: &[(String, String)]) -> Vec<(&str, &str)> {
        members.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    /// A gate compares what the step wrote, not what a floating-point number makes of it.
    #[test]
    fn numbers_stay_as_they_are_written() {
        let (members, notes) =
            read_text(r#"{"rows": 9007199254740993, "auc": 0.8123, "tiny": 1e-30, "zero": -0.0}"#).unwrap();
        let expected = [("rows", "9007199254740993"), ("auc", "0.8123"), ("tiny", "1e-30"), ("zero", "-0.0")];
        assert_eq!(pairs(&members.numbers), expected, "in the order of the file");
        assert_eq!((members.others, notes), (vec![], vec![]));
    }

    /// As scikit-learn's `classification_report` writes it.
    #[test]
    fn members_of_nested_objects_have_the_names_of_both() {
        let text = r#"{"1": {"recall": 0.5, "support": 4}, "accuracy": 0.75, "macro avg": {"f1-score": 0.7, "roc": {"auc": NaN}}}"#;
        let (members, notes) = read_text(text).unwrap();
        let expected = [("1.recall", "0.5"), ("1.support", "4"), ("accuracy", "0.75"), ("macro avg.f1-score", "0.7")];
        assert_eq!(pairs(&members.numbers), expected);
        assert_eq!(pairs(&members.others), [("macro avg.roc.auc", "NaN")]);
        assert!(notes.len() == 1 && notes[0].contains("\"macro avg.roc.auc\" is NaN"), "{notes:?}");
    }

    /// Neither depth nor names take more than a bounded time and memory.
    #[test]
    fn objects_that_stand_deep_in_each_other_are_no_metrics() {
        let deep = |depth: usize| format!("{}1{}", "{\"a\": ".repeat(depth), "}".repeat(depth));
        let (members, _) = read_text(&deep(DEPTH)).unwrap();
        assert_eq!(pairs(&members.numbers), [(["a"; DEPTH].join(".").as_str(), "1")]);
        let (members, notes) = read_text(&deep(100_000)).unwrap();
        assert_eq!((members.numbers, members.others.len(), notes.len()), (vec![], 1, 1));
        let long = format!("{{\"{}\": {{{}\"z\": 1}}}}", "x".repeat(1 << 19), "\"a\": 1, ".repeat(1000));
        let (members, notes) = read_text(&long).unwrap();
        assert_eq!((members, notes.len()), (Members::default(), 1));
    }

    /// What is no metric costs neither the work nor the metrics beside it, and does not vanish in silence.
    #[test]
    fn what_is_no_number_is_said() {
        for (member, name, what) in [
            (r#""loss": NaN"#, "loss", "NaN"),
            (r#""loss": Infinity"#, "loss", "Infinity"),
            (r#""loss": -Infinity"#, "loss", "-Infinity"),
            (r#""loss": null"#, "loss", "null"),
            (r#""note": "a \"NaN\" inside""#, "note", "a text"),
            (r#""ok": true"#, "ok", "a truth value"),
            (r#""counts": [1, 2]"#, "counts", "a list"),
            (r#""loss": 1, "loss": 2"#, "loss", "written twice"),
            (r#""a": {"b": 1}, "a.b": 2"#, "a.b", "written twice"),
            (&format!("\"long\": 0.{}", "3".repeat(40)), "long", "longer than 40 characters"),
            (r#""huge": 1e99999999999"#, "huge", "a number beyond all bounds"),
        ] {
            let (members, notes) = read_text(&format!("{{{member}, \"auc\": 0.9}}")).unwrap();
            assert_eq!(pairs(&members.numbers), [("auc", "0.9")], "{member}");
            assert_eq!(pairs(&members.others), [(name, what)], "{member}");
            assert!(what.len() <= limits::DECIMAL);
            assert!(notes.len() == 1 && notes[0].contains(&format!("\"{name}\" is {what}")), "{notes:?}");
        }
        let (members, notes) = read_text(&format!("{{\"{}\": 1, \"auc\": 0.9}}", "x".repeat(64))).unwrap();
        assert_eq!((pairs(&members.numbers), members.others.len()), (vec![("auc", "0.9")], 0));
        assert!(notes.len() == 1 && notes[0].contains("a name that has not"), "{notes:?}");
    }

    #[test]
    fn what_is_no_object_is_refused_with_a_reason() {
        for text in ["", "[1]", "{\"auc\": 0.9", "NaN"] {
            let error = read_text(text).unwrap_err();
            assert_eq!(error.code, ExitCode::BadOutput);
            assert!(error.message.contains("no JSON object"), "{text}: {}", error.message);
        }
    }
}

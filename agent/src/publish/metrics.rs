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

/// The numbers of one file, exactly as it writes them, by name.
///
/// What is no number is left out and said in `notes`: by now the work is done, and a value that nobody can use must not
/// cost it.
///
/// # Errors
/// Anything but a JSON object.
pub(crate) fn read(
    folder: &OutputFolder,
    file: &str,
    notes: &mut Vec<String>,
) -> Result<BTreeMap<String, String>, AgentError> {
    let path = folder.path().join(file);
    let bad =
        |why: String| AgentError::new(ExitCode::BadOutput, format!("the Metrics output {}: {why}", path.display()));
    let text = folder.read_small(file, FILE).map_err(|error| {
        bad(format!("cannot be read: {error}; write one JSON object of numbers to the path in the OUTPUT_ variable"))
    })?;
    let text = quote_constants(&text);
    let Members(members) = serde_json::from_slice(&text)
        .map_err(|error| bad(format!("is no JSON object: {error}; write one, as in {{\"auc\": 0.81}}")))?;
    let mut metrics: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut left_out = 0_usize;
    for (name, value) in members {
        let why = match unusable(&name, value.get()) {
            _ if metrics.contains_key(&name) => Some("stands twice".to_owned()),
            why => why,
        };
        let value = why.is_none().then(|| value.get().to_owned());
        if let Some(why) = why {
            left_out += 1;
            if left_out <= NOTES {
                let short: String = name.chars().take(limits::METRIC_NAME).collect();
                notes.push(format!("{}: \"{short}\" {why}: it is no metric", path.display()));
            }
        }
        metrics.insert(name, value);
    }
    if left_out > NOTES {
        notes.push(format!("{}: {left_out} values in all are no metrics", path.display()));
    }
    Ok(metrics.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
}

/// Why a member is no metric.
fn unusable(name: &str, value: &str) -> Option<String> {
    if name.is_empty() || name.len() > limits::METRIC_NAME {
        return Some(format!("has a name that has not 1 to {} bytes", limits::METRIC_NAME));
    }
    Some(match value.as_bytes().first() {
        Some(b'[' | b'{') => "is nested".into(),
        Some(b'"') if CONSTANTS.iter().any(|constant| value.trim_matches('"') == *constant) => {
            format!("is {}, which is no number", value.trim_matches('"'))
        }
        Some(b'"') => "is a text".into(),
        Some(b'n') => "is null".into(),
        Some(b't' | b'f') => "is a truth value".into(),
        _ if value.len() > limits::DECIMAL => format!("is longer than {} characters", limits::DECIMAL),
        _ if Decimal::parse(value).is_none() => "is a number beyond all bounds".into(),
        _ => return None,
    })
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
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Members;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = vec![];
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
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
    fn read_folder(fill: impl FnOnce(&Path)) -> Result<(BTreeMap<String, String>, Vec<String>), AgentError> {
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

    fn read_text(text: &str) -> Result<(BTreeMap<String, String>, Vec<String>), AgentError> {
        read_folder(|folder| fs::write(folder.join("metrics.json"), text).unwrap())
    }

    /// A gate compares what the step wrote, not what a floating-point number makes of it.
    #[test]
    fn numbers_stay_as_they_are_written() {
        let (metrics, notes) =
            read_text(r#"{"auc": 0.8123, "rows": 9007199254740993, "tiny": 1e-30, "zero": -0.0}"#).unwrap();
        let pairs: Vec<_> = metrics.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("auc", "0.8123"), ("rows", "9007199254740993"), ("tiny", "1e-30"), ("zero", "-0.0")]);
        assert_eq!(notes, Vec::<String>::new());
    }

    /// What is no metric costs neither the work nor the metrics beside it, and does not vanish in silence.
    #[test]
    fn what_is_no_number_is_left_out_and_said() {
        for (member, expected) in [
            (r#""loss": NaN"#, "\"loss\" is NaN, which is no number"),
            (r#""loss": -Infinity"#, "\"loss\" is -Infinity, which is no number"),
            (r#""loss": null"#, "\"loss\" is null"),
            (r#""note": "a \"NaN\" inside""#, "\"note\" is a text"),
            (r#""ok": true"#, "\"ok\" is a truth value"),
            (r#""by": {"auc": 1}"#, "\"by\" is nested"),
            (r#""loss": 1, "loss": 2"#, "\"loss\" stands twice"),
            (&format!("\"{}\": 1", "x".repeat(64)), "has a name"),
            (&format!("\"long\": 0.{}", "3".repeat(40)), "is longer than 40"),
        ] {
            let (metrics, notes) = read_text(&format!("{{{member}, \"auc\": 0.9}}")).unwrap();
            assert_eq!(metrics.into_iter().collect::<Vec<_>>(), [("auc".to_owned(), "0.9".to_owned())], "{member}");
            assert!(notes.len() == 1 && notes[0].contains(expected), "{notes:?}");
        }
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

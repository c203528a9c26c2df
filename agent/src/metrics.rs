//! Headline metrics: the numbers of `Metrics` outputs.

use std::collections::BTreeMap;

use seatrial_core::contract::ExitCode;
use seatrial_crds::limits;
use serde_json::{Map, Value};

use crate::error::AgentError;
use crate::folder::OutputFolder;

/// The largest file that is read, in bytes.
const FILE: u64 = 1 << 20;
/// The longest value, in bytes, that a version can carry.
const VALUE: usize = 40;

/// Adds the numbers of one file to those of others. Texts and truth values are no metrics, and are left out.
///
/// # Errors
/// Anything but a flat JSON object; numbers too long to be written as decimals.
pub(crate) fn add(folder: &OutputFolder, file: &str, metrics: &mut BTreeMap<String, String>) -> Result<(), AgentError> {
    let bad = |why: String| {
        let path = folder.path().join(file);
        AgentError::new(ExitCode::BadOutput, format!("the Metrics output {}: {why}", path.display()))
    };
    let text = folder.read_small(file, FILE).map_err(|error| {
        bad(format!("cannot be read: {error}; write one JSON object of numbers to the path in the OUTPUT_ variable"))
    })?;
    let object: Map<String, Value> = serde_json::from_slice(&text)
        .map_err(|error| bad(format!("is no JSON object: {error}; write one, as in {{\"auc\": 0.81}}")))?;
    for (name, value) in object {
        let value = match value {
            Value::Number(number) => number.as_f64().and_then(decimal),
            Value::Array(_) | Value::Object(_) => {
                return Err(bad(format!("\"{name}\" is nested: write one flat object of numbers")));
            }
            Value::Null | Value::Bool(_) | Value::String(_) => continue,
        };
        let value = value.ok_or_else(|| bad(format!("\"{name}\" cannot be written as a decimal of {VALUE} digits")))?;
        if name.is_empty() || name.len() > limits::METRIC_NAME {
            return Err(bad(format!("\"{name}\": a metric's name has 1 to {} bytes", limits::METRIC_NAME)));
        }
        if metrics.insert(name.clone(), value).is_some() {
            return Err(bad(format!("\"{name}\" stands in two Metrics outputs of the step: rename one")));
        }
    }
    Ok(())
}

/// A number without an exponent, as gates read it.
fn decimal(number: f64) -> Option<String> {
    let exact = format!("{number}");
    let text = if exact.len() <= VALUE { exact } else { format!("{number:.18}") };
    (number.is_finite() && text.len() <= VALUE).then_some(text)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;
    use tempfile::TempDir;

    use super::*;
    use crate::beneath::Beneath;

    /// What a folder comes to that was filled like this.
    fn read_folder(fill: impl FnOnce(&Path)) -> Result<BTreeMap<String, String>, AgentError> {
        let root = TempDir::new().unwrap();
        fs::create_dir(root.path().join("x")).unwrap();
        fill(&root.path().join("x"));
        let folder = OutputFolder::open(&Beneath::volume(root.path()).unwrap(), Path::new("x")).unwrap();
        let mut metrics = BTreeMap::new();
        add(&folder, "metrics.json", &mut metrics).map(|()| metrics)
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

    fn read(text: &str) -> Result<BTreeMap<String, String>, AgentError> {
        read_folder(|folder| fs::write(folder.join("metrics.json"), text).unwrap())
    }

    #[test]
    fn numbers_become_decimals() {
        let metrics =
            read(r#"{"auc": 0.8123, "n": 2381, "tiny": 1e-7, "note": "x", "ok": true, "zero": -0.0}"#).unwrap();
        let pairs: Vec<_> = metrics.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("auc", "0.8123"), ("n", "2381"), ("tiny", "0.0000001"), ("zero", "-0")]);
    }

    #[test]
    fn what_is_no_flat_object_of_a_few_numbers_is_refused_with_a_reason() {
        for (text, expected) in [
            ("", "no JSON object"),
            ("[1]", "no JSON object"),
            ("{\"auc\": NaN}", "no JSON object"),
            ("{\"by\": {\"auc\": 1}}", "nested"),
            ("{\"huge\": 1e300}", "cannot be written"),
            (&format!("{{\"{}\": 1}}", "x".repeat(64)), "1 to 63 bytes"),
        ] {
            let error = read(text).unwrap_err();
            assert_eq!(error.code, ExitCode::BadOutput);
            assert!(error.message.contains(expected), "{text}: {}", error.message);
        }
    }
}

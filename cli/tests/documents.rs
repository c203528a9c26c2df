//! Documents must not rot: the objects in them pass `kubectl seatrial lint`, their links lead somewhere, and every reason
//! that a status can give is explained.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use seatrial_core::contract::{Cause, ExitCode};
use serde_json::Value;

/// Words in core's code that look like reasons and are none: Kubernetes' own, types of conditions, kinds, units.
const NO_REASONS: &[&str] = &[
    "Available",
    "Check",
    "Complete",
    "ConfigMap",
    "ControllerRevision",
    "Compare",
    "Correct",
    "CreateContainerConfigError",
    "CreateContainerError",
    "DataContract",
    "Delete",
    "Deny",
    "Deployment",
    "DisruptionTarget",
    "Equivalent",
    "ErrImageNeverPull",
    "ErrImagePull",
    "FailJob",
    "Failed",
    "FallbackToLogsOnError",
    "False",
    "Ignore",
    "ImageInspectError",
    "ImagePullBackOff",
    "InvalidImageName",
    "Judge",
    "MLPipelineRun",
    "Memory",
    "ModelVersion",
    "Never",
    "OOMKilled",
    "Passed",
    "Pending",
    "PodScheduled",
    "ProbeWarning",
    "Ready",
    "Reconciling",
    "Refused",
    "RegistryUnavailable",
    "ReplicaFailure",
    "RollingUpdate",
    "RunContainerError",
    "RuntimeDefault",
    "SecondWriter",
    "Serve",
    "Service",
    "ServingMeetsGates",
    "SignatureValidationFailed",
    "Stalled",
    "String",
    "Trigger",
    "True",
    "Unknown",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
];

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// All files beneath a folder with this ending.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = vec![];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The Markdown files that people read.
fn documents() -> Vec<PathBuf> {
    let root = checkout();
    let mut found: Vec<PathBuf> = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "charts/seatrial/README.md"]
        .map(|name| root.join(name))
        .into();
    found.extend(files(&root.join("docs"), ".md"));
    found.extend(files(&root.join("examples"), "README.md"));
    found
}

/// Where something stands, as people write it.
fn place(path: &Path, line: usize) -> String {
    format!("{}:{line}", path.strip_prefix(checkout()).unwrap().display())
}

/// The blocks of a language in a document, each with the number of its first line.
fn blocks(text: &str, language: &str) -> Vec<(usize, String)> {
    let (mut found, mut open): (Vec<(usize, String)>, Option<bool>) = (vec![], None);
    for (index, line) in text.lines().enumerate() {
        match (line.strip_prefix("```"), open) {
            (Some(_), Some(_)) => open = None,
            (Some(said), None) => {
                open = Some(said.trim() == language);
                if said.trim() == language {
                    found.push((index + 2, String::new()));
                }
            }
            (None, Some(true)) => {
                let block = &mut found.last_mut().unwrap().1;
                block.push_str(line);
                block.push('\n');
            }
            (None, _) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    found
}

#[test]
fn the_objects_in_documents_pass_the_lint() {
    let folder = tempfile::tempdir().unwrap();
    let mut expected = 0;
    let mut keep = |place: &str, text: &str| {
        expected += text.lines().filter(|line| line.starts_with("apiVersion: seatrial.dev/")).count();
        fs::write(folder.path().join(format!("{}.yaml", place.replace('/', "_"))), text).unwrap();
    };
    for path in documents() {
        let text = fs::read_to_string(&path).unwrap();
        for (line, block) in blocks(&text, "yaml") {
            let ours = [
                "MLPipeline",
                "MLPipelineRun",
                "Model",
                "ModelVersion",
                "ModelDeployment",
                "Store",
                "Approval",
                "DataContract",
            ];
            for kind in ours {
                let kinds = block.lines().filter(|line| line.trim() == format!("kind: {kind}")).count();
                let whole = block.contains("apiVersion: seatrial.dev/v1alpha1");
                assert!(kinds == 0 || whole, "{}: a {kind} without apiVersion", place(&path, line));
            }
            keep(&place(&path, line), &block);
        }
    }
    let chart = fs::read_to_string(checkout().join("charts/seatrial/Chart.yaml")).unwrap();
    let chart: Value = serde_yaml::from_str(&chart).unwrap();
    let examples: Vec<Value> =
        serde_yaml::from_str(chart["annotations"]["artifacthub.io/crdsExamples"].as_str().unwrap()).unwrap();
    for (index, example) in examples.iter().enumerate() {
        keep(&format!("Chart.yaml:{index}"), &serde_yaml::to_string(example).unwrap());
    }
    assert!(expected >= 8, "only {expected} objects were found in the documents");
    let lint = Command::new(env!("CARGO_BIN_EXE_kubectl-seatrial")).arg("lint").arg(folder.path()).output().unwrap();
    let said = String::from_utf8(lint.stdout).unwrap();
    assert!(lint.status.success(), "{said}{}", String::from_utf8_lossy(&lint.stderr));
    assert!(said.contains(&format!("{expected} objects checked, 0 problems")), "{expected} expected: {said}");
}

/// The name that a heading has in a link.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect()
}

/// The targets of a document's links, each with its line.
fn links(text: &str) -> Vec<(usize, String)> {
    let (mut found, mut inside) = (vec![], false);
    for (index, line) in text.lines().enumerate() {
        if line.starts_with("```") {
            inside = !inside;
        }
        let mut rest = if inside { "" } else { line };
        while let Some((_, after)) = rest.split_once("](") {
            let (target, after) = after.split_once(')').unwrap();
            found.push((index + 1, target.to_owned()));
            rest = after;
        }
    }
    found
}

#[test]
fn links_lead_somewhere() {
    let mut checked = 0;
    for path in documents() {
        let text = fs::read_to_string(&path).unwrap();
        for (line, target) in links(&text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((&target, ""));
            let there = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            assert!(there.exists(), "{}: there is no {file}", place(&path, line));
            if !heading.is_empty() {
                let there = fs::read_to_string(&there).unwrap();
                let known = there.lines().filter(|line| line.starts_with('#')).any(|line| anchor(line) == heading);
                assert!(known, "{}: {file} has no heading #{heading}", place(&path, line));
            }
            checked += 1;
        }
    }
    assert!(checked >= 20, "only {checked} links were found");
}

/// True for `WordsLikeThis`.
fn is_reason_like(text: &str) -> bool {
    text.len() > 3
        && text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.chars().all(|c| c.is_ascii_alphabetic())
        && text.contains(|c: char| c.is_ascii_lowercase())
}

/// The string literals of a line of code that look like reasons.
fn literals(line: &str) -> impl Iterator<Item = &str> {
    line.split('"').skip(1).step_by(2).filter(|text| is_reason_like(text))
}

/// Every word that core's code may put into a status as a reason, and those that `NO_REASONS` excuses.
fn words_of_core() -> (BTreeSet<String>, BTreeSet<String>) {
    let sources: Vec<(PathBuf, String)> = files(&checkout().join("core/src"), ".rs")
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path, text)
        })
        .collect();
    // `#[cfg(test)] mod tests;` makes a test of the file tests.rs, in whatever folder.
    let of_tests: BTreeSet<String> = sources
        .iter()
        .flat_map(|(_, text)| text.split("#[cfg(test)]\nmod ").skip(1))
        .filter_map(|after| Some(format!("{}.rs", after.split_once(';')?.0)))
        .filter(|name| name.len() < 40)
        .collect();
    let (mut reasons, mut excused) = (BTreeSet::new(), BTreeSet::new());
    for (path, text) in &sources {
        let in_tests = path.components().any(|part| part.as_os_str() == "tests");
        if in_tests || of_tests.contains(path.file_name().unwrap().to_string_lossy().as_ref()) {
            continue;
        }
        let code = text.split("#[cfg(test)]").next().unwrap();
        let lines = code.lines().map(str::trim).filter(|line| !line.starts_with("//"));
        for word in lines.flat_map(literals) {
            if NO_REASONS.contains(&word) {
                excused.insert(word.to_owned())
            } else {
                reasons.insert(word.to_owned())
            };
        }
    }
    // `fetch` and `publish` give theirs by exit code; those of `exec` are above what a shell uses.
    let named = ExitCode::ALL.iter().filter(|code| code.cause() != Cause::None && code.number() < 128);
    reasons.extend(named.map(|code| code.name().to_owned()));
    (reasons, excused)
}

#[test]
fn every_reason_is_explained_and_every_explained_reason_exists() {
    let (reasons, excused) = words_of_core();
    for known in ["StepFailed", "StoreNotReady", "InputTooLarge", "GateFailed", "WriteRefused", "NoPassedVersion"] {
        assert!(reasons.contains(known), "{known} was not found in core: the search has gone blind");
    }
    assert!(reasons.len() >= 60, "only {} reasons were found in core", reasons.len());
    for word in NO_REASONS {
        assert!(excused.contains(*word), "core no longer says {word}: take it off the list");
    }
    let page = fs::read_to_string(checkout().join("docs/reasons.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let explained: BTreeSet<String> = rows.map(|(reason, _)| reason.to_owned()).collect();
    let missing: Vec<_> = reasons.difference(&explained).collect();
    assert!(missing.is_empty(), "docs/reasons.md lacks {missing:?}");
    let gone: Vec<_> = explained.difference(&reasons).collect();
    assert!(gone.is_empty(), "docs/reasons.md explains what core does not say: {gone:?}");
}

/// Helm's `--reuse-values` keeps the defaults of a newer chart away; `--reset-then-reuse-values` does not.
#[test]
fn no_document_asks_for_values_that_keep_a_newer_charts_defaults_away() {
    let (mut read, forbidden) = (0, "--reuse-values");
    for folder in ["docs", "charts", "examples"] {
        for path in files(&checkout().join(folder), ".md") {
            read += 1;
            let text = fs::read_to_string(&path).unwrap();
            assert!(!text.contains(forbidden), "{} has {forbidden}: write --reset-then-reuse-values", path.display());
        }
    }
    assert!(read >= 10, "only {read} documents were read");
}

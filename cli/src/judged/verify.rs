//! Whether a version is what it says it is: its files, where it came from, and what it was judged to be.

use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::ResourceExt;
use seatrial_core::gates;
use seatrial_crds::{GateJudgement, GateType, Judgement, Model, ModelSpec, ModelVersion, Verdict};
use serde_json::{Value, json};

use super::lineage::RunOf;
use super::text::{plain, size};

/// Whether one claim of a version holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It holds.
    Holds,
    /// It does not hold.
    Broken,
    /// It cannot be checked any more.
    Unknown,
}

/// What was found of one thing.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Finding {
    pub(super) standing: Standing,
    pub(super) text: String,
}

/// Files that were read.
#[derive(Clone, Debug)]
pub(super) struct Files {
    /// What they are of the version.
    pub(super) what: String,
    /// The digest that the version says.
    pub(super) digest: String,
    /// How many files and bytes were read and verified; or why they were not.
    pub(super) read: Result<(usize, u64), Unread>,
}

/// Why files were not read as they should be.
#[derive(Clone, Debug)]
pub(super) enum Unread {
    /// Whoever asks may not, or the API server did not answer: nothing is known of the files.
    Unasked(String),
    /// They are not there, or not what their digest says.
    Broken(String),
}

/// All that a version is verified by.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) version: ModelVersion,
    pub(super) files: Vec<Files>,
    pub(super) run: RunOf,
    /// The Model, as far as there is one.
    pub(super) model: Option<Model>,
    /// The state of the Model that the newest judgement names, as far as it is kept; or why it cannot be read.
    pub(super) gates: Result<Option<ControllerRevision>, String>,
}

impl Finding {
    fn holds(text: String) -> Self {
        Self { standing: Standing::Holds, text }
    }

    fn broken(text: String) -> Self {
        Self { standing: Standing::Broken, text }
    }

    fn unknown(text: String) -> Self {
        Self { standing: Standing::Unknown, text }
    }
}

/// A line for each finding, and what stands of all together: something is broken, or files could not be read, or neither. That
/// a version was never judged, or that its run is gone, leaves it what it is.
pub(super) fn report(facts: &Facts) -> (String, Standing) {
    let findings = findings(facts);
    let is_unread = facts.files.iter().any(|files| matches!(files.read, Err(Unread::Unasked(_))));
    let mark = |standing| match standing {
        Standing::Holds => "ok     ",
        Standing::Broken => "BROKEN ",
        Standing::Unknown => "unknown",
    };
    let lines = findings.iter().map(|finding| format!("{}  {}\n", mark(finding.standing), plain(&finding.text)));
    let standing = match is_unread {
        _ if findings.iter().any(|finding| finding.standing == Standing::Broken) => Standing::Broken,
        true => Standing::Unknown,
        false => Standing::Holds,
    };
    (lines.collect(), standing)
}

fn findings(facts: &Facts) -> Vec<Finding> {
    let mut found: Vec<Finding> = facts.files.iter().map(files).collect();
    found.push(origin(&facts.version, &facts.run));
    found.push(judgement(facts));
    found
}

fn files(files: &Files) -> Finding {
    let Files { what, digest, read } = files;
    match read {
        Ok((count, bytes)) => Finding::holds(format!(
            "{what}: {}, {}, read and hashed: {digest}",
            if *count == 1 { "1 file".to_owned() } else { format!("{count} files") },
            size(i64::try_from(*bytes).unwrap_or(i64::MAX))
        )),
        Err(Unread::Unasked(why)) => Finding::unknown(format!("{what}: {digest} could not be asked for: {why}")),
        Err(Unread::Broken(why)) => Finding::broken(format!("{what}: {digest} cannot be read as it was made: {why}")),
    }
}

/// Whether the run that the version names made these files.
fn origin(version: &ModelVersion, run: &RunOf) -> Finding {
    let name = version.spec.run().unwrap_or_default();
    let run = match run {
        RunOf::Found(run) => run,
        RunOf::Unnamed => {
            return Finding::unknown("origin: the version names no run: it was made elsewhere".to_owned());
        }
        RunOf::Gone => {
            return Finding::unknown(format!("origin: the run {name} is gone; its record stays with the version"));
        }
        RunOf::Another => {
            return Finding::unknown(format!(
                "origin: the run {name} is gone, and there is another of this name; its record stays with the version"
            ));
        }
    };
    let steps = run.status.as_ref().map(|status| status.steps.as_slice()).unwrap_or_default();
    let made = |digest: &str| steps.iter().flat_map(|step| &step.outputs).any(|output| output.digest == digest);
    let artifacts = [&version.spec.artifact].into_iter().chain(version.spec.evidence.iter().map(|it| &it.artifact));
    let strange: Vec<&str> = artifacts.map(|it| it.digest.as_str()).filter(|digest| !made(digest)).collect();
    if strange.is_empty() {
        return Finding::holds(format!("origin: the run {name} made the files and all the evidence"));
    }
    Finding::broken(format!("origin: the run {name} did not make {}", strange.join(", ")))
}

/// Whether the newest judgement follows from what was measured.
fn judgement(facts: &Facts) -> Finding {
    let status = facts.version.status.as_ref();
    let Some(judgement) = status.and_then(|status| status.judgements.first()) else {
        return Finding::unknown("judgement: the version was not judged".to_owned());
    };
    let verdict = format!("{:?}", judgement.verdict);
    let bar = match bar(facts, judgement) {
        Ok(bar) => bar,
        Err(finding) => return finding,
    };
    let evidence = match status.and_then(|status| status.measurement.as_ref()) {
        Some(measurement) if judgement.labels.is_some() => gates::Evidence::Measured(measurement),
        _ => gates::Evidence::Unavailable("nothing was measured".to_owned()),
    };
    let duel = gates::DuelState::of(status.and_then(|status| status.duel.as_ref()));
    let again = gates::judge(&bar, &facts.version.spec, &evidence, &duel);
    let differs = again
        .iter()
        .find(|gate| is_measured(gate, &duel) && !judgement.gates.iter().any(|old| says_the_same(old, gate)));
    match differs {
        None => Finding::holds(format!(
            "judgement: {verdict}, by the gates {}; judged again from the measurement, each gate says the same",
            judgement.gates_revision.as_deref().unwrap_or(&judgement.gates_digest)
        )),
        Some(gate) => Finding::broken(format!(
            "judgement: {verdict}, but the gate {} judged again from the measurement says {:?}: {}",
            gate.name, gate.verdict, gate.message
        )),
    }
}

/// What the judgement was made by: the Model as it is now, or the state of it that is kept.
fn bar(facts: &Facts, judgement: &Judgement) -> Result<ModelSpec, Finding> {
    let Some(model) = &facts.model else {
        return Err(Finding::unknown("judgement: its Model is gone".to_owned()));
    };
    if gates::digest(&model.spec) == judgement.gates_digest {
        return Ok(model.spec.clone());
    }
    let name = judgement.gates_revision.as_deref().unwrap_or(&judgement.gates_digest);
    let kept = match &facts.gates {
        Ok(Some(kept)) => kept,
        Ok(None) => {
            return Err(Finding::unknown(format!(
                "judgement: the Model changed since, and the gates {name} that it was made by are not kept any more"
            )));
        }
        Err(why) => return Err(Finding::unknown(format!("judgement: the gates {name} cannot be read: {why}"))),
    };
    let spec = kept.data.as_ref().and_then(|data| state(&model.spec, data.0.get("judging")?));
    spec.filter(|spec| gates::digest(spec) == judgement.gates_digest).ok_or_else(|| {
        Finding::broken(format!(
            "judgement: the ControllerRevision {} does not hold the gates {} that the judgement names",
            kept.name_any(),
            judgement.gates_digest
        ))
    })
}

/// A Model in an earlier state of what it judges by.
fn state(now: &ModelSpec, judging: &Value) -> Option<ModelSpec> {
    let Value::Object(mut spec) = serde_json::to_value(now).ok()? else { return None };
    for field in ["task", "evaluation", "errorCosts", "fairness", "gates"] {
        spec.insert(field.to_owned(), judging.get(field)?.clone());
    }
    // What is judged is that it is answered, and not how.
    let consumers = if judging.get("consumers")?.as_bool()? { json!([]) } else { Value::Null };
    spec.insert("consumers".to_owned(), consumers);
    let limit = judging.get("maxSize")?;
    spec.insert("budget".to_owned(), if limit.is_null() { Value::Null } else { json!({"maxSize": limit}) });
    spec.retain(|_, value| !value.is_null());
    serde_json::from_value(Value::Object(spec)).ok()
}

/// Whether a verdict follows from what was counted alone, and not from what people say, from what a run executed, or from why
/// there was no duel.
fn is_measured(gate: &GateJudgement, duel: &gates::DuelState<'_>) -> bool {
    match gate.kind {
        Some(GateType::Approval) => false,
        Some(GateType::Champion) => matches!(duel, gates::DuelState::Over(_)),
        Some(GateType::Metric | GateType::Cost) | None => true,
    }
}

/// Whether a verdict is the same, or was waived.
fn says_the_same(old: &GateJudgement, again: &GateJudgement) -> bool {
    old.name == again.name
        && (old.verdict == again.verdict && old.value == again.value || old.verdict == Verdict::Waived)
}

#[cfg(test)]
mod tests {
    use super::super::fixtures;
    use super::*;

    /// A version whose run made its files, and all of it as it was.
    fn facts() -> Facts {
        let full = fixtures::full();
        let version = full.versions[0].clone();
        let output = |name: &str, digest: &str| json!({"name": name, "type": "Model", "digest": digest, "size": 1});
        let outputs: Vec<Value> = [&version.spec.artifact]
            .into_iter()
            .chain(version.spec.evidence.iter().map(|it| &it.artifact))
            .map(|artifact| output("x", &artifact.digest))
            .collect();
        let mut run = fixtures::run();
        run.status.as_mut().unwrap().steps =
            serde_json::from_value(json!([{"name": "train", "state": "Succeeded", "outputs": outputs}])).unwrap();
        let digest = version.spec.artifact.digest.clone();
        Facts {
            files: vec![Files { what: "files".into(), digest, read: Ok((3, 2048)) }],
            run: RunOf::Found(Box::new(run)),
            model: Some(full.model),
            gates: Ok(None),
            version,
        }
    }

    fn kept(model: &ModelSpec) -> ControllerRevision {
        serde_json::from_value(json!({
            "metadata": {"name": "churn-gates-1"}, "revision": 1,
            "data": {"projection": 1, "judging": gates::judging(model)},
        }))
        .unwrap()
    }

    #[test]
    fn what_is_as_it_was_holds() {
        let (text, standing) = report(&facts());
        assert_eq!(standing, Standing::Holds, "{text}");
        assert_eq!(text.lines().filter(|line| line.starts_with("ok")).count(), 3, "{text}");
        assert!(text.contains("3 files, 2 KiB, read and hashed"), "{text}");
    }

    #[test]
    fn a_model_that_changed_since_is_read_from_the_state_that_is_kept() {
        let mut facts = facts();
        let model = facts.model.as_mut().unwrap();
        let before = model.spec.clone();
        model.spec.gates.clear();
        model.spec.fairness = None;
        model.spec.budget = None;
        model.spec.error_costs = None;
        assert!(report(&facts).0.contains("unknown  judgement: the Model changed since"));
        facts.gates = Ok(Some(kept(&before)));
        let (text, standing) = report(&facts);
        assert!(
            standing == Standing::Holds && text.contains("judged again from the measurement, each gate says the same"),
            "{text}"
        );
        // A state that is not the one that the judgement names.
        let mut forged = before;
        forged.gates.clear();
        facts.gates = Ok(Some(kept(&forged)));
        assert!(report(&facts).0.contains("BROKEN   judgement: the ControllerRevision churn-gates-1 does not hold"));
        facts.gates = Err("forbidden".into());
        assert!(report(&facts).0.contains("cannot be read: forbidden"));
        facts.model = None;
        assert!(report(&facts).0.contains("its Model is gone"));
    }

    #[test]
    fn what_may_not_be_asked_is_unknown() {
        let mut facts = facts();
        facts.files[0].read = Err(Unread::Unasked("jobs is forbidden".into()));
        let (text, standing) = report(&facts);
        assert_eq!(standing, Standing::Unknown, "who asks by the exit code is not told that all is well");
        assert!(text.contains("unknown  files: sha256:") && text.contains("jobs is forbidden"), "{text}");
    }

    #[test]
    fn what_is_not_what_it_says_is_broken() {
        let broken = |change: fn(&mut Facts), said: &str| {
            let mut facts = facts();
            change(&mut facts);
            let (text, standing) = report(&facts);
            assert!(standing == Standing::Broken && text.contains(said), "{said}: {text}");
        };
        broken(
            |facts| facts.files[0].read = Err(Unread::Broken("a/b is not what its digest says".into())),
            "BROKEN   files: sha256:",
        );
        broken(
            |facts| {
                let RunOf::Found(run) = &mut facts.run else { panic!() };
                run.status.as_mut().unwrap().steps[0].outputs.remove(0);
            },
            "did not make sha256:",
        );
        broken(
            |facts| {
                let status = facts.version.status.as_mut().unwrap();
                let failed = status.judgements[0].gates.iter_mut().find(|gate| gate.value.is_some()).unwrap();
                failed.verdict = Verdict::Passed;
                failed.value = Some("0.999".into());
            },
            "judged again from the measurement says",
        );
    }

    #[test]
    fn what_nobody_can_tell_is_not_broken() {
        let mut facts = facts();
        facts.run = RunOf::Gone;
        facts.version.status = None;
        let (text, standing) = report(&facts);
        assert!(
            standing == Standing::Holds
                && text.contains("is gone; its record stays")
                && text.contains("was not judged"),
            "{text}"
        );
    }
}

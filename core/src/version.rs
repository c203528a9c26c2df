//! Decides for a version: what it is judged to be.

use jiff::Timestamp;
use kube_core::ResourceExt;
use seatrial_crds::{
    Evidence, Judgement, MLPipelineRunStatus, Metric, Model, ModelVersion, ModelVersionStatus, StepStatus, Time,
    Verdict, limits,
};

use crate::conditions::{self, Status, types};
use crate::gates;
use crate::observed::VersionObserved;
use crate::plan::Plan;

/// The reason of a version that nobody here vouches for.
const UNKNOWN_ORIGIN: &str = "UnknownOrigin";

/// Decides. A version is judged once for each state of its Model's gates; whatever it was judged to be before stays
/// on record.
pub fn plan(observed: &VersionObserved, now: Timestamp) -> Plan<ModelVersionStatus> {
    let version = &observed.version;
    if version.metadata.deletion_timestamp.is_some() {
        return Plan::default();
    }
    let now = conditions::whole_seconds(now);
    let mut status = version.status.clone().unwrap_or_default();
    let (verdict, reason, message) = match judge_of(observed) {
        Ok(model) => {
            let digest = gates::digest(&model.spec);
            if status.judgements.first().is_none_or(|newest| newest.gates_digest != digest) {
                let gates = gates::judge(&model.spec, &version.spec);
                let verdict = gates::overall(&gates);
                let judged_at = Time(now);
                status.judgements.insert(0, Judgement { judged_at, gates_digest: digest, verdict, gates });
                status.judgements.truncate(limits::JUDGEMENTS);
            }
            let newest = status.judgements.first();
            let verdict = newest.map_or(Verdict::Unjudged, |newest| newest.verdict);
            (verdict, "Judged", newest.map_or_else(String::new, sentence))
        }
        Err((reason, message)) => (Verdict::Unjudged, reason, message),
    };
    status.verdict = Some(verdict);
    status.headline = gates::headline(observed.model.as_ref().map(|model| &model.spec), &version.spec);
    let generation = version.metadata.generation;
    status.observed_generation = generation;
    let mut set = |kind, value, reason: &str, message: &str| {
        conditions::set(&mut status.conditions, kind, value, reason, message, generation, now);
    };
    set(types::READY, Status::True, reason, &message);
    match verdict {
        Verdict::Passed => set(types::PASSED, Status::True, "AllGatesPassed", &message),
        Verdict::Failed => set(types::PASSED, Status::False, "GateFailed", &message),
        Verdict::Error => set(types::PASSED, Status::False, "EvidenceUnusable", &message),
        Verdict::Inconclusive => set(types::PASSED, Status::Unknown, "Inconclusive", &message),
        Verdict::Unjudged => set(types::PASSED, Status::Unknown, reason, &message),
    }
    let changed = Some(&status) != version.status.as_ref();
    Plan { status: changed.then_some(status), ..Plan::default() }
}

/// The Model that judges; or why there is none.
fn judge_of(observed: &VersionObserved) -> Result<&Model, (&'static str, String)> {
    let version = &observed.version.spec;
    if !is_known(observed) {
        let message = format!(
            "no run of this cluster made this version (its lineage names {}), so its metrics are hearsay: train it here to have it judged",
            version.run().map_or_else(|| "none".to_owned(), |run| format!("the run \"{run}\""))
        );
        return Err((UNKNOWN_ORIGIN, message));
    }
    let model = observed.model.as_ref().ok_or_else(|| {
        let message =
            format!("there is no Model \"{}\" in this namespace: create it to have versions judged", version.model);
        ("ModelNotFound", message)
    })?;
    if !gates::judges(&model.spec) {
        let message =
            format!("the Model \"{}\" has neither gates nor a budget: add some to have versions judged", version.model);
        return Err(("NoGates", message));
    }
    Ok(model)
}

/// True where a run of this cluster vouches for the version, or did so before it was cleaned up: the version then has
/// a status of ours, which people cannot write.
fn is_known(observed: &VersionObserved) -> bool {
    let version = &observed.version;
    let vouched = observed.run.as_ref().is_some_and(|run| {
        run.metadata.uid.is_some()
            && run.metadata.uid.as_deref() == version.spec.run_uid()
            && run.status.as_ref().is_some_and(|status| vouches(status, version))
    });
    let before = version.status.as_ref().and_then(|status| conditions::find(&status.conditions, types::READY));
    vouched || before.is_some_and(|ready| ready.reason != UNKNOWN_ORIGIN)
}

/// Whether a run's status says of a version what the version says of itself: its name, its files, its evidence, and
/// what the evidence's steps measured.
fn vouches(status: &MLPipelineRunStatus, version: &ModelVersion) -> bool {
    let spec = &version.spec;
    let made = |step: &&StepStatus, digest: &str| step.outputs.iter().any(|output| output.digest == digest);
    let judges = |evidence: &Evidence| {
        let mut steps = status.steps.iter().filter(|step| step.name == evidence.step);
        steps.find(|step| made(step, &evidence.artifact.digest))
    };
    let judges: Vec<(&StepStatus, &str)> =
        spec.evidence.iter().filter_map(|evidence| Some((judges(evidence)?, evidence.output.as_str()))).collect();
    let measured = |metric: &Metric| {
        let judge = judges.iter().find(|(step, output)| step.name == metric.step && *output == metric.output);
        judge.is_some_and(|(step, output)| {
            step.metrics.iter().any(|measured| {
                measured.output == *output && measured.name == metric.name && measured.value == metric.value
            })
        })
    };
    status.versions.iter().any(|published| published.name == version.name_any())
        && status.steps.iter().any(|step| made(&step, &spec.artifact.digest))
        && judges.len() == spec.evidence.len()
        && spec.metrics.iter().all(measured)
}

/// What a judgement says, in a sentence for the product owner.
fn sentence(judgement: &Judgement) -> String {
    let decisive: Vec<&str> = judgement
        .gates
        .iter()
        .filter(|gate| judgement.verdict == Verdict::Passed || gate.verdict != Verdict::Passed)
        .map(|gate| gate.message.as_str())
        .collect();
    decisive.join("; ")
}

#[cfg(test)]
mod tests;

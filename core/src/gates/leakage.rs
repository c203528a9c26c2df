//! Whether a version is judged by what its model was trained on, as far as the steps of its run say where data goes: what a step
//! that makes evidence reads, beside the model, must not lie on a path to the model.

use std::collections::BTreeSet;

use seatrial_crds::{
    GateJudgement, Input, MLPipelineSpec, ModelSpec, ModelVersionSpec, OutputReference, Step, Verdict,
};

use super::{Finding, applies, judgement, rules};

/// The name under which it is judged, and waived.
pub const LEAKAGE: &str = "leakage";
/// What stands in a waived judgement before what was found.
const FOUND: &str = "what was found: ";

/// What flows into a model: outputs of steps, and data by URI with the step that reads it.
#[derive(Default)]
struct Sources<'a> {
    steps: BTreeSet<&'a str>,
    outputs: BTreeSet<(&'a str, &'a str)>,
    uris: BTreeSet<(&'a str, &'a str)>,
}

/// Judges it by the spec that the run executed, or says why that is not known: then what was found `before` holds. `None`
/// where the Model asks for nothing that evidence says, or there is no evidence.
pub fn judge(
    model: &ModelSpec,
    version: &ModelVersionSpec,
    spec: Result<&MLPipelineSpec, String>,
    before: Option<&GateJudgement>,
) -> Option<GateJudgement> {
    let asks = !model.gates.is_empty() || applies(model) || !rules(model).is_empty();
    if !asks || version.evidence.is_empty() {
        return None;
    }
    let labels = model.evaluation.as_ref().map(|evaluation| evaluation.uri.as_str());
    let finding = match spec {
        Ok(spec) => check(spec, &version.model, labels),
        Err(why) => match before.filter(|before| before.verdict != Verdict::Passed) {
            Some(before) => {
                let found = before.message.split_once(FOUND).map_or(before.message.as_str(), |(_, found)| found);
                Finding::without_value(Verdict::Error, found.to_owned())
            }
            None => unchecked(&why),
        },
    };
    Some(judgement(LEAKAGE, None, finding))
}

fn unchecked(why: &str) -> Finding {
    Finding::without_value(
        Verdict::Passed,
        format!("not checked whether the model is judged by what it was trained on: {why}"),
    )
}

fn check(spec: &MLPipelineSpec, model: &str, labels: Option<&str>) -> Finding {
    let Some(publication) = spec.publishes.iter().find(|publication| publication.model == model) else {
        return unchecked("the run's revision does not publish it");
    };
    let artifact = &publication.artifact;
    let sources = sources(spec, artifact);
    if let Some(labels) = labels
        && let Some((step, uri)) = sources.uris.iter().find(|(_, uri)| overlap(uri, labels))
    {
        return leak(format!(
            "the model was trained on the owner's labels: the step \"{step}\", from which it comes, reads {uri}, and spec.evaluation names {labels}"
        ));
    }
    let makers: BTreeSet<&str> = publication.evidence.iter().map(|evidence| evidence.step.as_str()).collect();
    let (mut checked, mut open) = (vec![], vec![]);
    for maker in makers {
        if maker == artifact.step {
            open.push(format!(
                "\"{maker}\" makes the model and the evidence, and of its inputs none is known to be apart"
            ));
            continue;
        }
        let Some(step) = step(spec, maker) else { continue };
        if let Some(input) = step.inputs.iter().find(|input| is_leak(input, artifact, &sources)) {
            let what = match (&input.from, &input.uri) {
                (Some(from), _) => format!("{}.{}", from.step, from.output),
                (None, uri) => uri.clone().unwrap_or_default(),
            };
            return leak(format!(
                "the model is judged by what it was trained on: the input \"{}\" of the step \"{maker}\" is {what}, from which {}.{} comes; evaluate on data that it does not come from, and let what prepares them be a part of the model's files",
                input.name, artifact.step, artifact.output
            ));
        }
        checked.push(format!("\"{maker}\""));
    }
    if checked.is_empty() {
        return unchecked(&open.join("; "));
    }
    let not_checked = if open.is_empty() { String::new() } else { format!("; not checked: {}", open.join("; ")) };
    let message =
        format!("nothing that {} reads beside the model lies on the way to it{not_checked}", checked.join(" or "));
    Finding::without_value(Verdict::Passed, message)
}

const fn leak(message: String) -> Finding {
    Finding::without_value(Verdict::Error, message)
}

fn step<'a>(spec: &'a MLPipelineSpec, name: &str) -> Option<&'a Step> {
    spec.steps.iter().find(|step| step.name == name)
}

/// All that flows into the step of an artifact: each input of a step flows into each of its outputs.
fn sources<'a>(spec: &'a MLPipelineSpec, artifact: &'a OutputReference) -> Sources<'a> {
    let (mut sources, mut next) = (Sources::default(), vec![artifact.step.as_str()]);
    while let Some(name) = next.pop() {
        let Some(step) = step(spec, name).filter(|step| sources.steps.insert(&step.name)) else { continue };
        for input in &step.inputs {
            if let Some(from) = &input.from {
                sources.outputs.insert((&from.step, &from.output));
                next.push(&from.step);
            }
            if let Some(uri) = &input.uri {
                sources.uris.insert((&step.name, uri));
            }
        }
    }
    sources
}

fn is_leak(input: &Input, artifact: &OutputReference, sources: &Sources<'_>) -> bool {
    let comes_from = |from: &OutputReference| {
        from != artifact && sources.outputs.contains(&(from.step.as_str(), from.output.as_str()))
    };
    let is_read = |uri: &String| sources.uris.iter().any(|(_, read)| overlap(read, uri));
    input.from.as_ref().is_some_and(comes_from) || input.uri.as_ref().is_some_and(is_read)
}

/// Whether two URIs name the same data, or one a folder that the other lies in.
fn overlap(one: &str, other: &str) -> bool {
    let holds = |folder: &str, within: &str| folder.ends_with('/') && within.starts_with(folder);
    one == other || holds(one, other) || holds(other, one)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    fn model(labels: &str) -> ModelSpec {
        from_value(json!({
            "owner": {"team": "growth", "contact": "x"}, "objective": "x", "uses": ["Realtime"],
            "evaluation": {"uri": labels, "id": "id", "label": "left"},
            "gates": [{"name": "good", "type": "Metric", "metric": {"name": "auc", "min": "0.5"}}],
        }))
        .unwrap()
    }

    fn version() -> ModelVersionSpec {
        let artifact = json!({"uri": "s3://growth/x", "digest": format!("sha256:{}", "a".repeat(64)), "size": 1});
        from_value(json!({
            "model": "churn", "number": 1, "purpose": "Release", "artifact": artifact,
            "evidence": [{"step": "evaluate", "output": "scored", "artifact": artifact}],
        }))
        .unwrap()
    }

    /// raw ─► prepare ─┬ train ─► fit ─► model ─► evaluate
    ///                 └ test ────────────────────┘
    fn pipeline(change: impl FnOnce(&mut Value)) -> MLPipelineSpec {
        let step = |name: &str, inputs: Value, outputs: &[&str]| {
            let outputs: Vec<Value> = outputs.iter().map(|name| json!({"name": name, "type": "Any"})).collect();
            json!({"name": name, "command": ["x"], "inputs": inputs, "outputs": outputs})
        };
        let from =
            |name: &str, step: &str, output: &str| json!({"name": name, "from": {"step": step, "output": output}});
        let mut spec = json!({
            "image": "x",
            "steps": [
                step("prepare", json!([{"name": "raw", "uri": "s3://lake/raw/"}]), &["train", "test", "encoder"]),
                step("fit", json!([from("train", "prepare", "train"), from("encoder", "prepare", "encoder")]), &["model"]),
                step("evaluate", json!([from("model", "fit", "model"), from("test", "prepare", "test")]), &["scored"]),
            ],
            "publishes": [{
                "model": "churn", "artifact": {"step": "fit", "output": "model"},
                "evidence": [{"step": "evaluate", "output": "scored"}],
            }],
        });
        change(&mut spec);
        from_value(spec).unwrap()
    }

    fn found(change: impl FnOnce(&mut Value), labels: &str) -> (Verdict, String) {
        let judged = judge(&model(labels), &version(), Ok(&pipeline(change)), None).unwrap();
        (judged.verdict, judged.message)
    }

    type Change = fn(&mut Value);

    const LABELS: &str = "s3://labels/churn.csv";

    #[test]
    fn what_lies_on_the_way_to_the_model_does_not_judge_it() {
        let cases: [(Change, Verdict, &str); 9] = [
            (|_| {}, Verdict::Passed, "nothing that \"evaluate\" reads beside the model lies on the way"),
            (
                |s| s["steps"][2]["inputs"][1]["from"]["output"] = "train".into(),
                Verdict::Error,
                "the input \"test\" of the step \"evaluate\" is prepare.train, from which fit.model comes",
            ),
            (|s| s["steps"][2]["inputs"][1]["from"]["output"] = "encoder".into(), Verdict::Error, "prepare.encoder"),
            // The same folder, a folder within it, one around it, and one beside it.
            (
                |s| s["steps"][2]["inputs"][1] = json!({"name": "test", "uri": "s3://lake/raw/"}),
                Verdict::Error,
                "the input \"test\" of the step \"evaluate\" is s3://lake/raw/",
            ),
            (
                |s| s["steps"][2]["inputs"][1] = json!({"name": "test", "uri": "s3://lake/raw/test.csv"}),
                Verdict::Error,
                "s3://lake/raw/test.csv",
            ),
            (
                |s| s["steps"][2]["inputs"][1] = json!({"name": "test", "uri": "s3://lake/"}),
                Verdict::Error,
                "is s3://lake/, from which",
            ),
            (
                |s| s["steps"][2]["inputs"][1] = json!({"name": "test", "uri": "s3://lake/raw-test/"}),
                Verdict::Passed,
                "nothing that",
            ),
            (
                |s| s["publishes"][0]["evidence"] = json!([{"step": "fit", "output": "model"}]),
                Verdict::Passed,
                "not checked whether the model is judged by what it was trained on: \"fit\" makes the model and the evidence",
            ),
            (
                |s| {
                    let both = json!([{"step": "fit", "output": "model"}, {"step": "evaluate", "output": "scored"}]);
                    s["publishes"][0]["evidence"] = both;
                },
                Verdict::Passed,
                "lies on the way to it; not checked: \"fit\"",
            ),
        ];
        for (change, verdict, words) in cases {
            let (found, said) = found(change, LABELS);
            assert!(found == verdict && said.contains(words), "{found:?}: {said}");
        }
    }

    #[test]
    fn a_model_that_learned_the_owners_labels_is_not_judged_by_them() {
        let (verdict, said) = found(|_| {}, "s3://lake/raw/labels.csv");
        assert_eq!(verdict, Verdict::Error);
        assert!(said.contains("the step \"prepare\", from which it comes, reads s3://lake/raw/"), "{said}");
    }

    #[test]
    fn what_is_not_known_is_said_and_what_was_found_before_holds() {
        let unknown = |before: Option<&GateJudgement>| {
            judge(&model(LABELS), &version(), Err("the revision is gone".to_owned()), before).unwrap()
        };
        let open = unknown(None);
        assert_eq!(open.verdict, Verdict::Passed);
        assert!(open.message.ends_with("trained on: the revision is gone"), "{}", open.message);
        let change = |s: &mut Value| s["steps"][2]["inputs"][1]["from"]["output"] = "train".into();
        let mut before = judge(&model(LABELS), &version(), Ok(&pipeline(change)), None).unwrap();
        assert_eq!(unknown(Some(&before)), before);
        let found = before.message.clone();
        before.verdict = Verdict::Waived;
        before.message = format!("the Model waives leakage until then: x; {FOUND}{found}");
        assert_eq!((unknown(Some(&before)).verdict, unknown(Some(&before)).message), (Verdict::Error, found));
        assert_eq!(unknown(Some(&open)), open);
    }

    #[test]
    fn nothing_is_said_where_no_evidence_is_asked_for() {
        let mut budget = model(LABELS);
        budget.gates.clear();
        assert_eq!(judge(&budget, &version(), Ok(&pipeline(|_| {})), None), None);
        let without = ModelVersionSpec { evidence: vec![], ..version() };
        assert_eq!(judge(&model(LABELS), &without, Ok(&pipeline(|_| {})), None), None);
    }
}

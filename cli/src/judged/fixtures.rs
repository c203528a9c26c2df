//! A model of which everything is known, and one of which almost nothing is.

use jiff::Timestamp;
use seatrial_core::gates;
use seatrial_crds::{MLPipelineRun, Model, ModelVersion, Verdict};
use serde_json::{Value, json};

/// A model with its versions.
#[derive(Clone, Debug)]
pub(super) struct Fixture {
    pub(super) model: Model,
    pub(super) versions: Vec<ModelVersion>,
}

pub(super) fn now() -> Timestamp {
    "2026-11-26T12:00:00Z".parse().unwrap()
}

fn digest(letter: &str) -> String {
    format!("sha256:{}", letter.repeat(64))
}

/// The corners of a curve: threshold, and what is flagged of 800 positives and 7,200 negatives.
const CURVE: [(&str, i64, i64); 10] = [
    ("0.9810000000000001", 0, 0),
    ("0.93", 96, 12),
    ("0.81", 240, 72),
    ("0.66", 392, 216),
    ("0.5", 480, 380),
    ("0.34", 600, 792),
    ("0.22", 680, 1368),
    ("0.12", 744, 2520),
    ("0.05", 784, 4680),
    ("0.01", 800, 7200),
];

/// What was measured, of groups `f` and `m` with 3 and 5 of 8 rows, and a small one.
fn measurement(labels: &str) -> Value {
    let groups = |positives: i64, negatives: i64| {
        let part = |count: i64, eighths: i64| count * eighths / 8;
        let (three, five) =
            ((part(positives, 3) - 4, part(negatives, 3) - 6), (part(positives, 5), part(negatives, 5)));
        format!("{}:{} {}:{} 4:6", three.0, three.1, five.0, five.1)
    };
    let point = |(threshold, positives, negatives): &(&str, i64, i64)| {
        let (positives, negatives) = (positives / 2, negatives / 2);
        let all = format!("{positives}:{negatives}");
        let (three, five) = ((positives * 3 / 8, negatives / 4), (positives / 2, negatives * 3 / 4));
        format!("{threshold} choosing {all} counted {all} groups {}:{} {}:{} 0:0", three.0, three.1, five.0, five.1)
    };
    let points: Vec<String> = CURVE.iter().map(point).collect();
    let fold = json!({"rows": "400:3600", "groups": groups(400, 3600), "points": points});
    let curve: Vec<String> = CURVE.iter().map(|(at, hits, alarms)| format!("{at} flagged {hits}:{alarms}")).collect();
    json!({
        "key": digest("1"), "measuredAt": "2026-11-20T03:21:00Z", "labels": labels, "labelsDigest": digest("2"), "rows": 8000,
        "metrics": [
            {"name": "rocAuc", "value": "0.8512345678", "standardError": "0.0071"},
            {"name": "brier", "value": "0.0712"},
            {"name": "calibrationError", "value": "0.0131"},
        ],
        "groups": [{"slice": "gender", "value": "f"}, {"slice": "gender", "value": "m"}, {"slice": "gender", "value": ""}],
        "folds": [fold, fold], "curve": curve,
    })
}

fn version(number: i64, rate: &str, letter: &str, labels: &str) -> ModelVersion {
    let name = format!("churn-v{number}");
    let run = format!("churn-c{number}");
    let artifact = |letter: &str, size: i64| json!({"uri": format!("s3://growth/artifacts/{letter}"), "digest": digest(letter), "size": size});
    serde_json::from_value(json!({
        "apiVersion": "seatrial.dev/v1alpha1", "kind": "ModelVersion",
        "metadata": {"name": name, "namespace": "growth", "uid": format!("uid-{number}")},
        "spec": {
            "model": "churn", "number": number, "purpose": "Release", "artifact": artifact(letter, 12_582_912 + number),
            "evidence": [{"step": "evaluate", "output": "scored", "type": "Predictions", "artifact": artifact("e", 4096)}],
            "metrics": [{"step": "evaluate", "output": "metrics", "name": "lift", "value": format!("2.{number}")}],
            "lineage": {
                "pipeline": "churn-training", "run": run, "runUID": "run-uid", "revision": number,
                "parameters": [{"name": "epochs", "value": "20"}, {"name": "learning-rate", "value": rate}],
                "inputs": [{"step": "prepare", "name": "raw", "uri": "s3://lake/customers/", "digest": digest(&number.to_string())}],
                "images": [
                    {"step": "prepare", "image": format!("registry.example.com/churn@{}", digest("a"))},
                    {"step": "train", "image": format!("registry.example.com/churn@{}", digest(letter))},
                ],
            },
        },
        "status": {
            "measurement": measurement(labels),
            "conditions": [{"type": "Ready", "status": "True", "reason": "Judged", "message": "judged",
                "lastTransitionTime": "2026-11-20T03:22:00Z"}],
        },
    }))
    .unwrap()
}

fn judge(model: &Model, version: &mut ModelVersion, at: &str) -> Verdict {
    let mut status = version.status.clone().unwrap();
    let measured = status.measurement.clone().unwrap();
    let evidence = gates::Evidence::Measured(&measured);
    let duel = status.duel.clone();
    let judged = gates::judge(&model.spec, &version.spec, &evidence, &gates::DuelState::of(duel.as_ref()));
    let verdict = gates::overall(&judged);
    let judgement = json!({"judgedAt": at, "gatesDigest": gates::digest(&model.spec), "verdict": verdict,
        "labels": measured.labels, "gates": judged,
        "digest": digest("9"), "gatesRevision": "churn-gates-4",
        "overrules": {"judgedAt": "2026-11-18T00:00:00Z", "verdict": "Failed", "gates": ["was-too-dear"]}});
    status.judgements = vec![serde_json::from_value(judgement).unwrap()];
    status.verdict = Some(verdict);
    status.headline = gates::headline(Some(&model.spec), &version.spec, &evidence);
    status.threshold = gates::threshold(&model.spec, &measured);
    version.status = Some(status);
    verdict
}

/// A duel with a champion that takes 330 of 400 positives and 700 of 3,600 negatives of each fold for positive; or with nobody.
fn duel(champion: Option<&str>) -> Value {
    let pinned = "2026-11-20T03:21:30Z";
    let Some(champion) = champion else { return json!({"pinnedAt": pinned, "judgedBefore": 0, "evaluations": 0}) };
    // Nine of ten of those that the version takes; all of its own where the version takes more than it.
    let alike = |of: i64, own: i64| if of >= own { own } else { of * 9 / 10 };
    let both: Vec<String> =
        CURVE.iter().map(|(_, p, n)| format!("{}:{}", alike(p / 2, 330), alike(n / 2, 700))).collect();
    let fold = json!({"champion": "330:700", "both": both.join(" ")});
    let artifact = |letter: &str| json!({"uri": format!("s3://growth/artifacts/{letter}"), "digest": digest(letter), "size": 4096});
    json!({
        "pinnedAt": pinned, "judgedBefore": 4, "evaluations": 1, "predictions": artifact("f"),
        "champion": {"version": champion, "artifact": artifact("6"), "threshold": "0.22"},
        "measurement": {"key": digest("3"), "measuredAt": pinned, "folds": [fold, fold]},
    })
}

/// A model that serves churn-v6 and whose newest version, churn-v7, failed.
pub(super) fn full() -> Fixture {
    let mut model: Model = serde_json::from_value(json!({
        "apiVersion": "seatrial.dev/v1alpha1", "kind": "Model", "metadata": {"name": "churn", "namespace": "growth"},
        "spec": {
            "owner": {"team": "growth-team", "contact": "growth@example.com"},
            "objective": "Find customers who will leave within 30 days",
            "uses": ["Realtime", "Batch"],
            "task": {"type": "BinaryClassification", "positiveLabel": "left",
                "positiveMeans": "leaving customer"},
            "evaluation": {"uri": "s3://labels/churn.parquet", "id": "customer", "label": "left", "slices": ["gender"]},
            "errorCosts": {"falsePositive": "1", "falseNegative": "20", "unit": "EUR", "prevalence": "0.07", "statusQuo": "FlagNone"},
            "fairness": {"rules": [{"name": "found-alike", "slice": "gender", "metric": "Recall", "maxGap": "0.35",
                "minCount": 100, "smallGroups": "Report"}]},
            "consumers": [
                {"name": "shop", "namespace": "web", "podSelector": {"matchLabels": {"app": "shop-frontend"}}},
                {"name": "campaigns"},
            ],
            "budget": {"maxSize": "200Mi"},
            "gates": [
                {"name": "ranks-well", "type": "Metric", "metric": {"name": "rocAuc", "min": "0.80", "confidence": "0.95"}},
                {"name": "cheap-errors", "type": "Cost", "cost": {"maxPerPrediction": "0.60"}},
                {"name": "no-worse", "type": "Champion", "champion": {"metric": "Cost", "minGain": "-0.02"}},
            ],
            "waivers": [{"version": "churn-v7", "digest": digest("7"), "gates": ["lifts"],
                "reason": "The spring campaign starts on Monday", "expiresAt": "2027-03-01T00:00:00Z"}],
        },
        "status": {
            "newestVersion": "churn-v7", "passedVersion": "churn-v6", "publishers": ["churn-training", "churn-nightly"],
            "serving": [{"deployment": "churn-api", "version": "churn-v6", "since": "2026-11-19T12:00:00Z"}],
            "servedVersions": "churn-v6", "headline": "rocAuc=0.8512",
            "waiting": [{"version": "churn-v7", "gate": "lifts", "for": "a version whose lift is at least 3"}],
            "conditions": [{"type": "ServingMeetsGates", "status": "False", "reason": "GateFailed",
                "message": "churn-v6 serves and no longer meets lifts", "lastTransitionTime": "2026-11-25T08:00:00Z"}],
        },
    }))
    .unwrap();
    let (mut newest, mut served) = (version(7, "0.1", "7", "SelfReported"), version(6, "0.05", "6", "Owner"));
    for (version, champion) in [(&mut newest, Some("churn-v6")), (&mut served, None)] {
        version.status.as_mut().unwrap().duel = Some(serde_json::from_value(duel(champion)).unwrap());
    }
    assert_eq!(judge(&model, &mut served, "2026-11-19T11:00:00Z"), Verdict::Passed);
    let lifts = json!({"name": "lifts", "type": "Metric", "metric": {"name": "lift", "min": "3"}});
    model.spec.gates.push(serde_json::from_value(lifts).unwrap());
    assert_eq!(judge(&model, &mut newest, "2026-11-20T03:22:00Z"), Verdict::Failed);
    Fixture { model, versions: vec![newest, served] }
}

/// A model that was written a moment ago.
pub(super) fn empty() -> Fixture {
    let model = json!({
        "apiVersion": "seatrial.dev/v1alpha1", "kind": "Model", "metadata": {"name": "returns", "namespace": "growth"},
        "spec": {"owner": {"team": "logistics", "contact": "logistics@example.com"},
            "objective": "Say which parcels come back", "uses": ["Batch"]},
    });
    Fixture { model: serde_json::from_value(model).unwrap(), versions: Vec::new() }
}

/// The run that made churn-v7.
pub(super) fn run() -> MLPipelineRun {
    serde_json::from_value(json!({
        "apiVersion": "seatrial.dev/v1alpha1", "kind": "MLPipelineRun",
        "metadata": {"name": "churn-c7", "namespace": "growth", "uid": "run-uid"},
        "spec": {"pipeline": "churn-training"},
        "status": {
            "finishedAt": "2026-11-20T03:20:00Z", "duration": "20m",
            "conditions": [{"type": "Succeeded", "status": "True", "reason": "Completed", "message": "done",
                "lastTransitionTime": "2026-11-20T03:20:00Z"}],
            "steps": [
                {"name": "prepare", "state": "Succeeded", "outputs": [
                    {"name": "train", "type": "Dataset", "digest": digest("b"), "size": 3_145_728}]},
                {"name": "train", "state": "Succeeded", "outputs": [
                    {"name": "model", "type": "Model", "digest": digest("7"), "size": 12_582_919}]},
                {"name": "evaluate", "state": "Succeeded"},
            ],
        },
    }))
    .unwrap()
}

//! Versions that are measured, judged, compared with the champion, held and approved.

use serde_json::{Value, json};

use super::Action::{Await, Derive};
use super::ends::{get, label, reason, serves, until, well};
use super::objects::{deployment, model_with, own, pipeline};
use super::{APPROVALS, Action, NAMESPACE, Scenario};
use crate::api::{Key, Store};
use crate::models::has_condition;
use crate::models::pods::Fate;

/// One step that scores, a version of what it made, and costs by which the version is judged.
fn judged() -> Vec<(u64, Action)> {
    let pipeline = own(
        "MLPipeline",
        "churn",
        &json!({
            "image": "churn:1",
            "steps": [{"name": "train", "command": ["train"], "inputs": [{"name": "raw", "uri": "http://data/raw"}],
                       "outputs": [{"name": "model", "type": "Model"}, {"name": "scored", "type": "Predictions"}]}],
            "publishes": [{"model": "churn", "artifact": {"step": "train", "output": "model"},
                           "evidence": [{"step": "train", "output": "scored"}]}],
        }),
    );
    let model = |miss: &str, label: &str| {
        own(
            "Model",
            "churn",
            &json!({
                "owner": {"team": "growth", "contact": "growth@example.com"}, "objective": "Find who leaves", "uses": ["Realtime"],
                "task": {"type": "BinaryClassification", "positiveLabel": "1"},
                "evaluation": {"uri": "http://data/labels.csv", "id": "customer", "label": label},
                "errorCosts": {"falsePositive": "1", "falseNegative": miss, "unit": "EUR", "prevalence": "0.07", "statusQuo": "FlagNone"},
                "fairness": {"notApplicable": {"reason": "x"}}, "consumers": [],
            }),
        )
    };
    // Another cost measures nothing again; another label does, also while a Job goes on that measures by the former.
    vec![
        (0, model("20", "churned")),
        (0, deployment()),
        (1, pipeline),
        (12, model("20", "moved")),
        (40, model("30", "moved")),
        (200, model("30", "left")),
    ]
}

/// The first Job that measures fails by its pods, and a pod of the second is evicted.
fn unmeasured(step: &str, before: usize) -> Fate {
    match (step, before) {
        ("judge", 0..=2) => Fate::Fails(1),
        ("judge", 3) => Fate::Evicted,
        _ => Fate::Succeeds,
    }
}

/// What is missing until version 1 of the model is judged by these labels.
fn judgement(store: &Store, label: &str) -> Option<String> {
    let version = store.get(&Key::new("ModelVersion", NAMESPACE, "churn-v1"));
    let Some(version) = version else { return Some("there is no version churn-v1".to_owned()) };
    let status = &version["status"];
    if !status["measuring"].is_null() || status["measurement"]["key"].is_null() || !has_condition(version, "Passed") {
        return Some(format!("churn-v1 is not judged, but {status}"));
    }
    let model = store.get(&Key::new("Model", NAMESPACE, "churn"));
    let is_newest = model.is_some_and(|model| model["spec"]["evaluation"]["label"] == label);
    (!is_newest).then(|| format!("the labels are not \"{label}\" yet"))
}

/// What proves who writes Approvals, as the chart has it.
fn proof() -> [Action; 2] {
    let policy = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../charts/seatrial/files/approval-policy.json"));
    let policy: Value = serde_json::from_str(policy).unwrap_or_default();
    let object = |kind: &str, spec: &Value| {
        let api_version = "admissionregistration.k8s.io/v1";
        Action::Apply(json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": APPROVALS}, "spec": spec}))
    };
    let binding = json!({"policyName": APPROVALS, "validationActions": ["Deny"]});
    [object("ValidatingAdmissionPolicy", &policy), object("ValidatingAdmissionPolicyBinding", &binding)]
}

/// Somebody approves of what was found of version 1.
fn approval(store: &Store) -> Option<Value> {
    let version = get(store, "ModelVersion", "churn-v1");
    let judgement = version["status"]["judgements"][0]["digest"].as_str()?;
    let spec = json!({
        "model": "churn", "version": "churn-v1", "digest": version["spec"]["artifact"]["digest"], "judgement": judgement,
        "decision": "Approved", "reason": "it is good enough", "by": {"user": "jane"},
    });
    Some(json!({"apiVersion": "seatrial.dev/v1alpha1", "kind": "Approval", "metadata": {"name": "jane"}, "spec": spec}))
}

/// Whether version 1 has this verdict, and is refused for this reason: nothing serves.
fn is_kept_back(store: &Store, verdict: &str, why: &str) -> bool {
    let (version, deployment) = (get(store, "ModelVersion", "churn-v1"), get(store, "ModelDeployment", "churn"));
    version["status"]["verdict"] == verdict
        && reason(deployment, "Ready") == why
        && label(get(store, "Service", "churn"), "seatrial.dev/version").is_empty()
}

/// The bar is lowered until what did not reach it does: that alone lets nothing serve. A person's word does.
fn held() -> Vec<(u64, Action)> {
    let [policy, binding] = proof();
    let follower = json!({"model": "churn", "follow": "Newest", "server": {"image": "server:1", "port": 8080}});
    vec![
        (0, policy),
        (0, binding),
        (0, model_with("0.95")),
        (0, own("ModelDeployment", "churn", &follower)),
        (1, pipeline("churn:1")),
        (2, Await("churn-v1 failed", |store| is_kept_back(store, "Failed", "VersionRefused"))),
        (2, model_with("0.8")),
        (3, Await("churn-v1 is held", |store| is_kept_back(store, "Held", "VersionHeld"))),
        // From a minute on, the policy proves who writes.
        (90, Derive(approval)),
    ]
}

/// A step that trains and one that evaluates, in an image of this version: the second can evaluate another model.
fn evaluated(image: &str) -> Action {
    let output = |name: &str, kind: &str| json!([{"name": name, "type": kind}]);
    let inputs = json!([{"name": "model", "from": {"step": "train", "output": "model"}}, {"name": "test", "uri": "http://data/test"}]);
    let spec = json!({
        "image": image,
        "steps": [
            {"name": "train", "command": ["train"], "outputs": output("model", "Model")},
            {"name": "evaluate", "command": ["evaluate"], "inputs": inputs, "outputs": output("scored", "Predictions")},
        ],
        "publishes": [{"model": "churn", "artifact": {"step": "train", "output": "model"},
                       "evidence": [{"step": "evaluate", "output": "scored"}]}],
    });
    own("MLPipeline", "churn", &spec)
}

/// A Model that asks how a version compares with the champion.
fn compared(min_gain: &str) -> Action {
    let spec = json!({
        "owner": {"team": "growth", "contact": "growth@example.com"}, "objective": "Find who leaves", "uses": ["Realtime"],
        "task": {"type": "BinaryClassification", "positiveLabel": "1"},
        "evaluation": {"uri": "http://data/labels.csv", "id": "customer", "label": "left"},
        "errorCosts": {"falsePositive": "1", "falseNegative": "20", "unit": "EUR", "prevalence": "0.07", "statusQuo": "FlagNone"},
        "fairness": {"notApplicable": {"reason": "x"}}, "consumers": [],
        "gates": [{"name": "better", "type": "Champion", "champion": {"metric": "Cost", "minGain": min_gain}}],
    });
    own("Model", "churn", &spec)
}

/// The first version has nobody to compare with; the second is compared with it once it serves.
fn duel() -> Vec<(u64, Action)> {
    vec![
        (0, compared("-0.5")),
        (0, deployment()),
        (1, evaluated("churn:1")),
        (2, Await("churn-v1 serves", |store| serves(store, "churn-v1"))),
        (3, evaluated("churn:2")),
    ]
}

/// Whom the duel of version 2 was held with, and its verdict, where it has come to an end.
fn outcome(store: &Store) -> (&Value, &Value) {
    let status = &get(store, "ModelVersion", "churn-v2")["status"];
    let is_over = status["measuring"].is_null();
    (&status["duel"]["champion"]["version"], if is_over { &status["verdict"] } else { &Value::Null })
}

/// What is missing until version 2 serves, which was compared with version 1.
fn won(store: &Store) -> Option<String> {
    let (champion, verdict) = outcome(store);
    let is_so = champion == "churn-v1" && verdict == "Passed";
    until(store, &[("churn-c1", true), ("churn-c2", true)], Some("churn-v2"))
        .or_else(|| (!is_so).then(|| format!("churn-v2 is {verdict} beside {champion}")))
}

/// The first pod that evaluates the champion is evicted.
fn evicted(step: &str, before: usize) -> Fate {
    if step == "duel" && before == 0 { Fate::Evicted } else { Fate::Succeeds }
}

/// The champion crashes on the new data.
fn crashes(step: &str, _: usize) -> Fate {
    if step == "duel" { Fate::Fails(1) } else { Fate::Succeeds }
}

/// What is missing until version 2 is undecided, and version 1 serves on.
fn undecided(store: &Store) -> Option<String> {
    let (champion, verdict) = outcome(store);
    let is_so = champion == "churn-v1" && verdict == "Inconclusive";
    until(store, &[("churn-c1", true), ("churn-c2", true)], Some("churn-v1"))
        .or_else(|| (!is_so).then(|| format!("churn-v2 is {verdict} beside {champion}")))
}

/// All of them.
pub(super) fn all() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "judged",
            actions: judged(),
            fates: unmeasured,
            missing: |store| until(store, &[("churn-c1", true)], Some("churn-v1")).or_else(|| judgement(store, "left")),
            once: true,
        },
        Scenario { name: "duel", actions: duel(), fates: evicted, missing: won, once: true },
        Scenario { name: "duel-undecided", actions: duel(), fates: crashes, missing: undecided, once: true },
        Scenario {
            name: "held",
            actions: held(),
            fates: well,
            missing: |store| until(store, &[("churn-c1", true)], Some("churn-v1")),
            once: true,
        },
    ]
}

//! What Seatrial's own programs say in their containers' termination messages, and what they leave in a store.

use seatrial_core::contract::check::{CheckMessage, CheckSummary, CheckVerdict};
use seatrial_core::contract::{
    Compared, ComparedFold, Digest, JudgeMessage, Measured, Message, ReportedInput, ReportedMetric, ReportedOutput,
};
use seatrial_crds::{ClassCounts, FlaggedCounts, Fold, FoldPoint};
use serde_json::{Value, json};

use crate::api::Store;

/// The container that asks the store for a record.
pub(super) const RECOVER: &str = "seatrial-recover";

/// The annotation of a pod whose outputs have the same digests as those of others.
pub(super) const ALIKE: &str = "simulation/alike";

/// What the agent was told in a pod.
fn configs(pod: &Value) -> Vec<Value> {
    let containers = ["initContainers", "containers"]
        .into_iter()
        .flat_map(|list| pod["spec"][list].as_array().into_iter().flatten());
    let variables = containers.flat_map(|container| container["env"].as_array().into_iter().flatten());
    variables.filter_map(|variable| serde_json::from_str(variable["value"].as_str()?).ok()).collect()
}

/// The key of an attempt's record.
fn record_key(run_uid: &Value, step: &Value, attempt: &Value) -> String {
    format!("{run_uid}/{step}/{attempt}")
}

/// `publish` writes the record of an attempt, unless there is one.
pub(super) fn keep_record(store: &mut Store, pod: &Value) {
    for config in configs(pod) {
        let step = &config["step"];
        if step["store"].is_string() {
            let key = record_key(&step["runUid"], &step["name"], &step["attempt"]);
            store.records.entry(key).or_insert_with(|| json!(message(pod, "seatrial-publish")));
        }
    }
}

/// What the store answers: the exit code, and the message.
pub(super) fn recovered(store: &Store, pod: &Value) -> (i64, String) {
    let asked = configs(pod).into_iter().find_map(|config| {
        let attempt = &config["attempt"];
        store.records.get(&record_key(&attempt["runUid"], &attempt["step"], &attempt["attempt"])).cloned()
    });
    match asked.as_ref().and_then(Value::as_str) {
        Some(record) => (0, record.to_owned()),
        None => (66, String::new()),
    }
}

/// What a container of the agent says, by what its pod was told to do.
pub(super) fn message(pod: &Value, container: &str) -> String {
    let configs = configs(pod);
    let listed = |pointer: &str| -> Vec<Value> {
        configs.iter().find_map(|config| config.pointer(pointer)?.as_array()).cloned().unwrap_or_default()
    };
    let name = |one: &Value| one["name"].as_str().unwrap_or_default().to_owned();
    let mut message = Message::new();
    if container == "seatrial-publish" {
        for one in listed("/step/outputs") {
            let name = name(&one);
            message.outputs.push(ReportedOutput { digest: digest(pod, &name), name: name.clone(), size: 10, files: 1 });
            if one["type"] == "Metrics" {
                message.metrics.push(ReportedMetric { output: name, name: "auc".into(), value: "0.9".into() });
            }
        }
    } else {
        let digest = |one: &Value| Digest::of(one["source"].to_string().as_bytes());
        let input = |one: &Value| ReportedInput { digest: digest(one), name: name(one), size: 10 };
        message.inputs = listed("/inputs").iter().map(input).collect();
    }
    message.to_json()
}

/// The digest of an output.
fn digest(pod: &Value, output: &str) -> Digest {
    let metadata = &pod["metadata"];
    let is_alike = metadata["annotations"][ALIKE] == "true";
    if is_alike { Digest::of(output.as_bytes()) } else { Digest::of(metadata["uid"].to_string().as_bytes()) }
}

/// What is said of the inputs of a pod that have contracts.
pub(super) fn admitted(pod: &Value, verdict: CheckVerdict) -> String {
    let config = configs(pod).into_iter().find(|config| config["reports"].is_string()).unwrap_or_default();
    let check = |input: &Value| CheckSummary {
        input: input["input"].as_str().unwrap_or_default().to_owned(),
        verdict,
        sentence: format!("what was found is {verdict:?}"),
        rows: 10,
        rules: 2,
        errors: u64::from(verdict == CheckVerdict::Failed),
        warnings: 0,
        not_checked: 0,
        broken: vec![],
        report: None,
    };
    let checks = config["inputs"].as_array().into_iter().flatten().map(check).collect();
    CheckMessage { checks, failure: None }.to_json()
}

/// What is said of data that a contract's own schedule checks: nothing, where they are those that were checked before.
pub(super) fn reported(pod: &Value, verdict: CheckVerdict) -> String {
    let known = configs(pod).into_iter().find_map(|config| config["known"].as_array().cloned()).unwrap_or_default();
    let fetched = Message::parse(&message(pod, "seatrial-fetch")).map(|message| message.inputs).unwrap_or_default();
    let is_same = |input: &ReportedInput| {
        known.iter().any(|known| known["name"] == input.name.as_str() && known["digest"] == input.digest.to_string())
    };
    if !known.is_empty() && fetched.iter().all(is_same) {
        return CheckMessage { checks: vec![], failure: None }.to_json();
    }
    admitted(pod, verdict)
}

/// What a judge says that ends with this code; with 0: four of five positives are found, one of ten negatives is flagged. A champion
/// finds a little less and flags a little more.
pub(super) fn judged(pod: &Value, code: i64) -> String {
    if code != 0 {
        return JudgeMessage::Failed("no memory".into()).to_json();
    }
    if configs(pod).iter().any(|config| config["duel"].is_object()) {
        let flagged = |true_positives, false_positives| FlaggedCounts { true_positives, false_positives };
        let rows = ClassCounts { positives: 100, negatives: 900 };
        let fold = ComparedFold { rows, champion: flagged(75, 95), both: vec![flagged(72, 85)] };
        return JudgeMessage::Compared(Compared { folds: vec![fold] }).to_json();
    }
    let counted = FlaggedCounts { true_positives: 80, false_positives: 90 };
    let point = FoldPoint { threshold: None, choosing: FlaggedCounts::default(), counted, groups: vec![] };
    let rows = ClassCounts { positives: 100, negatives: 900 };
    let measured =
        Measured { rows: 1000, folds: vec![Fold { rows, groups: vec![], points: vec![point] }], ..Measured::default() };
    JudgeMessage::Measured(measured).to_json()
}

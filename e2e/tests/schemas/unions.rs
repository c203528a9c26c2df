//! Unions, texts and numbers: what is refused, whichever way it is wrong.

use kube::Client;
use serde_json::{Value, json};

use super::{dry_run, object, pipeline, version_spec, with};

/// Each must be refused with these words.
async fn refused(client: &Client, cases: Vec<(&str, Value, &str)>) {
    let mut wrong = vec![];
    for (what, value, text) in cases {
        match dry_run(client, &value).await {
            Ok(()) => wrong.push(format!("{what}: was accepted")),
            Err(said) if !said.contains(text) => wrong.push(format!("{what}: said {said}, expected {text:?}")),
            Err(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn with_step(fields: &Value) -> Value {
    let mut step = json!({"name": "a", "command": ["x"]});
    step.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    object("MLPipeline", "union", json!({"image": "i", "steps": [step]}))
}

fn with_gate(gate: &Value) -> Value {
    let owner = json!({"team": "t", "contact": "c"});
    object("Model", "union", json!({"owner": owner, "objective": "o", "uses": ["Batch"], "gates": [gate]}))
}

fn with_answer(field: &str, answer: &Value) -> Value {
    let owner = json!({"team": "t", "contact": "c"});
    object("Model", "union", json!({"owner": owner, "objective": "o", "uses": ["Batch"], field: answer}))
}

fn with_check(check: &Value) -> Value {
    object("DataContract", "union", json!({"contract": {}, "check": check}))
}

fn with_trigger(trigger: &Value) -> Value {
    let steps = json!([{"name": "a", "command": ["x"]}]);
    object("MLPipeline", "union", json!({"image": "i", "steps": steps, "triggers": [trigger]}))
}

/// Of a union none is as wrong as two.
pub(crate) async fn exactly_one_member(client: &Client) {
    let env = |variable: Value| with_step(&json!({"env": [variable]}));
    let volume = |volume: Value| with_step(&json!({"pod": {"volumes": [volume]}}));
    let key = json!({"name": "s", "key": "k"});
    let good = [
        env(json!({"name": "A", "value": ""})),
        env(json!({"name": "A", "valueFrom": {"configMapKeyRef": key}})),
        volume(json!({"name": "v", "emptyDir": {}})),
        volume(json!({"name": "v", "secret": {"secretName": "s"}})),
        with_step(&json!({"envFrom": [{"secretRef": {"name": "s"}}]})),
        with_gate(&json!({"name": "g", "type": "Metric", "metric": {"name": "auc", "max": "0.5"}})),
        with_gate(&json!({"name": "g", "type": "Cost", "cost": {"maxPerPrediction": "0.5", "confidence": "0.95"}})),
        with_gate(&json!({"name": "g", "type": "Champion", "champion": {"metric": "Cost", "minGain": "-0.01"}})),
        with_answer("errorCosts", &json!({"notApplicable": {"reason": "x"}})),
        with_answer("fairness", &json!({"notApplicable": {"reason": "x"}})),
        with_answer("consumers", &json!([])),
        with_answer("task", &json!({"type": "Regression"})),
        with_trigger(&json!({"name": "t", "type": "Data", "data": {"contract": {"namespace": "n", "name": "c"}}})),
        with_check(&json!({"timeout": "1h"})),
        with_check(&json!({"schedule": {"cron": "0 6 * * *"}, "data": [{"schema": "t", "uri": "s3://lake/t/"}]})),
    ];
    for value in good {
        dry_run(client, &value).await.unwrap();
    }
    // A version that was made elsewhere has no lineage.
    let mut elsewhere = version_spec();
    elsewhere.as_object_mut().unwrap().remove("lineage");
    dry_run(client, &object("ModelVersion", "m-v1", elsewhere)).await.unwrap();

    let one_source = "exactly one of secretKeyRef, configMapKeyRef and fieldRef";
    let one_volume = "exactly one of persistentVolumeClaim, configMap, secret and emptyDir";
    let gate_type = "exactly the field that its type names";
    let together = "schedule and data go together";
    let cases = vec![
        ("a schedule of nothing", with_check(&json!({"schedule": {"cron": "0 6 * * *"}})), together),
        ("data at no time", with_check(&json!({"data": [{"schema": "t", "uri": "s3://lake/t/"}]})), together),
        ("no value", env(json!({"name": "A"})), "exactly one of value and valueFrom"),
        (
            "a value and its source",
            env(json!({"name": "A", "value": "x", "valueFrom": {"secretKeyRef": key}})),
            "exactly one of value and valueFrom",
        ),
        ("no source", env(json!({"name": "A", "valueFrom": {}})), one_source),
        (
            "two sources",
            env(json!({"name": "A", "valueFrom": {"secretKeyRef": key, "configMapKeyRef": key}})),
            one_source,
        ),
        ("no volume", volume(json!({"name": "v"})), one_volume),
        ("two volumes", volume(json!({"name": "v", "emptyDir": {}, "configMap": {"name": "c"}})), one_volume),
        ("no keys", with_step(&json!({"envFrom": [{}]})), "exactly one of configMapRef and secretRef"),
        (
            "keys of two",
            with_step(&json!({"envFrom": [{"secretRef": {"name": "s"}, "configMapRef": {"name": "c"}}]})),
            "exactly one of configMapRef and secretRef",
        ),
        ("neither uri nor from", with_step(&json!({"inputs": [{"name": "i"}]})), "exactly one of uri and from"),
        ("a type without its trigger", with_trigger(&json!({"name": "t", "type": "Data"})), gate_type),
        ("a trigger of no known type", with_trigger(&json!({"name": "t", "type": "Moon"})), "Unsupported value"),
        ("a type without its gate", with_gate(&json!({"name": "g", "type": "Metric"})), gate_type),
        (
            "a gate of no known type",
            with_gate(&json!({"name": "g", "type": "Sum", "metric": {"name": "auc", "min": "0"}})),
            "Unsupported value",
        ),
        (
            "a gate of another type",
            with_gate(&json!({"name": "g", "type": "Cost", "metric": {"name": "auc", "min": "0"}})),
            gate_type,
        ),
        (
            "half of the costs",
            with_answer("errorCosts", &json!({"falsePositive": "1"})),
            "or notApplicable with a reason",
        ),
        (
            "costs that do not apply",
            with_answer(
                "errorCosts",
                &json!({"falsePositive": "1", "falseNegative": "1", "unit": "EUR", "prevalence": "0.1", "statusQuo": "FlagAll", "notApplicable": {"reason": "x"}}),
            ),
            "not both",
        ),
        ("no rules", with_answer("fairness", &json!({})), "rules or notApplicable"),
        (
            "a rule with two bounds",
            with_answer(
                "fairness",
                &json!({"rules": [{"name": "r", "slice": "s", "metric": "Recall", "min": "0.1", "maxGap": "0.1"}]}),
            ),
            "exactly one of maxGap, minRatio and min",
        ),
        (
            "words for a label that there is not",
            with_answer("task", &json!({"type": "Regression", "positiveMeans": "denied application"})),
            "positiveMeans goes with type BinaryClassification",
        ),
        ("a task without its label", with_answer("task", &json!({"type": "BinaryClassification"})), "positiveLabel"),
    ];
    refused(client, cases).await;
}

/// A NUL ends a text for the operating system; a limit in characters would let four times the bytes pass.
pub(crate) async fn texts_that_no_process_can_take(client: &Client) {
    let nul = "a\0b";
    let default =
        |value: &str| with(pipeline(), "/spec/parameters/0", json!({"name": "p", "type": "String", "default": value}));
    let run = |value: &str| {
        object("MLPipelineRun", "text", json!({"pipeline": "churn", "parameters": [{"name": "p", "value": value}]}))
    };
    let uri = |uri: &str| with(pipeline(), "/spec/steps/0/inputs/0/uri", json!(uri));
    for good in ["s3://lake/a folder/b c.csv", "https://example.com/download?id=3&part=a"] {
        dry_run(client, &uri(good)).await.unwrap();
    }
    let (most, more) = ("é".repeat(128), "é".repeat(129));
    dry_run(client, &default(&most)).await.unwrap();
    dry_run(client, &run(&most)).await.unwrap();
    dry_run(client, &run("two\nlines\tand €")).await.unwrap();
    let cases = vec![
        ("a NUL in a default", default(nul), "should match"),
        ("a NUL in a run's parameter", run(nul), "should match"),
        ("a NUL in a command", with(pipeline(), "/spec/steps/0/command/0", json!(nul)), "should match"),
        ("a NUL in a variable", with_step(&json!({"env": [{"name": "A", "value": nul}]})), "should match"),
        ("a NUL in a URI", uri("s3://lake/a\0b"), "should match"),
        ("a query of S3", uri("s3://lake/a?versionId=1"), "should match"),
        ("a NUL in an image", with(pipeline(), "/spec/image", json!(nul)), "should match"),
        ("a default of too many bytes", default(&more), "longer than 256 bytes"),
        ("a parameter of too many bytes", run(&more), "longer than 256 bytes"),
    ];
    refused(client, cases).await;
}

/// See ADR 31: there is no way to take them exactly.
pub(crate) async fn numbers_without_quotes(client: &Client) {
    let model = with_gate(&json!({"name": "g", "type": "Metric", "metric": {"name": "auc", "min": 0.8}}));
    let cases = vec![
        ("a default", with(pipeline(), "/spec/parameters/0/default", json!(0.1)), "must be of type string"),
        ("a bound", model, "must be of type string"),
        (
            "a quantity",
            with_step(&json!({"resources": {"requests": {"cpu": 0.5}}})),
            "must be of type integer,string: \"number\"",
        ),
    ];
    refused(client, cases).await;
}

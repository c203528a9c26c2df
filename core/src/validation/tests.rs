//! Which specs are valid, and what the messages of problems name.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn valid() -> MLPipelineSpec {
    serde_json::from_value(json!({
        "image": "churn:1",
        "parameters": [{"name": "rate", "type": "Number", "default": "0.1"}],
        "steps": [
            {"name": "prepare", "command": ["prepare"], "inputs": [{"name": "raw", "uri": "s3://lake/raw/"}],
             "outputs": [{"name": "train", "type": "Dataset"}]},
            {"name": "train", "command": ["train", "--rate", "$(PARAM_RATE)"],
             "inputs": [{"name": "train", "from": {"step": "prepare", "output": "train"}}],
             "outputs": [{"name": "model", "type": "Model"}, {"name": "metrics", "type": "Metrics"}], "timeout": "2h"},
        ],
        "publishes": [{"model": "churn", "artifact": {"step": "train", "output": "model"},
                       "evidence": [{"step": "train", "output": "metrics"}]}],
    }))
    .unwrap()
}

#[test]
fn the_example_is_valid() {
    assert_eq!(pipeline(&valid()), []);
}

#[test]
fn each_mistake_is_named_with_its_place() {
    type Mutation = fn(&mut MLPipelineSpec);
    let cases: &[(Mutation, &str, &str)] = &[
        (|s| s.steps.clear(), "spec.steps", "at least one"),
        (|s| s.steps[1].name = "prepare".into(), "spec.steps[prepare]", "twice"),
        (|s| s.steps.swap(0, 1), "spec.steps[train].inputs[train].from.step", "above"),
        (
            |s| s.steps[1].inputs[0].from.as_mut().unwrap().step = "train".into(),
            "spec.steps[train].inputs[train].from.step",
            "above",
        ),
        (
            |s| s.steps[1].inputs[0].from.as_mut().unwrap().output = "x".into(),
            "spec.steps[train].inputs[train].from.output",
            "no output",
        ),
        (|s| s.steps[1].inputs[0].uri = Some("s3://a/b".into()), "spec.steps[train].inputs[train]", "exactly one"),
        (
            |s| s.triggers = serde_json::from_value(json!([{"name": "new", "type": "Data"}])).unwrap(),
            "spec.triggers[new].data",
            "is missing",
        ),
        (
            |s| {
                s.triggers = serde_json::from_value(
                    json!([{"name": "new", "type": "Data", "data": {"contract": {"name": "x"}}}]),
                )
                .unwrap()
            },
            "spec.triggers[new].data.contract",
            "no input by uri has the contract \"x\"",
        ),
        (
            |s| s.steps[0].inputs[0].uri = Some("file:///etc/".into()),
            "spec.steps[prepare].inputs[raw].uri",
            "must begin",
        ),
        (
            |s| s.steps[0].inputs[0].uri = Some("s3://a/../b".into()),
            "spec.steps[prepare].inputs[raw].uri",
            "must not contain",
        ),
        (|s| s.steps[0].inputs[0].uri = Some("http://a/b/".into()), "spec.steps[prepare].inputs[raw].uri", "one file"),
        (
            |s| s.options.resources = serde_json::from_value(json!({"limits": {"memory": "8GB"}})).unwrap(),
            "spec.resources.limits[memory]",
            "no quantity",
        ),
        (
            |s| {
                let resources = json!({"requests": {"cpu": "2"}, "limits": {"cpu": "1500m"}});
                s.steps[1].options.resources = serde_json::from_value(resources).unwrap();
            },
            "spec.steps[train].resources.requests[cpu]",
            "more than its limit of 1500m",
        ),
        (
            |s| drop(s.options.pod.node_selector.insert("no key!".into(), "x".into())),
            "spec.pod.nodeSelector",
            "no name of a label",
        ),
        (
            |s| {
                s.options.pod.annotations = [("a//b".to_owned(), "x".to_owned())].into();
            },
            "spec.pod.annotations",
            "no name of a label",
        ),
        (
            |s| {
                s.options.pod.tolerations =
                    serde_json::from_value(json!([{"operator": "Exists", "value": "x"}])).unwrap()
            },
            "spec.pod.tolerations[0]",
            "takes no value",
        ),
        (
            |s| s.options.pod.tolerations = serde_json::from_value(json!([{"value": "x"}])).unwrap(),
            "spec.pod.tolerations[0]",
            "needs operator Exists",
        ),
        (
            |s| {
                let toleration = json!([{"key": "a", "effect": "NoSchedule", "tolerationSeconds": 5}]);
                s.options.pod.tolerations = serde_json::from_value(toleration).unwrap();
            },
            "spec.pod.tolerations[0]",
            "needs effect NoExecute",
        ),
        (|s| s.steps[0].command.clear(), "spec.steps[prepare].command", "empty"),
        (|s| s.options.image = None, "spec.steps[prepare].image", "missing"),
        (|s| s.steps[0].timeout = Some("2 days".into()), "spec.steps[prepare].timeout", "no duration"),
        (
            |s| s.steps[0].command = ["sh", "-ec", "x $(PARAM_RATE)"].map(Into::into).into(),
            "spec.steps[prepare].command",
            "as code",
        ),
        (|s| s.parameters[0].default = Some("x".into()), "spec.parameters[rate].default", "not of type Number"),
        (|s| s.publishes[0].artifact.output = "metrics".into(), "spec.publishes[churn].artifact", "type Model"),
        (|s| s.publishes[0].evidence[0].output = "model".into(), "spec.publishes[churn].evidence", "type Metrics"),
        (
            |s| s.options.env = vec![serde_json::from_value(json!({"name": "PARAM_X", "value": "1"})).unwrap()],
            "spec.env[PARAM_X]",
            "set by Seatrial",
        ),
        (|s| s.options.env = vec![serde_json::from_value(json!({"name": "X"})).unwrap()], "spec.env[X]", "exactly one"),
    ];
    for (mutate, path, text) in cases {
        let mut spec = valid();
        mutate(&mut spec);
        let problems = pipeline(&spec);
        assert!(problems.iter().any(|p| p.path == *path && p.message.contains(text)), "{path}: {problems:?}");
    }
}

#[test]
fn a_shell_script_may_use_its_own_variables() {
    let mut spec = valid();
    spec.steps[0].command = ["sh", "-c", "echo \"$PARAM_RATE\""].map(Into::into).into();
    assert_eq!(pipeline(&spec), []);
}

#[test]
fn values_are_of_their_parameters_types() {
    let cases = [
        (ParameterType::Integer, "42", true),
        (ParameterType::Integer, "-7", true),
        (ParameterType::Integer, "4.2", false),
        (ParameterType::Integer, "", false),
        (ParameterType::Number, "1e-3", true),
        (ParameterType::Number, "-0.5", true),
        (ParameterType::Number, ".5", false),
        (ParameterType::Number, "NaN", false),
        (ParameterType::Number, "1e9999", false),
        (ParameterType::Boolean, "true", true),
        (ParameterType::Boolean, "True", false),
        (ParameterType::String, "$(DB_PASSWORD)", true),
    ];
    for (kind, value, good) in cases {
        let parameter = Parameter { name: "p".into(), kind, default: None };
        assert_eq!(value_is_of_type(&parameter, value).is_ok(), good, "{kind:?} {value}");
    }
}

#[test]
fn a_runs_parameters_replace_defaults_and_must_exist() {
    let spec = valid();
    let value = |name: &str, value: &str| ParameterValue { name: name.into(), value: value.into() };
    assert_eq!(parameters(&spec, &[]).unwrap(), [value("rate", "0.1")]);
    assert_eq!(parameters(&spec, &[value("rate", "0.3")]).unwrap(), [value("rate", "0.3")]);
    let problems = parameters(&spec, &[value("speed", "1"), value("rate", "fast")]).unwrap_err();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(summary(&problems).contains("it has: rate"), "{problems:?}");
}

#[test]
fn durations_are_whole_hours_minutes_and_seconds() {
    for (text, seconds) in [("90s", 90), ("1h30m", 5400), ("2h", 7200), ("1h1m1s", 3661)] {
        assert_eq!(duration(text), Some(Duration::from_secs(seconds)), "{text}");
    }
    for text in ["", "90", "1m1h", "1.5h", "-1s", "s", "9999999h"] {
        assert_eq!(duration(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_panics_the_parsers(text in ".{0,60}") {
        let _ = duration(&text);
        let mut spec = valid();
        spec.steps[0].timeout = Some(text.clone());
        spec.steps[0].command = vec![text.clone(), "-c".into(), text.clone()];
        spec.steps[0].inputs[0].uri = Some(text.clone());
        spec.parameters[0].default = Some(text);
        let _ = pipeline(&spec);
    }
}

//! What the API server refuses at apply, and with which words; and that it accepts the largest valid objects.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

#[path = "schemas/sizes.rs"]
mod sizes;
#[path = "schemas/unions.rs"]
mod unions;

use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::discovery;
use seatrial_crds::{MLPipeline, Model, ModelDeployment, PodOptions, Resources};
use seatrial_e2e::{ControlPlane, client};
use serde_json::{Value, json};

fn pipeline() -> Value {
    json!({
        "apiVersion": "seatrial.dev/v1alpha1", "kind": "MLPipeline", "metadata": {"name": "churn", "namespace": "default"},
        "spec": {
            "image": "churn:1",
            "parameters": [{"name": "rate", "type": "Number", "default": "0.1"}],
            "steps": [
                {"name": "prepare", "command": ["prepare"], "inputs": [{"name": "raw", "uri": "s3://lake/raw/"}],
                 "outputs": [{"name": "train", "type": "Dataset"}]},
                {"name": "train", "command": ["train", "--rate", "$(PARAM_RATE)"],
                 "inputs": [{"name": "train", "from": {"step": "prepare", "output": "train"}}],
                 "outputs": [{"name": "model", "type": "Model"}, {"name": "metrics", "type": "Metrics"}]},
            ],
            "publishes": [{"model": "churn", "artifact": {"step": "train", "output": "model"},
                           "evidence": [{"step": "train", "output": "metrics"}]}],
        },
    })
}

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "seatrial.dev/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": "default"}, "spec": spec})
}

fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    *object.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")) = value;
    object
}

async fn api(client: &Client, value: &Value) -> Api<DynamicObject> {
    let group = discovery::group(client, "seatrial.dev").await.unwrap();
    let kind = value["kind"].as_str().unwrap();
    let (resource, _) = group.recommended_kind(kind).unwrap_or_else(|| panic!("{kind} is not served"));
    Api::namespaced_with(client.clone(), "default", &resource)
}

/// What the API server says to an object: nothing, or why not.
async fn dry_run(client: &Client, value: &Value) -> Result<(), String> {
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let object: DynamicObject = serde_json::from_value(value.clone()).unwrap();
    api(client, value).await.create(&params, &object).await.map(|_| ()).map_err(|error| error.to_string())
}

#[tokio::test]
async fn the_api_server_refuses_what_cannot_work_and_says_why() {
    let plane = ControlPlane::start("schemas").await.unwrap();
    let client = client(&plane.kubeconfig).await.unwrap();
    refusals(&client).await;
    unions::exactly_one_member(&client).await;
    unions::texts_that_no_process_can_take(&client).await;
    unions::numbers_without_quotes(&client).await;
    largest(&client).await;
    sizes::the_status_of_a_run_at_its_maxima(&client).await;
    immutability(&client).await;
    emptied(&client).await;
}

async fn refusals(client: &Client) {
    let many = |count: usize| -> Value {
        (0..count).map(|n| json!({"name": format!("s{n}"), "command": ["x"]})).collect::<Vec<_>>().into()
    };
    let prepared = json!({"step": "prepare", "output": "train"});
    let cases: Vec<(&str, Value, &str)> = vec![
        (
            "a step that names itself",
            with(pipeline(), "/spec/steps/1/inputs/0/from/step", json!("train")),
            "a step above this one",
        ),
        (
            "a later step",
            with(
                pipeline(),
                "/spec/steps/0/inputs/0",
                json!({"name": "raw", "from": {"step": "train", "output": "model"}}),
            ),
            "a step above this one",
        ),
        (
            "an unknown step",
            with(pipeline(), "/spec/steps/1/inputs/0/from/step", json!("nobody")),
            "a step above this one",
        ),
        (
            "a missing output",
            with(pipeline(), "/spec/steps/1/inputs/0/from/output", json!("nothing")),
            "an output of that step",
        ),
        (
            "a wrongly typed artifact",
            with(pipeline(), "/spec/publishes/0/artifact/output", json!("metrics")),
            "type is Model",
        ),
        (
            "wrongly typed evidence",
            with(pipeline(), "/spec/publishes/0/evidence/0/output", json!("model")),
            "type is Metrics",
        ),
        ("a duplicate step", with(pipeline(), "/spec/steps/1/name", json!("prepare")), "Duplicate value"),
        ("a duplicate output", with(pipeline(), "/spec/steps/1/outputs/1/name", json!("model")), "Duplicate value"),
        ("a long step name", with(pipeline(), "/spec/steps/0/name", json!("s".repeat(41))), "Too long"),
        ("a long pipeline name", with(pipeline(), "/metadata/name", json!("p".repeat(51))), "at most 50 characters"),
        (
            "a pipeline name with a dot",
            with(pipeline(), "/metadata/name", json!("a.b")),
            "lower-case letters, digits and -",
        ),
        ("an empty command", with(pipeline(), "/spec/steps/0/command", json!([])), "at least 1 items"),
        ("no steps", with(pipeline(), "/spec/steps", json!([])), "at least 1 items"),
        (
            "a wrong default",
            with(pipeline(), "/spec/parameters/0/default", json!("fast")),
            "not of the parameter's type",
        ),
        ("an unknown parameter type", with(pipeline(), "/spec/parameters/0/type", json!("Float")), "Unsupported value"),
        (
            "an unknown output type",
            with(pipeline(), "/spec/steps/0/outputs/0/type", json!("Table")),
            "Unsupported value",
        ),
        (
            "a parameter in a script",
            with(pipeline(), "/spec/steps/1/command", json!(["sh", "-ec", "x $(PARAM_RATE)"])),
            "pasted into it as code",
        ),
        ("too many steps", with(pipeline(), "/spec/steps", many(129)), "at most 128 items"),
        ("a long command", with(pipeline(), "/spec/steps/0/command/0", json!("x".repeat(2049))), "Too long"),
        (
            "uri and from at once",
            with(pipeline(), "/spec/steps/1/inputs/0", json!({"name": "a", "uri": "s3://a/b", "from": prepared})),
            "exactly one of uri and from",
        ),
        ("a file as uri", with(pipeline(), "/spec/steps/0/inputs/0/uri", json!("file:///etc/passwd")), "should match"),
        (
            "a reserved variable",
            with(
                pipeline(),
                "/spec/steps/0",
                json!({"name": "a", "command": ["x"], "env": [{"name": "PARAM_X", "value": "1"}]}),
            ),
            "set by Seatrial",
        ),
        (
            "no image",
            with(pipeline(), "/spec", json!({"steps": [{"name": "a", "command": ["x"]}]})),
            "image is required",
        ),
        (
            "a foreign label",
            with(
                pipeline(),
                "/spec/steps/0",
                json!({"name": "a", "command": ["x"], "pod": {"labels": {"seatrial.dev/run": "other"}}}),
            ),
            "set by controllers",
        ),
        (
            "a store on a metadata service",
            object("Store", "a", json!({"prefix": "http://169.254.169.254/"})),
            "metadata service",
        ),
        (
            "credentials for HTTP",
            object("Store", "a", json!({"prefix": "https://a/", "credentials": {"secretName": "s"}})),
            "belong to s3:// stores",
        ),
        (
            "two ways into a store",
            object(
                "Store",
                "a",
                json!({"prefix": "s3://a/", "credentials": {"secretName": "s", "webIdentity": {"role": "r"}}}),
            ),
            "exactly one of secretName and webIdentity",
        ),
        (
            "no way into a store",
            object("Store", "a", json!({"prefix": "s3://a/", "credentials": {}})),
            "exactly one of",
        ),
        (
            "a token for the API server",
            object(
                "Store",
                "a",
                json!({"prefix": "s3://a/", "credentials": {"webIdentity": {"role": "r", "audience": "https://kubernetes.default.svc"}}}),
            ),
            "audience must not be that of the cluster",
        ),
        (
            "a token without protection",
            object(
                "Store",
                "a",
                json!({"prefix": "s3://a/", "endpoint": "http://a", "credentials": {"webIdentity": {"role": "r"}}}),
            ),
            "never travels unprotected",
        ),
        (
            "an exchange at a metadata service",
            object(
                "Store",
                "a",
                json!({"prefix": "s3://a/", "credentials": {"webIdentity": {"role": "r", "stsEndpoint": "https://169.254.169.254"}}}),
            ),
            "metadata service",
        ),
        (
            "redirects of an S3 store",
            object("Store", "a", json!({"prefix": "s3://a/", "redirectHosts": ["cdn.example"]})),
            "redirectHosts belongs to http(s) stores",
        ),
        (
            "a redirect to a metadata service",
            object("Store", "a", json!({"prefix": "https://a/", "redirectHosts": ["169.254.169.254"]})),
            "metadata service",
        ),
        (
            "a redirect to a metadata service by its short name",
            object("Store", "a", json!({"prefix": "https://a/", "redirectHosts": ["metadata:80"]})),
            "metadata service",
        ),
        (
            "a URL as a host to redirect to",
            object("Store", "a", json!({"prefix": "https://a/", "redirectHosts": ["https://b/"]})),
            "should match",
        ),
        ("a prefix without a slash", object("Store", "a", json!({"prefix": "s3://a"})), "should match"),
        (
            "a gate without a bound",
            object(
                "Model",
                "a",
                json!({"owner": {"team": "t", "contact": "c"}, "objective": "o", "uses": ["Batch"], "gates": [{"name": "g", "type": "Metric", "metric": {"name": "auc"}}]}),
            ),
            "needs min or max",
        ),
        (
            "follow and version at once",
            object(
                "ModelDeployment",
                "a",
                json!({"model": "m", "follow": "Newest", "version": "m-v1", "server": {"image": "i", "port": 80}}),
            ),
            "exclude each other",
        ),
        (
            "another model's version",
            object(
                "ModelDeployment",
                "a",
                json!({"model": "m", "version": "n-v1", "server": {"image": "i", "port": 80}}),
            ),
            "one of the model",
        ),
        (
            "a version of another name",
            object("ModelVersion", "m-v2", version_spec()),
            "its model's name, -v, and its number",
        ),
        (
            "a version with a padded number",
            object("ModelVersion", "m-v01", version_spec()),
            "its model's name, -v, and its number",
        ),
    ];
    let mut wrong = vec![];
    for (what, value, text) in cases {
        match dry_run(client, &value).await {
            Ok(()) => wrong.push(format!("{what}: was accepted")),
            Err(said) if !said.contains(text) => wrong.push(format!("{what}: said {said}, expected {text:?}")),
            Err(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    dry_run(client, &pipeline()).await.unwrap();
    dry_run(client, &object("ModelVersion", "m-v1", version_spec())).await.unwrap();
}

fn version_spec() -> Value {
    let digest = format!("sha256:{}", "0".repeat(64));
    json!({
        "model": "m", "number": 1, "purpose": "Release",
        "artifact": {"uri": "s3://a/b", "digest": digest, "size": 1},
        "lineage": {"pipeline": "p", "run": "p-c1", "runUID": "u", "revision": 1},
    })
}

/// The order rule must hold at the API's own bounds: 128 steps with 16 inputs and 8 outputs each, names of full length.
async fn largest(client: &Client) {
    let name = |prefix: &str, n: usize| format!("{prefix}{n:0>width$}", width = 40 - prefix.len());
    let steps: Vec<Value> = (0..128)
        .map(|step| {
            let inputs: Vec<Value> = (0..16)
                .map(|input| match step {
                    0 => json!({"name": name("i", input), "uri": "s3://lake/raw/"}),
                    _ => {
                        json!({"name": name("i", input), "from": {"step": name("s", step - 1), "output": name("o", 7)}})
                    }
                })
                .collect();
            let outputs: Vec<Value> = (0..8).map(|output| json!({"name": name("o", output), "type": "Any"})).collect();
            json!({"name": name("s", step), "command": ["x"], "inputs": inputs, "outputs": outputs})
        })
        .collect();
    let largest = object("MLPipeline", "largest", json!({"image": "x", "steps": steps}));
    dry_run(client, &largest).await.unwrap();
    let wrong = with(largest, "/spec/steps/127/inputs/15/from/step", json!(name("s", 127)));
    assert!(dry_run(client, &wrong).await.unwrap_err().contains("a step above this one"));
}

async fn immutability(client: &Client) {
    let run = json!({"pipeline": "churn", "parameters": [{"name": "size", "value": "1"}]});
    let cases = [
        (object("MLPipelineRun", "a", run.clone()), "/spec/pipeline", json!("other"), "a run's spec is immutable"),
        (
            object("MLPipelineRun", "b", run.clone()),
            "/spec/parameters/0/value",
            json!("2"),
            "a run's spec is immutable",
        ),
        // A field that comes or goes is a change, too.
        (object("MLPipelineRun", "c", run), "/spec", json!({"pipeline": "churn"}), "a run's spec is immutable"),
        (
            object("MLPipelineRun", "d", json!({"pipeline": "churn"})),
            "/spec",
            json!({"pipeline": "churn", "purpose": "Release"}),
            "a run's spec is immutable",
        ),
        (
            object("ModelDeployment", "a", json!({"model": "m", "server": {"image": "i", "port": 80}})),
            "/spec/model",
            json!("n"),
            "model is immutable",
        ),
        (
            object("ModelVersion", "m-v1", version_spec()),
            "/spec/artifact/size",
            json!(2),
            "a version's spec is immutable",
        ),
        (object("Store", "a", json!({"prefix": "s3://a/"})), "/spec/prefix", json!("s3://b/"), "prefix is immutable"),
    ];
    for (value, pointer, other, text) in cases {
        let api = api(client, &value).await;
        let created: DynamicObject =
            api.create(&PostParams::default(), &serde_json::from_value(value.clone()).unwrap()).await.unwrap();
        let changed = with(serde_json::to_value(created).unwrap(), pointer, other);
        let name = changed["metadata"]["name"].as_str().unwrap().to_owned();
        let answer = api.replace(&name, &PostParams::default(), &serde_json::from_value(changed).unwrap()).await;
        let said = answer.unwrap_err().to_string();
        assert!(said.contains(text), "{said}");
    }
}

/// A server-side apply makes null of an object that it empties. Charts do that, with `resources: {}`.
async fn emptied(client: &Client) {
    let pod = json!({
        "resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "1"}},
        "pod": {"nodeSelector": {"a": "b"}, "labels": {"a": "b"}, "annotations": {"a": "b"}},
    });
    let without = json!({"resources": {}, "pod": {}});
    let inner = json!({"resources": {"requests": {}, "limits": {}}, "pod": {"nodeSelector": {}, "labels": {}, "annotations": {}}});
    let apply = async |value: &Value| {
        let params = PatchParams::apply("test").force();
        let name = value["metadata"]["name"].as_str().unwrap();
        api(client, value).await.patch(name, &params, &Patch::Apply(value)).await.unwrap_or_else(|error| {
            panic!("{value:#} should be taken: {error}");
        })
    };
    let merged = |base: &Value, options: &Value| {
        let mut base = base.clone();
        base.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        base
    };
    let step = json!({"name": "a", "command": ["x"]});
    let pipeline = |options: &Value| {
        let steps = vec![merged(&step, options)];
        object("MLPipeline", "emptied", merged(&json!({"image": "i", "steps": steps}), options))
    };
    let server = json!({"image": "i", "port": 80});
    let deployment = |options: &Value| {
        object("ModelDeployment", "emptied", json!({"model": "m", "server": merged(&server, options)}))
    };
    let about = json!({"owner": {"team": "t", "contact": "c"}, "objective": "o", "uses": ["Batch"]});
    let model = |budget: Value| object("Model", "emptied", merged(&about, &json!({"budget": budget})));
    for fewer in [&without, &inner] {
        for value in [pipeline(&pod), pipeline(fewer), deployment(&pod), deployment(fewer)] {
            apply(&value).await;
        }
    }
    apply(&model(json!({"maxSize": "1Gi"}))).await;
    apply(&model(json!({}))).await;

    // Read as the operator does, nothing is left of them.
    let pipelines: Api<MLPipeline> = Api::default_namespaced(client.clone());
    let spec = pipelines.get("emptied").await.unwrap().spec;
    let options = spec.steps[0].options.clone();
    for options in [options, spec.options] {
        assert_eq!(options.resources.unwrap_or_default(), Resources::default());
        assert_eq!(options.pod, PodOptions::default());
    }
    let deployments: Api<ModelDeployment> = Api::default_namespaced(client.clone());
    assert!(deployments.get("emptied").await.unwrap().spec.server.options.pod.node_selector.is_empty());
    let models: Api<Model> = Api::default_namespaced(client.clone());
    assert_eq!(models.get("emptied").await.unwrap().spec.budget.and_then(|budget| budget.max_size), None);
}

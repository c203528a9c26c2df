//! Nothing that people may ask for gets lost on its way into a pod.

use serde_json::{Map, Value, from_value, json, to_value};

use super::*;

/// A value with every field that the schema has, unions included.
fn sample(schema: &Value) -> Value {
    if schema["x-kubernetes-int-or-string"] == true {
        return json!("1");
    }
    match schema["type"].as_str().unwrap() {
        "object" => {
            let fields = schema["properties"].as_object().cloned().unwrap_or_default();
            let mut fields: Map<String, Value> =
                fields.iter().map(|(name, field)| (name.clone(), sample(field))).collect();
            if schema["additionalProperties"].is_object() {
                fields.insert("key".into(), sample(&schema["additionalProperties"]));
            }
            fields.into()
        }
        "array" => vec![sample(&schema["items"])].into(),
        "string" => schema["enum"].get(0).cloned().unwrap_or_else(|| json!("text")),
        "integer" => json!(1),
        "boolean" => json!(true),
        other => panic!("no sample for {other}"),
    }
}

#[test]
fn every_option_reaches_the_pod() {
    let manifests = seatrial_crds::manifests::all().unwrap();
    let pipelines = manifests.iter().find(|manifest| manifest.plural == "mlpipelines").unwrap();
    let spec = &pipelines.value["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let fields = ["image", "env", "envFrom", "resources", "pod"];
    let asked: Map<String, Value> =
        fields.iter().map(|name| ((*name).to_owned(), sample(&spec["properties"][name]))).collect();
    let asked = Value::from(asked);
    let options: WorkloadOptions = from_value(asked.clone()).unwrap();
    assert_eq!(to_value(&options).unwrap(), asked, "the types know less than the schema");
    assert_eq!(merge(&options, &WorkloadOptions::default()), options);
    assert_eq!(merge(&WorkloadOptions::default(), &options), options);

    let platform = Platform::default();
    let container = to_value(Container {
        env: Some(user_variables(&options)),
        env_from: user_variable_sources(&options),
        resources: resources(&options),
        volume_mounts: Some(user_mounts(&options)),
        security_context: Some(user_security(&options, &platform)),
        ..Container::default()
    })
    .unwrap();
    for field in ["env", "envFrom", "resources"] {
        assert_eq!(container[field], asked[field], "{field}");
    }
    let pod = to_value(pod_spec(&options, vec![], vec![Container::default()], &[], &platform)).unwrap();
    for (field, value) in asked["pod"].as_object().unwrap() {
        match field.as_str() {
            "labels" => assert_eq!(to_value(labels(&options, &BTreeMap::new())).unwrap()["key"], value["key"]),
            "annotations" => assert_eq!(&to_value(annotations(&options)).unwrap(), value),
            "volumeMounts" => assert_eq!(container["volumeMounts"][0], value[0]),
            "volumes" => assert!(pod["volumes"].as_array().unwrap().contains(&value[0]), "{pod:#}"),
            "sharedMemory" => {
                let memory = pod["volumes"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .find(|volume| volume["name"] == "seatrial-shared-memory")
                    .unwrap();
                assert_eq!(memory["emptyDir"], json!({"medium": "Memory", "sizeLimit": value}));
                assert_eq!(container["volumeMounts"][1]["mountPath"], "/dev/shm");
            }
            "securityContext" => {
                for (field, value) in value.as_object().unwrap() {
                    let found = [&container["securityContext"][field], &pod["securityContext"][field]];
                    assert!(found.contains(&value), "securityContext.{field}");
                }
            }
            _ => assert_eq!(&pod[field], value, "{field}"),
        }
    }
}

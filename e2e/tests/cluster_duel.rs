//! Duels on a real cluster: a better version passes, a worse one fails, a champion that the new code cannot read decides nothing.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use seatrial_e2e::full::{Cluster, Namespace, image};
use serde_json::Value;

/// A Model that asks that a version is better than the champion.
fn model(min_gain: &str) -> String {
    format!(
        r#"
apiVersion: seatrial.dev/v1alpha1
kind: Model
metadata: {{name: guess}}
spec:
  owner: {{team: e2e, contact: e2e@example.com}}
  objective: Guess
  uses: [Batch]
  task: {{type: BinaryClassification, positiveLabel: "1"}}
  errorCosts: {{falsePositive: "1", falseNegative: "4", unit: EUR, prevalence: "0.25", statusQuo: FlagNone}}
  fairness: {{notApplicable: {{reason: there are no groups}}}}
  consumers: []
  gates: [{{name: better, type: Champion, champion: {{metric: Cost, minGain: "{min_gain}"}}}}]
"#
    )
}

/// A step that makes a model which is right so often, and one that evaluates it on 2,000 rows, and knows the part by this name.
fn pipeline(quality: &str, name: &str) -> String {
    format!(
        r#"
apiVersion: seatrial.dev/v1alpha1
kind: MLPipeline
metadata: {{name: guess}}
spec:
  image: {}
  steps:
    - name: train
      command: [python, -c]
      args:
        - |
          import json, os
          json.dump({{"{name}": {quality}}}, open(os.environ["OUTPUT_MODEL"] + "/model.json", "w"))
      outputs: [{{name: model, type: Model}}]
    - name: evaluate
      command: [python, -c]
      args:
        - |
          import hashlib, json, os
          part = json.load(open(os.environ["INPUT_MODEL"] + "/model.json"))["{name}"]
          with open(os.environ["OUTPUT_SCORED"], "w") as table:
              print("id,label,score", file=table)
              for row in range(2000):
                  label = int(row % 4 == 0)
                  luck = int(hashlib.sha256(str(row).encode()).hexdigest()[:8], 16) / 2**32
                  print(row, label, 0.1 + 0.8 * (label if luck < part else 1 - label), sep=",", file=table)
      inputs: [{{name: model, from: {{step: train, output: model}}}}]
      outputs: [{{name: scored, type: Predictions}}]
  publishes: [{{model: guess, artifact: {{step: train, output: model}}, evidence: [{{step: evaluate, output: scored}}]}}]
"#,
        image("mortgage:1.0")
    )
}

/// Trains version `number`, and waits for its verdict: the champion's name, the verdict, and the sentence of the gate.
fn trained(
    cluster: &Cluster,
    namespace: &Namespace,
    number: u32,
    quality: &str,
    name: &str,
) -> (Value, String, String) {
    namespace.apply(&pipeline(quality, name));
    let version = cluster.wait(&namespace.name, "modelversion", &format!("guess-v{number}"), 400, |version| {
        let verdict = version["status"]["verdict"].as_str().unwrap_or("Pending");
        !matches!(verdict, "Pending" | "Unjudged")
    });
    let status = &version["status"];
    let gates = status["judgements"][0]["gates"].as_array().cloned().unwrap_or_default();
    let gate = gates.iter().find(|gate| gate["name"] == "better").cloned().unwrap_or_default();
    let message = gate["message"].as_str().unwrap_or_default().to_owned();
    println!("guess-v{number}, {}: {message}", status["verdict"]);
    let verdict = gate["verdict"].as_str().unwrap_or_default().to_owned();
    (status["duel"]["champion"]["version"].clone(), verdict, message)
}

#[test]
fn a_version_is_compared_with_the_champion_on_the_same_rows() {
    let cluster = Cluster::prepared();
    let namespace = Namespace::new(&cluster, "duel");
    namespace.apply(&model("0"));
    let (champion, verdict, message) = trained(&cluster, &namespace, 1, "0.8", "part");
    assert_eq!((champion, verdict.as_str()), (Value::Null, "Passed"), "{message}");
    assert!(message.contains("FirstVersion"), "{message}");
    let (champion, verdict, message) = trained(&cluster, &namespace, 2, "0.85", "part");
    assert_eq!((champion, verdict.as_str()), ("guess-v1".into(), "Passed"), "{message}");
    assert!(message.contains("for each prediction against the champion guess-v1"), "{message}");
    let (champion, verdict, message) = trained(&cluster, &namespace, 3, "0.7", "part");
    assert_eq!((champion, verdict.as_str()), ("guess-v2".into(), "Failed"), "{message}");
    // What the new evaluation looks for, the champion's file does not have.
    let (champion, verdict, message) = trained(&cluster, &namespace, 4, "0.9", "share");
    assert_eq!((champion, verdict.as_str()), ("guess-v2".into(), "Inconclusive"), "{message}");
    assert!(message.contains("KeyError"), "{message}");
    let jobs = |component: &str| cluster.list(&namespace.name, "jobs", &format!("seatrial.dev/component={component}"));
    let (duels, judges) = (jobs("duel").len(), jobs("judge").len());
    // Four versions were measured, and two compared.
    assert_eq!((duels, judges), (3, 6));
    // Another bar is judged at once, by what was counted. Version 3 passes only since the Model changed.
    namespace.apply(&model("-2"));
    let version =
        cluster.wait(&namespace.name, "modelversion", "guess-v3", 60, |version| version["status"]["verdict"] == "Held");
    assert_eq!((jobs("duel").len(), jobs("judge").len()), (duels, judges), "{version:#}");
}

//! Data contracts on a real cluster: good data let a step run, and each kind of broken data stops it before its command.
#![allow(clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

use std::fmt::Write;

use seatrial_e2e::full::{Cluster, Namespace, condition, image, step};
use serde_json::Value;

/// What the producer promises.
const CONTRACT: &str = r#"
apiVersion: seatrial.dev/v1alpha1
kind: DataContract
metadata: {name: customers}
spec:
  contract:
    apiVersion: v3.1.0
    kind: DataContract
    id: e2e
    version: 1.0.0
    status: active
    schema:
      - name: customers
        quality: [{metric: rowCount, mustBeBetween: [2, 4]}]
        properties:
          - {name: id, logicalType: integer, primaryKey: true}
          - {name: age, logicalType: integer, required: true, logicalTypeOptions: {minimum: 18, maximum: 120}}
          - name: country
            logicalType: string
            quality: [{metric: invalidValues, arguments: {validValues: [DE, FR]}, mustBe: 0}]
          - {name: since, logicalType: date}
"#;

/// The data of each step, and the word that the sentence about them has.
const HEADER: &str = "id,age,country,since";
const GOOD: &str = "1,42,DE,2020-01-31\n2,18,FR,2021-02-28";
const BROKEN: [(&str, &str, &str); 14] = [
    ("missing-column", "id,age,since\n1,42,2020-01-31\n2,18,2021-02-28", "country"),
    ("renamed-column", "id,Age,country,since\n1,42,DE,2020-01-31\n2,18,FR,2021-02-28", "age"),
    ("column-twice", "id,age,age,country,since\n1,42,42,DE,2020-01-31\n2,18,18,FR,2021-02-28", "age"),
    ("text-among-numbers", "id,age,country,since\n1,old,DE,2020-01-31\n2,18,FR,2021-02-28", "age"),
    ("no-value", "id,age,country,since\n1,,DE,2020-01-31\n2,18,FR,2021-02-28", "age"),
    ("key-twice", "id,age,country,since\n1,42,DE,2020-01-31\n1,18,FR,2021-02-28", "id"),
    ("too-small", "id,age,country,since\n1,17,DE,2020-01-31\n2,18,FR,2021-02-28", "age"),
    ("too-large", "id,age,country,since\n1,121,DE,2020-01-31\n2,18,FR,2021-02-28", "age"),
    ("other-value", "id,age,country,since\n1,42,XX,2020-01-31\n2,18,FR,2021-02-28", "country"),
    ("no-date", "id,age,country,since\n1,42,DE,2020-02-31\n2,18,FR,2021-02-28", "since"),
    ("too-few-rows", "id,age,country,since\n1,42,DE,2020-01-31", "row"),
    (
        "too-many-rows",
        "id,age,country,since\n1,42,DE,2020-01-31\n2,42,DE,2020-01-31\n3,42,DE,2020-01-31\n4,42,DE,2020-01-31\n5,42,DE,2020-01-31",
        "row",
    ),
    ("no-rows", "id,age,country,since", "row"),
    ("broken-quoting", "id,age,country,since\n1,42,\"DE,2020-01-31\n2,18,FR,2021-02-28", ""),
];

/// A pipeline whose first step writes data as its outputs, and each of whose others reads one of them by the contract.
fn pipeline(name: &str, data: &[(&str, &str)]) -> String {
    let mut script = String::from("import os\n");
    let (mut outputs, mut steps) = (String::new(), String::new());
    for (output, content) in data {
        let variable = format!("OUTPUT_{}", output.replace('-', "_").to_ascii_uppercase());
        let _ = writeln!(script, "open(os.environ['{variable}'] + '/data.csv', 'w').write({content:?})");
        let _ = writeln!(outputs, "        - {{name: {output}, type: Dataset}}");
        let _ = write!(
            steps,
            "    - name: {output}
      command: [python, -c, \"print('it ran')\"]
      inputs: [{{name: raw, from: {{step: make, output: {output}}}, contract: {{name: customers, version: 1.0.0}}}}]
"
        );
    }
    let script: String = script.lines().map(|line| format!("          {line}\n")).collect();
    format!(
        "apiVersion: seatrial.dev/v1alpha1
kind: MLPipeline
metadata: {{name: {name}}}
spec:
  image: {}
  steps:
    - name: make
      command: [python, -c]
      args:
        - |
{script}      outputs:
{outputs}{steps}",
        image("mortgage:1.0")
    )
}

/// How the container of a step's command stands in the step's one pod.
fn command_container(cluster: &Cluster, namespace: &Namespace, run: &Value, name: &str) -> Value {
    let job = step(run, name)["job"].as_str().unwrap_or_default().to_owned();
    let pods = cluster.list(&namespace.name, "pods", &format!("batch.kubernetes.io/job-name={job}"));
    assert_eq!(pods.len(), 1, "{name}: what is broken is not tried again");
    let statuses = pods[0]["status"]["containerStatuses"].as_array().cloned().unwrap_or_default();
    statuses.into_iter().find(|status| status["name"] == "step").unwrap_or(Value::Null)
}

#[test]
fn good_data_pass_and_each_kind_of_broken_data_stops_the_step_before_its_command() {
    let cluster = Cluster::prepared();
    let namespace = Namespace::new(&cluster, "contracts");
    namespace.apply(CONTRACT);
    cluster.wait(&namespace.name, "datacontract", "customers", 60, |contract| {
        condition(contract, "Ready")["status"] == "True"
    });
    let good = format!("{HEADER}\n{GOOD}");
    // Alone: where another step fails, those that have not begun are skipped.
    namespace.apply(&pipeline("good", &[("good", &good)]));
    for (name, chunk) in ["one", "two"].into_iter().zip(BROKEN.chunks(7)) {
        let data: Vec<(&str, &str)> = chunk.iter().map(|(name, content, _)| (*name, *content)).collect();
        namespace.apply(&pipeline(name, &data));
    }
    let run = cluster.wait_for_run(&namespace.name, "good-c1", 240);
    assert_eq!(condition(&run, "Succeeded")["status"], "True", "{run:#}");
    let check = &step(&run, "good")["checks"][0];
    assert_eq!((&check["verdict"], &check["rows"]), (&"Passed".into(), &2.into()), "{check:#}");
    assert!(check["report"].as_str().is_some_and(|digest| digest.starts_with("sha256:")), "{check:#}");
    let ran = command_container(&cluster, &namespace, &run, "good");
    assert!(ran["state"]["terminated"]["startedAt"].is_string(), "{ran:#}");
    for (name, chunk) in ["one", "two"].into_iter().zip(BROKEN.chunks(7)) {
        let run = cluster.wait_for_run(&namespace.name, &format!("{name}-c1"), 300);
        assert_eq!(condition(&run, "Succeeded")["reason"], "StepFailed", "{run:#}");
        for (broken, _, word) in chunk {
            let failed = step(&run, broken);
            let (verdict, reason) = (&failed["checks"][0]["verdict"], &failed["reason"]);
            let is_told = (verdict == "Failed" && reason == "ContractBroken")
                || (verdict == "Inconclusive" && reason == "ContractUnproven");
            assert!(is_told, "{broken}: {failed:#}");
            let message = failed["message"].as_str().unwrap_or_default();
            assert!(message.to_lowercase().contains(word), "{broken}: {message}");
            let container = command_container(&cluster, &namespace, &run, broken);
            let began = ["running", "terminated"].iter().any(|state| container["state"][state].is_object());
            assert!(
                !began && container["lastState"]["terminated"].is_null(),
                "{broken}: its command began: {container:#}"
            );
            println!("ok: {broken}: {message}");
        }
    }
}

/// A contract with a schedule of every minute, whose data are one file.
fn scheduled(name: &str, uri: &str) -> String {
    let check =
        format!("  check:\n    schedule: {{cron: \"* * * * *\"}}\n    data: [{{schema: customers, uri: \"{uri}\"}}]\n");
    CONTRACT
        .replace("name: customers}\nspec:", &format!("name: {name}}}\nspec:"))
        .replace("spec:\n", &format!("spec:\n{check}"))
}

#[test]
fn a_contract_checks_its_data_on_its_own_schedule() {
    let cluster = Cluster::prepared();
    let namespace = Namespace::new(&cluster, "contracts-scheduled");
    namespace.apply(CONTRACT);
    let (good, broken) = (format!("{HEADER}\n{GOOD}"), BROKEN[6].1);
    // What a step wrote lies in the namespace's own store by its content.
    namespace.apply(&pipeline("data", &[("good", &good), ("broken", broken)]));
    cluster.wait_for_run(&namespace.name, "data-c1", 300);
    let uri = |content: &str| {
        let object = seatrial_core::contract::layout::object(&seatrial_core::contract::Digest::of(content.as_bytes()));
        format!("s3://{}/{object}", namespace.name)
    };
    namespace.apply(&scheduled("good", &uri(&good)));
    namespace.apply(&scheduled("broken", &uri(broken)));
    let contract = cluster.wait(&namespace.name, "datacontract", "good", 240, |contract| {
        condition(contract, "Honoured")["status"] == "True"
    });
    let newest = &contract["status"]["checks"][0];
    assert_eq!((&newest["verdict"], &newest["tables"][0]["rows"]), (&"Passed".into(), &2.into()), "{newest:#}");
    let first = newest["scheduledAt"].clone();
    let contract = cluster.wait(&namespace.name, "datacontract", "broken", 240, |contract| {
        condition(contract, "Honoured")["status"] == "False"
    });
    assert_eq!(condition(&contract, "Honoured")["reason"], "ContractBroken", "{contract:#}");
    let table = &contract["status"]["checks"][0]["tables"][0];
    assert!(table["message"].as_str().is_some_and(|message| message.contains("age")), "{table:#}");
    // The next one finds the same data, and does not read them again.
    let contract = cluster.wait(&namespace.name, "datacontract", "good", 240, |contract| {
        contract["status"]["checks"][0]["scheduledAt"] != first && contract["status"]["checking"].is_null()
    });
    assert_eq!(contract["status"]["checks"].as_array().map(Vec::len), Some(1), "{contract:#}");
    let said = |pod: &Value| {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        // One of a third check may not have come so far.
        cluster.try_kubectl(&format!("-n {} logs {name} -c seatrial-check", namespace.name), "").unwrap_or_default()
    };
    let said: Vec<String> =
        cluster.list(&namespace.name, "pods", "seatrial.dev/contract=good").iter().map(said).collect();
    assert!(said.iter().any(|said| said.contains("are those that were checked before")), "{said:#?}");
    let jobs = cluster.list(&namespace.name, "jobs", "seatrial.dev/contract=broken");
    assert!(
        jobs.iter().all(|job| condition(job, "Failed").is_null()),
        "data that break their contract are no failed Job"
    );
}

#[test]
fn new_data_start_one_run() {
    let cluster = Cluster::prepared();
    let namespace = Namespace::new(&cluster, "contracts-triggered");
    namespace.apply(CONTRACT);
    let (first, second) = (format!("{HEADER}\n{GOOD}"), format!("{HEADER}\n3,19,DE,2020-01-31\n4,18,FR,2021-02-28"));
    namespace.apply(&pipeline("data", &[("first", &first), ("second", &second)]));
    cluster.wait_for_run(&namespace.name, "data-c1", 300);
    let uri = |content: &str| {
        let object = seatrial_core::contract::layout::object(&seatrial_core::contract::Digest::of(content.as_bytes()));
        format!("s3://{}/{object}", namespace.name)
    };
    namespace.apply(&scheduled("good", &uri(&first)));
    let reads = format!(
        "apiVersion: seatrial.dev/v1alpha1
kind: MLPipeline
metadata: {{name: work}}
spec:
  image: {}
  triggers: [{{name: new-data, type: Data, data: {{contract: {{name: good}}}}}}]
  steps:
    - name: read
      command: [python, -c, \"print('it ran')\"]
      inputs: [{{name: raw, uri: \"{}\", contract: {{name: good}}}}]
",
        image("mortgage:1.0"),
        uri(&first)
    );
    namespace.apply(&reads);
    cluster.wait_for_run(&namespace.name, "work-c1", 240);
    let data = |pipeline: &Value| pipeline["status"]["data"][0]["digest"].clone();
    let pipeline = cluster.wait(&namespace.name, "mlpipeline", "work", 240, |pipeline| data(pipeline).is_string());
    assert_eq!(pipeline["status"]["revision"], 1, "the first run read what the first check found: {pipeline:#}");
    namespace.apply(&scheduled("good", &uri(&second)));
    let run = cluster.wait_for_run(&namespace.name, "work-c2", 240);
    assert_eq!(run["metadata"]["annotations"]["seatrial.dev/trigger"], "new-data", "{run:#}");
    // The next check finds the same.
    let newest = |contract: &Value| contract["status"]["checks"][0]["scheduledAt"].clone();
    let before = newest(&cluster.get(&namespace.name, "datacontract", "good"));
    cluster.wait(&namespace.name, "datacontract", "good", 240, |contract| newest(contract) != before);
    let again = cluster.get(&namespace.name, "mlpipeline", "work");
    assert_eq!((&again["status"]["revision"], data(&again) == data(&pipeline)), (&2.into(), false), "{again:#}");
}

#[test]
fn a_contract_that_serves_nobody_else_stops_a_run_before_it_begins() {
    let cluster = Cluster::prepared();
    let producer = Namespace::new(&cluster, "contracts-producer");
    let consumer = Namespace::new(&cluster, "contracts-consumer");
    producer.apply(CONTRACT);
    let named = format!("contract: {{namespace: {}, name: customers", producer.name);
    let good = format!("{HEADER}\n{GOOD}");
    consumer.apply(&pipeline("work", &[("good", &good)]).replace("contract: {name: customers", &named));
    let run = cluster.wait(&consumer.name, "mlpipelinerun", "work-c1", 120, |run| {
        condition(run, "Succeeded")["reason"] == "ContractNotFound"
    });
    assert!(run["status"]["startedAt"].is_null(), "{run:#}");
    cluster.kubectl(&format!(
        "-n {} patch datacontract customers --type merge -p {{\"spec\":{{\"serves\":[\"{}\"]}}}}",
        producer.name, consumer.name
    ));
    let run = cluster.wait_for_run(&consumer.name, "work-c1", 240);
    assert_eq!(condition(&run, "Succeeded")["status"], "True", "{run:#}");
    let check = &step(&run, "good")["checks"][0];
    assert_eq!(check["contract"], format!("{}/customers", producer.name), "{check:#}");
}

//! The example's whole way, on a cluster that runs pods: what the demo made, then changed, upgraded, left alone. Goes on
//! from where `e2e/demo` ended, before any other test.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod measured;

use std::process::{Child, Stdio};
use std::time::Instant;

use seatrial_e2e::full::{Cluster, ENDS_WHEN_TOLD, Namespace, condition, pipeline_of_one_step, step, wait_for};
use serde_json::Value;

const URL: &str = "http://mortgage-denial.mortgage.svc/v2/models/mortgage-denial/infer";

#[test]
fn journey() {
    let cluster = Cluster::prepared();
    trained_judged_and_served(&cluster);
    verified(&cluster);
    another_cost_is_judged_at_once(&cluster);
    changed_without_a_failed_request(&cluster);
    a_candidate_that_does_not_start_disturbs_nothing(&cluster);
    scaled(&cluster);
    the_leader_is_killed(&cluster);
    upgraded_without_a_restart(&cluster);
    upgraded_while_a_run_is_under_way(&cluster);
    measured::left_alone(&cluster);
}

/// A file of the example, with the images where they are.
fn example(file: &str) -> String {
    let text = std::fs::read_to_string(seatrial_e2e::checkout().join("examples/mortgage").join(file)).unwrap();
    let prefix = std::env::var("IMAGE_PREFIX").unwrap_or_else(|_| "registry.local/seatrial".to_owned());
    text.replace("registry.local/seatrial/", &format!("{prefix}/"))
}

fn wait_until_served(cluster: &Cluster, version: &str) {
    cluster.wait("mortgage", "modeldeployment", "mortgage-denial", 300, |deployment| {
        deployment["status"]["servedVersion"] == version && condition(deployment, "Ready")["status"] == "True"
    });
}

fn trained_judged_and_served(cluster: &Cluster) {
    let run = cluster.get("mortgage", "mlpipelinerun", "mortgage-c1");
    assert_eq!(condition(&run, "Succeeded")["status"], "True", "{run:#}");
    let version = cluster.get("mortgage", "modelversion", "mortgage-denial-v1");
    assert_eq!(condition(&version, "Passed")["status"], "True", "{version:#}");
    assert!(
        version["spec"]["lineage"]["inputs"][0]["digest"].as_str().is_some_and(|digest| digest.starts_with("sha256:"))
    );
    assert!(version["spec"]["lineage"]["images"].as_array().is_some_and(|images| images.len() == 3), "{version:#}");
    wait_until_served(cluster, "mortgage-denial-v1");
    if let Some(log) = &cluster.audit_log {
        measured::counted(cluster, log);
    }
    let said = predict(cluster);
    assert!(said.contains("200 OK") && said.contains("predict_proba"), "{said}");
    measured::listed(cluster);
}

/// What the version claims is so: its files, the run that made them, and each gate.
fn verified(cluster: &Cluster) {
    let (holds, text) = cluster.plugin("mortgage", &["verify", "mortgage-denial-v1"]);
    let is_ok = |what: &str| text.lines().any(|line| line.starts_with(&format!("ok       {what}")));
    let things = ["files:", "evidence evaluate.", "origin:", "judgement:"];
    assert!(holds && things.iter().all(|what| is_ok(what)), "{text}");
}

/// Another cost is judged at once: no Job measures again, and nothing of what serves changes.
fn another_cost_is_judged_at_once(cluster: &Cluster) {
    let judges = || cluster.list("mortgage", "jobs", "seatrial.dev/component=judge").len();
    let before = judges();
    let judged = |cost: &str| {
        cluster
            .apply(&example("20-model.yaml").replace(r#"falseNegative: "3""#, &format!(r#"falseNegative: "{cost}""#)));
        let generation = cluster.get("mortgage", "model", "mortgage-denial")["metadata"]["generation"].clone();
        cluster.wait("mortgage", "model", "mortgage-denial", 60, |model| {
            model["status"]["observedGeneration"] == generation
        });
        let number = if cost == "3" { 3 } else { 2 };
        let version = cluster.wait("mortgage", "modelversion", "mortgage-denial-v1", 60, |version| {
            version["status"]["judgements"].as_array().is_some_and(|judgements| judgements.len() == number)
        });
        let gates = version["status"]["judgements"][0]["gates"].as_array().unwrap();
        let found = gates.iter().find(|gate| gate["name"] == "errorCosts").unwrap().clone();
        println!("a missed denial costs {cost}: {}", found["message"]);
        found
    };
    let dear = judged("30");
    let cheap = judged("3");
    assert_ne!(dear["value"], cheap["value"]);
    assert_eq!(judges(), before, "what was measured is measured again");
    let version = cluster.get("mortgage", "modelversion", "mortgage-denial-v1");
    assert_eq!(version["status"]["judgements"].as_array().unwrap().len(), 3, "{version:#}");
    assert_eq!(version["status"]["judgements"][0]["labels"], "Owner", "{version:#}");
    assert!(version["status"]["threshold"]["value"].is_string(), "{version:#}");
    wait_until_served(cluster, "mortgage-denial-v1");
}

/// Sends predictions in the background, until its standard input is closed.
fn load(cluster: &Cluster, rate: u32, keep_alive: &str) -> Child {
    let script = std::fs::read_to_string(seatrial_e2e::checkout().join("e2e/load.py")).unwrap();
    cluster
        .command("kubectl")
        .args(["-n", "mortgage", "exec", "-i", "deployment/mortgage-data", "--", "python", "-c", &script, URL])
        .args([rate.to_string(), keep_alive.to_owned()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn changed_without_a_failed_request(cluster: &Cluster) {
    let streams = [
        ("a connection for each request", load(cluster, 100, "off")),
        ("connections kept alive", load(cluster, 100, "on")),
    ];
    let began = Instant::now();
    let other = example("30-pipeline.yaml").replace(r#"default: "0.1""#, r#"default: "0.05""#);
    cluster.apply(&other);
    cluster.wait_for_run("mortgage", "mortgage-c2", 300);
    wait_until_served(cluster, "mortgage-denial-v2");
    // Who is asked changes nothing of what was learned.
    cluster.apply(&example("20-model.yaml").replace("lending@example.com", "risk@example.com"));
    // The older spec again is a change again.
    cluster.apply(&example("30-pipeline.yaml"));
    cluster.wait_for_run("mortgage", "mortgage-c3", 300);
    wait_until_served(cluster, "mortgage-denial-v3");
    // Only when the last of the old servers is gone has the stream seen all of both changes.
    let servers = || cluster.list("mortgage", "pods", "seatrial.dev/deployment").len();
    wait_for("the old servers are gone", 180, || (servers() == 1).then_some(()));
    let took = began.elapsed();
    for (name, mut child) in streams {
        assert!(child.try_wait().unwrap().is_none(), "the stream of requests broke off");
        // The stream ends with its input.
        drop(child.stdin.take());
        let output = child.wait_with_output().unwrap();
        let counts: Value = serde_json::from_slice(&output.stdout).unwrap();
        println!("two changes of version under load, {name}: {counts}");
        // A stream it must be, however busy the machine is: it pauses only where all that send wait for slow answers.
        assert!(counts["sent"].as_u64().unwrap() > took.as_secs() * 10, "{counts}");
        assert!(counts["pause"].as_f64().unwrap() <= counts["slowest"].as_f64().unwrap() + 2.0, "{counts}");
        assert_eq!(counts["sent"], counts["counts"]["ok"], "requests failed: {counts}");
        // A request may cross the end of a connection that the server closes at that very moment: see the decision on
        // draining. Once for each of 16 connections and each change is the most that can be.
        assert!(counts["resent"].as_u64().unwrap() <= 32, "{counts}");
    }
    let runs = cluster.list("mortgage", "mlpipelineruns", "");
    assert_eq!(runs.len(), 3, "another contact started a run");
    let versions = cluster.list("mortgage", "modelversions", "");
    assert_eq!(versions.len(), 3);
    // Same data, parameters and seed: the same model, byte for byte.
    let digest = |name: &str| cluster.get("mortgage", "modelversion", name)["spec"]["artifact"]["digest"].clone();
    assert_eq!(digest("mortgage-denial-v1"), digest("mortgage-denial-v3"));
    assert_ne!(digest("mortgage-denial-v1"), digest("mortgage-denial-v2"));
}

fn predict(cluster: &Cluster) -> String {
    let ask = "python -m mortgage.predict http://mortgage-denial.mortgage.svc";
    cluster.kubectl(&format!("-n mortgage exec deployment/mortgage-data -- {ask}"))
}

fn a_candidate_that_does_not_start_disturbs_nothing(cluster: &Cluster) {
    let broken = example("40-deployment.yaml")
        .replace("  model: mortgage-denial\n", "  model: mortgage-denial\n  version: mortgage-denial-v2\n")
        .replace("[mlserver, start, /seatrial/model]", "[sh, -c, 'echo no such model >&2; exit 3']");
    cluster.apply(&broken);
    let stalled = cluster.wait("mortgage", "modeldeployment", "mortgage-denial", 240, |deployment| {
        condition(deployment, "Stalled")["reason"] == "ServerFailed"
    });
    let message = condition(&stalled, "Stalled")["message"].as_str().unwrap().to_owned();
    println!("a candidate that does not start: {message}");
    assert!(message.contains("mortgage-denial-v3 serves; mortgage-denial-v2 does not"), "{message}");
    assert!(message.contains("exit code 3: no such model"), "{message}");
    assert_eq!(condition(&stalled, "Available")["status"], "True");
    assert!(predict(cluster).contains("200 OK"));
    cluster.apply(&example("40-deployment.yaml"));
    wait_until_served(cluster, "mortgage-denial-v3");
    assert_eq!(condition(&cluster.get("mortgage", "modeldeployment", "mortgage-denial"), "Stalled"), &Value::Null);
}

fn scaled(cluster: &Cluster) {
    for replicas in [2, 1] {
        cluster.kubectl(&format!("-n mortgage scale modeldeployment mortgage-denial --replicas={replicas}"));
        cluster.wait("mortgage", "modeldeployment", "mortgage-denial", 240, |deployment| {
            deployment["status"]["replicas"] == replicas && condition(deployment, "Ready")["status"] == "True"
        });
        // As an autoscaler reads it.
        let scale = cluster.kubectl(
            "get --raw /apis/seatrial.dev/v1alpha1/namespaces/mortgage/modeldeployments/mortgage-denial/scale",
        );
        let scale: Value = serde_json::from_str(&scale).unwrap();
        assert_eq!((&scale["spec"]["replicas"], &scale["status"]["replicas"]), (&replicas.into(), &replicas.into()));
        let selector = scale["status"]["selector"].as_str().unwrap();
        assert!(cluster.list("mortgage", "pods", selector).len() >= replicas, "{scale}");
    }
    // The server that was too many drains.
    let servers = || cluster.list("mortgage", "pods", "seatrial.dev/deployment").len();
    wait_for("the server that was too many goes", 180, || (servers() == 1).then_some(()));
}

fn two_steps(name: &str) -> String {
    let script = "import os, time; time.sleep(6); open(os.environ['OUTPUT_X'] + '/x', 'w').write('x')";
    let image =
        example("30-pipeline.yaml").lines().find_map(|line| line.strip_prefix("  image: ").map(str::to_owned)).unwrap();
    format!(
        r#"
apiVersion: seatrial.dev/v1alpha1
kind: MLPipeline
metadata: {{name: {name}}}
spec:
  image: {image}
  steps:
    - {{name: one, command: [python, -c, "{script}"], outputs: [{{name: x, type: Any}}]}}
    - {{name: two, command: [python, -c, "{script}"], inputs: [{{name: x, from: {{step: one, output: x}}}}], outputs: [{{name: x, type: Any}}]}}
"#
    )
}

/// The process that holds the lease: its pod, and what is its own.
fn leader(cluster: &Cluster) -> (String, String) {
    let lease = cluster.get("seatrial-system", "lease", "seatrial-operator");
    let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
    let (pod, process) = holder.split_once('_').unwrap_or_default();
    (pod.to_owned(), process.to_owned())
}

/// Kills a pod's processes as a crash would: the kubelet has no part in it. Only where the node is this machine.
fn kill(cluster: &Cluster, pod: &str) -> bool {
    let uid = cluster.get("seatrial-system", "pod", pod)["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    let mut killed = false;
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let path = entry.path();
        let read = |file: &str| std::fs::read_to_string(path.join(file)).unwrap_or_default();
        let groups = read("cgroup").replace('_', "-");
        if !uid.is_empty() && groups.contains(&uid) && read("comm").starts_with("seatrial-oper") {
            let number = entry.file_name().into_string().unwrap();
            killed |= std::process::Command::new("kill")
                .args(["-KILL", &number])
                .status()
                .is_ok_and(|status| status.success());
        }
    }
    killed
}

fn the_leader_is_killed(cluster: &Cluster) {
    let namespace = Namespace::new(cluster, "journey-leader");
    namespace.apply(&two_steps("relay"));
    // The status names the Job before there is one, and what is lost in between is lost by design: another attempt.
    let run =
        cluster.wait(&namespace.name, "mlpipelinerun", "relay-c1", 120, |run| step(run, "one")["job"].is_string());
    let job = step(&run, "one")["job"].as_str().unwrap().to_owned();
    cluster.wait(&namespace.name, "job", &job, 60, |job| job["metadata"]["uid"].is_string());
    let transitions =
        || cluster.get("seatrial-system", "lease", "seatrial-operator")["spec"]["leaseTransitions"].clone();
    let (first, before) = (leader(cluster), transitions());
    assert!(!first.0.is_empty());
    if !kill(cluster, &first.0) {
        cluster.kubectl(&format!("-n seatrial-system delete pod {} --grace-period=0 --force", first.0));
    }
    let run = cluster.wait_for_run(&namespace.name, "relay-c1", 300);
    assert_eq!(condition(&run, "Succeeded")["status"], "True", "{run:#}");
    for name in ["one", "two"] {
        assert_eq!(step(&run, name)["attempt"], 1);
    }
    assert_eq!(cluster.list(&namespace.name, "jobs", "").len(), 2, "no Job twice");
    let second = leader(cluster);
    assert_ne!(first.0, second.0, "the other replica should have taken over, not the killed pod's next process");
    assert!(transitions().as_i64() > before.as_i64(), "the lease was taken by another process");
    println!("the leader {first:?} was killed; {second:?} leads; the run ended the same");
}

/// The digest of the agent's image. Pinned by it, the image has another reference than by its tag, which is all that a
/// newer agent is for the operator, and pods still run.
fn agent_digest(cluster: &Cluster) -> String {
    let pods = cluster.list("mortgage", "pods", "seatrial.dev/component=step");
    let statuses = pods.iter().filter_map(|pod| pod["status"]["containerStatuses"].as_array()).flatten();
    let publish = statuses.into_iter().find(|status| status["name"] == "seatrial-publish").unwrap();
    let image = publish["imageID"].as_str().unwrap();
    let (_, digest) = image.split_once('@').unwrap_or_else(|| panic!("the node knows no digest of the agent: {image}"));
    digest.to_owned()
}

/// Upgrades to another image of the agent: a digest, or none.
fn helm(cluster: &Cluster, digest: &str) {
    let set = format!("image.digests.agent={digest}");
    let status = cluster
        .command("helm")
        .args(["upgrade", "seatrial", "charts/seatrial", "-n", "seatrial-system", "--reuse-values", "--set", &set])
        .args(["--wait", "--timeout", "5m"])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
}

fn upgraded_without_a_restart(cluster: &Cluster) {
    let state = || {
        let of = |kind: &str, label: &str| -> Vec<String> {
            let list = cluster.list("mortgage", kind, label);
            list.iter()
                .map(|object| format!("{} {}", object["metadata"]["uid"], object["metadata"]["generation"]))
                .collect()
        };
        (of("pods", "seatrial.dev/deployment"), of("deployments", "seatrial.dev/deployment"), of("jobs", ""))
    };
    let before = state();
    assert_eq!(before.0.len(), 1, "old servers are gone by now");
    let digest = agent_digest(cluster);
    helm(cluster, &digest);
    // The operator that leads now has looked at everything once it has run another pipeline.
    let namespace = Namespace::new(cluster, "journey-upgrade");
    namespace.apply(&pipeline_of_one_step("pass", ""));
    let run = cluster.wait_for_run(&namespace.name, "work-c1", 300);
    assert_eq!(condition(&run, "Succeeded")["status"], "True", "{run:#}");
    assert!(run["status"]["agentImage"].as_str().is_some_and(|image| image.contains(&digest)), "{run:#}");
    assert_eq!(state(), before);
    helm(cluster, "");
    assert_eq!(state(), before);
    let test =
        cluster.command("helm").args(["test", "seatrial", "-n", "seatrial-system"]).stdout(Stdio::null()).status();
    // Its pod is kept when it fails.
    assert!(test.unwrap().success(), "{}", cluster.kubectl("logs seatrial-test -n seatrial-system"));
}

/// A run goes on with the agent that it began with, whatever the operator has been told since.
fn upgraded_while_a_run_is_under_way(cluster: &Cluster) {
    let namespace = Namespace::new(cluster, "journey-under-way");
    let image = seatrial_e2e::full::image("mortgage:1.0");
    // The second step's Job is made after the upgrade: it must have the old agent, too.
    let second = format!(
        "      outputs: [{{name: x, type: Any}}]\n    - {{name: use, image: {image}, command: [sh, -c, 'test -e \"$INPUT_X/done\"'], inputs: [{{name: x, from: {{step: work, output: x}}}}]}}"
    );
    namespace.apply(&pipeline_of_one_step(ENDS_WHEN_TOLD, &second));
    let run =
        cluster.wait(&namespace.name, "mlpipelinerun", "work-c1", 120, |run| step(run, "work")["job"].is_string());
    let agent = run["status"]["agentImage"].clone();
    let job = step(&run, "work")["job"].as_str().unwrap().to_owned();
    let pod = cluster.wait_for_pod(&namespace.name, &job, &[]);
    let digest = agent_digest(cluster);
    helm(cluster, &digest);
    // The operator that leads now has looked at everything once it has ended another pipeline's run.
    let other = Namespace::new(cluster, "journey-meanwhile");
    other.apply(&pipeline_of_one_step("pass", ""));
    let run = cluster.wait_for_run(&other.name, "work-c1", 300);
    assert_eq!(condition(&run, "Succeeded")["status"], "True", "{run:#}");
    assert!(run["status"]["agentImage"].as_str().is_some_and(|image| image.contains(&digest)), "{run:#}");

    cluster.end_step(&namespace.name, &pod, "end");
    let run = cluster.wait_for_run(&namespace.name, "work-c1", 300);
    assert_eq!(condition(&run, "Succeeded")["status"], "True", "{run:#}");
    assert_eq!(run["status"]["agentImage"], agent);
    for name in ["work", "use"] {
        assert_eq!(step(&run, name)["attempt"], 1, "{run:#}");
    }
    let jobs = cluster.list(&namespace.name, "jobs", "");
    assert_eq!(jobs.len(), 2, "no Job was started again");
    assert!(jobs.iter().any(|found| found["metadata"]["name"] == job.as_str()));
    for job in &jobs {
        let text = job["spec"]["template"]["spec"].to_string();
        assert!(text.contains(agent.as_str().unwrap()) && !text.contains(&digest), "{text}");
    }
    assert_eq!(cluster.list(&namespace.name, "pods", "").len(), 2, "no pod was started again");
    println!("a run under way kept its agent {agent} over an upgrade to another");
    helm(cluster, "");
}

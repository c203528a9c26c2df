//! `logs`: from the step's pod while there is one, and from the store after it.

use std::io::{Read, Write};
use std::time::Duration;

use anyhow::{Context, bail};
use flate2::read::GzDecoder;
use futures::AsyncReadExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{ListParams, LogParams};
use seatrial_core::contract::log::{HEAD_BYTES, Piece, Reader, TAIL_BYTES};
use seatrial_core::contract::{AttemptKey, Reading};
use seatrial_core::names;
use seatrial_core::pods::STEP;
use seatrial_crds::{CheckVerdict, MLPipelineRun, StepState, StepStatus};
use tokio::io::AsyncReadExt;
use tokio::time::sleep;

use super::cluster::{self, Cluster};
use super::pod::{self, Request};
use super::target::Target;
use crate::error_text;

/// How long the pod that reads a log may live, in seconds.
const DEADLINE: i64 = 600;
/// The longest log, in bytes, compressed or not: three segments.
const LONGEST: u64 = HEAD_BYTES + 2 * TAIL_BYTES;
/// How often a pod that has not started is looked for.
const LOOK: Duration = Duration::from_secs(1);

/// Prints the logs of a run's steps.
pub(crate) async fn logs(cluster: &Cluster, target: &Target, attempt: Option<u32>, follow: bool) -> anyhow::Result<()> {
    let (run, only) = match target {
        Target::Run(run) => (run, None),
        Target::Step(run, step) => (run, Some(step)),
        Target::Output(..) | Target::Version(_) => bail!("only steps have logs: name RUN or RUN/STEP"),
    };
    let run = cluster.run(run).await?;
    if let Some(step) = only {
        return of_step(cluster, &run, cluster::step(&run, step)?, attempt, follow).await;
    }
    let steps = run.status.as_ref().map(|status| status.steps.as_slice()).unwrap_or_default();
    let begun: Vec<&StepStatus> = steps.iter().filter(|step| step.attempt.is_some()).collect();
    if begun.is_empty() {
        bail!("no step of {} has begun", run.name_any());
    }
    let mut missing = vec![];
    for step in begun {
        println!("==> {} <==", step.name);
        if let Err(error) = of_step(cluster, &run, step, attempt, follow).await {
            missing.push(format!("{}: {}", step.name, error_text::text(&error)));
        }
    }
    if missing.is_empty() { Ok(()) } else { bail!("{}", missing.join("\n")) }
}

async fn of_step(
    cluster: &Cluster,
    run: &MLPipelineRun,
    step: &StepStatus,
    attempt: Option<u32>,
    follow: bool,
) -> anyhow::Result<()> {
    let attempt = attempt.or(step.attempt).with_context(|| format!("the step {} has not begun", step.name))?;
    if step.attempt == Some(attempt)
        && let Some(why) = never_started(run, step)
    {
        bail!(why);
    }
    let uid = run.uid().context("the run has no UID")?;
    let job = names::job(&run.name_any(), &uid, &step.name, attempt);
    let pods = cluster.pods();
    let selector = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={job}"));
    loop {
        let found = pods.list(&selector).await.context("the step's pods cannot be listed")?;
        let newest = found.items.into_iter().max_by(|a, b| a.creation_timestamp().cmp(&b.creation_timestamp()));
        let Some(newest) = newest else { break };
        if has_started(&newest) {
            let how = LogParams { container: Some(STEP.into()), follow, ..LogParams::default() };
            match pods.log_stream(&newest.name_any(), &how).await {
                Ok(mut lines) => {
                    let mut piece = vec![0; 64 << 10];
                    loop {
                        let read = lines.read(&mut piece).await.context("the pod's log broke off")?;
                        let Some(text) = piece.get(..read).filter(|text| !text.is_empty()) else { return Ok(()) };
                        print(text)?;
                    }
                }
                // Its node may be gone, or the pod just now: the store has what was printed.
                Err(error) => eprintln!("kubectl seatrial: the pod's own log cannot be read: {error}"),
            }
            break;
        }
        let is_over = newest
            .status
            .as_ref()
            .is_some_and(|status| matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")));
        if is_over || !follow {
            break;
        }
        sleep(LOOK).await;
    }
    let attempt = AttemptKey { run_uid: uid, step: step.name.clone(), attempt, index: 0 };
    stored(cluster, run, attempt).await.with_context(|| why_there_may_be_none(step))
}

/// Why the command of a step's last attempt was never started, as far as its checks say so: then there is no log, and nobody
/// need look for one.
fn never_started(run: &MLPipelineRun, step: &StepStatus) -> Option<String> {
    let reason = step.reason.as_deref().filter(|_| step.state == StepState::Failed)?;
    if !matches!(reason, "ContractBroken" | "ContractUnproven" | "CheckFailed") {
        return None;
    }
    let message = step.message.as_deref().unwrap_or("no message");
    let what =
        format!("the command of the step {} was never started, and so has no log: {reason}: {message}", step.name);
    let reports = step
        .checks
        .iter()
        .filter(|check| check.report.is_some() && check.verdict.is_some_and(|verdict| verdict != CheckVerdict::Passed));
    let commands = reports
        .map(|check| format!("kubectl seatrial artifact get {}/{}/check.{}", run.name_any(), step.name, check.input));
    // The message has room for one at its end.
    let commands: Vec<String> = commands.filter(|command| !message.contains(command)).collect();
    Some(if commands.is_empty() { what } else { format!("{what}; see: {}", commands.join(", ")) })
}

/// A step may have failed before its command was started.
fn why_there_may_be_none(step: &StepStatus) -> String {
    let what = format!("the log of the step {} cannot be shown", step.name);
    match (&step.reason, &step.message) {
        (Some(reason), Some(message)) => format!("{what}; the step is {:?}, as {reason}: {message}", step.state),
        _ => what,
    }
}

/// Whether the command of a pod runs, or ran.
fn has_started(pod: &Pod) -> bool {
    let containers = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
    let state = containers.filter(|container| container.name == STEP).find_map(|container| container.state.as_ref());
    state.is_some_and(|state| state.running.is_some() || state.terminated.is_some())
}

async fn stored(cluster: &Cluster, run: &MLPipelineRun, attempt: AttemptKey) -> anyhow::Result<()> {
    let prefix = cluster::prefix(run)?;
    let owner = cluster::owner(run)?;
    let request = Request { prefix: &prefix, what: Reading::Log { attempt }, owner, deadline: DEADLINE };
    let log = pod::ask(cluster, request, async |answer| {
        let mut packed = vec![];
        answer.take(LONGEST).read_to_end(&mut packed).await?;
        unpack(&packed)
    })
    .await?;
    print(&text(&log))
}

/// The whole log; an answer that was cut is none.
fn unpack(packed: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut log = vec![];
    GzDecoder::new(packed).take(LONGEST).read_to_end(&mut log).context("the log did not arrive whole")?;
    Ok(log)
}

/// What the command printed, in the order in which it was read.
fn text(log: &[u8]) -> Vec<u8> {
    let mut text = vec![];
    for piece in Reader::default().read(log) {
        match piece {
            Piece::Output { text: line, ends_line, .. } => {
                text.extend_from_slice(line);
                if ends_line {
                    text.push(b'\n');
                }
            }
            Piece::LeftOut(bytes) => text.extend_from_slice(format!("[{bytes} bytes are left out]\n").as_bytes()),
        }
    }
    text
}

fn print(text: &[u8]) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text).and_then(|()| out.flush()).context("the log cannot be printed")
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn a_command_that_was_never_started_has_no_log_but_a_reason_and_a_report() {
        let check = |input: &str, verdict: &str| {
            json!({"input": input, "contract": "billing/customers", "version": "1", "revision": "sha256:1",
                   "verdict": verdict, "report": "sha256:2"})
        };
        let run = |reason: &str, message: &str| -> MLPipelineRun {
            from_value(json!({
                "apiVersion": "seatrial.dev/v1alpha1", "kind": "MLPipelineRun",
                "metadata": {"name": "churn-c3"}, "spec": {"pipeline": "churn"},
                "status": {"steps": [{"name": "train", "state": "Failed", "attempt": 1, "reason": reason, "message": message,
                    "checks": [check("raw", "Failed"), check("other", "Passed")]}]},
            }))
            .unwrap()
        };
        let see = "see: kubectl seatrial artifact get churn-c3/train/check.raw";
        for (reason, message, expected) in [
            (
                "ContractBroken",
                "4 rules are broken",
                Some(format!(
                    "the command of the step train was never started, and so has no log: ContractBroken: 4 rules are broken; {see}"
                )),
            ),
            (
                "ContractBroken",
                &format!("4 rules are broken; {see}"),
                Some(format!(
                    "the command of the step train was never started, and so has no log: ContractBroken: 4 rules are broken; {see}"
                )),
            ),
            ("CommandFailed", "exit code 1", None),
        ] {
            let run = run(reason, message);
            let step = &run.status.as_ref().unwrap().steps[0];
            assert_eq!(never_started(&run, step), expected);
        }
    }

    #[test]
    fn a_stored_log_reads_as_it_was_printed() {
        let log = "2026-11-25T06:30:00Z exec F 0\n2026-11-25T06:30:00Z stdout F one\n2026-11-25T06:30:00Z stderr P t\n2026-11-25T06:30:00Z stderr F wo\n2026-11-25T06:30:00Z exec F 100\n2026-11-25T06:30:00Z stdout F end\n";
        let mut packer = GzEncoder::new(vec![], Compression::fast());
        packer.write_all(log.as_bytes()).unwrap();
        let packed = packer.finish().unwrap();
        let read = String::from_utf8(text(&unpack(&packed).unwrap())).unwrap();
        let (begin, end) = read.split_once('[').unwrap();
        assert_eq!((begin, end.ends_with("bytes are left out]\nend\n")), ("one\ntwo\n", true), "{read}");
        for cut in [0, packed.len() - 1] {
            let error = unpack(&packed[..cut]).unwrap_err();
            assert!(error.to_string().contains("whole"), "{error}");
        }
    }
}

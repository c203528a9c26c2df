//! The life of a reader pod: made, asked once, deleted.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt;
use kube::api::{Api, AttachParams, DeleteParams, ListParams, PostParams};
use seatrial_core::contract::Reading;
use seatrial_core::reader::{COMMAND, READER, Reader};
use seatrial_crds::names::{COMPONENT_LABEL, components};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, timeout};

use super::cluster::Cluster;

/// How long a pod may take to start.
const START: Duration = Duration::from_secs(300);
/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(500);
/// How much of an answer waits here to be taken.
const BUFFER: usize = 1 << 20;
/// How much of what the agent says of its failure is read.
const WORDS: u64 = 64 << 10;

/// What a reader pod is made for.
pub(crate) struct Request<'a> {
    pub(crate) prefix: &'a str,
    pub(crate) what: Reading,
    pub(crate) owner: OwnerReference,
    /// How long the pod lives at most, in seconds, also where this program is killed.
    pub(crate) deadline: i64,
}

/// Lets a reader pod answer, and hands the answer on. The pod is deleted whatever comes.
pub(crate) async fn ask<T>(
    cluster: &Cluster,
    request: Request<'_>,
    take: impl AsyncFnOnce(&mut (dyn AsyncRead + Send + Unpin)) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let templates = cluster.templates().await?;
    let Request { prefix, what, owner, deadline } = request;
    let pod = Reader { templates: &templates, prefix, what, owner, deadline }.pod().with_context(|| {
        format!(
            "no Job or Deployment of Seatrial is left in the namespace {} that shows the way to {prefix}: start a run there, and ask again while its Jobs are kept",
            cluster.namespace
        )
    })?;
    let pods = cluster.pods();
    remove_ended(&pods).await;
    // From here on a signal ends no process at once, so that what is made is deleted.
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let made = pods.create(&PostParams::default(), &pod).await;
    let name = made.context("the reader pod cannot be made: a Role must allow it")?.name_any();
    let done = tokio::select! {
        done = answer(&pods, &name, take) => done,
        _ = interrupt.recv() => Err(anyhow!("interrupted")),
        _ = terminate.recv() => Err(anyhow!("told to stop")),
    };
    if let Err(error) = pods.delete(&name, &DeleteParams::default()).await {
        eprintln!("kubectl seatrial: the pod {name} cannot be deleted: {error}; it ends by itself within {deadline} s");
    }
    done
}

/// Removes the pods of programs that were killed.
async fn remove_ended(pods: &Api<Pod>) {
    let readers = ListParams::default().labels(&format!("{COMPONENT_LABEL}={}", components::READER));
    let Ok(found) = pods.list(&readers).await else { return };
    for pod in found.items {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        if matches!(phase, Some("Succeeded" | "Failed")) {
            // Somebody else's, who may have no right to it: theirs to remove.
            let _ = pods.delete(&pod.name_any(), &DeleteParams::default()).await;
        }
    }
}

async fn answer<T>(
    pods: &Api<Pod>,
    name: &str,
    take: impl AsyncFnOnce(&mut (dyn AsyncRead + Send + Unpin)) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    started(pods, name).await?;
    let how =
        AttachParams::default().container(READER).stdin(false).stdout(true).stderr(true).max_stdout_buf_size(BUFFER);
    let mut process = pods
        .exec(name, COMMAND, &how)
        .await
        .context("the reader pod cannot be asked: a Role must allow create on pods/exec")?;
    let mut out = process.stdout().context("the API server opened no output")?;
    let errors = process.stderr().context("the API server opened no error output")?;
    let words = tokio::spawn(async move {
        let (mut text, mut errors) = (vec![], errors);
        let _ = (&mut errors).take(WORDS).read_to_end(&mut text).await;
        // What comes after it must go somewhere, or the answer stands still.
        let _ = tokio::io::copy(&mut errors, &mut tokio::io::sink()).await;
        String::from_utf8_lossy(&text).into_owned()
    });
    let taken = take(&mut out).await;
    drop(out);
    match taken {
        Ok(taken) => Ok(taken),
        // What the agent says is nearer to the cause than what is missing here.
        Err(error) => match timeout(Duration::from_secs(5), words).await {
            Ok(Ok(words)) => Err(failure(&words).map_or(error, |said| anyhow!(said))),
            _ => Err(error),
        },
    }
}

/// The agent's last word on why it failed, out of its log; another program's words as they are.
fn failure(words: &str) -> Option<String> {
    let said = |line: &str| {
        let line: Value = serde_json::from_str(line).ok()?;
        let is_error = line.get("level").is_some_and(|level| level == "ERROR");
        is_error.then(|| line.get("error")?.as_str().map(str::to_owned))?
    };
    words.lines().rev().find_map(said).or_else(|| {
        let plain = words.lines().find(|line| !line.trim().is_empty() && !line.starts_with('{'))?;
        Some(format!("the agent says: {plain}; a release older than this plugin cannot be read with"))
    })
}

async fn started(pods: &Api<Pod>, name: &str) -> anyhow::Result<()> {
    let since = Instant::now();
    loop {
        let pod = pods.get(name).await.context("the reader pod cannot be seen")?;
        let why = match state(&pod) {
            State::Running => return Ok(()),
            State::Ended(why) => bail!("the reader pod {name} ended before it could answer: {why}"),
            State::Stuck(why) => bail!("the reader pod {name} does not start: {why}"),
            State::Waiting(why) => why,
        };
        if since.elapsed() > START {
            bail!("the reader pod {name} has not started for {} s: {why}", START.as_secs());
        }
        sleep(LOOK).await;
    }
}

#[derive(Debug, PartialEq)]
enum State {
    Running,
    Ended(String),
    /// It will not start by itself.
    Stuck(String),
    Waiting(String),
}

fn state(pod: &Pod) -> State {
    let Some(status) = &pod.status else { return State::Waiting("nothing is known of it".into()) };
    let container = status.container_statuses.iter().flatten().next().and_then(|status| status.state.as_ref());
    let message = status.message.clone().or_else(|| status.reason.clone());
    if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
        let code =
            container.and_then(|state| state.terminated.as_ref()).map(|ended| format!("exit code {}", ended.exit_code));
        return State::Ended(message.or(code).unwrap_or_else(|| "no reason is given".into()));
    }
    if container.is_some_and(|state| state.running.is_some()) {
        return State::Running;
    }
    let waiting = container.and_then(|state| state.waiting.as_ref());
    if let Some(waiting) = waiting {
        let reason = waiting.reason.as_deref().unwrap_or_default();
        let why = format!("{reason} {}", waiting.message.as_deref().unwrap_or_default()).trim().to_owned();
        let is_stuck = matches!(reason, "ImagePullBackOff" | "InvalidImageName" | "CreateContainerConfigError");
        return if is_stuck { State::Stuck(why) } else { State::Waiting(why) };
    }
    let unscheduled =
        status.conditions.iter().flatten().find(|one| one.type_ == "PodScheduled" && one.status == "False");
    State::Waiting(unscheduled.and_then(|one| one.message.clone()).unwrap_or_else(|| "it waits for a node".into()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_agents_words_are_found_among_its_log() {
        let warned = r#"{"level":"WARN","error":"connection refused"}"#;
        let failed = r#"{"level":"ERROR","message":"the task failed","error":"there is no log"}"#;
        assert_eq!(failure(&format!("{warned}\n{failed}\n")).as_deref(), Some("there is no log"));
        assert_eq!(failure(warned), None);
        let old = failure("error: unrecognized subcommand 'read'\n").unwrap();
        assert!(old.contains("unrecognized") && old.contains("older"), "{old}");
    }

    #[test]
    fn a_pod_that_cannot_start_is_not_waited_for() {
        let pod = |status: Value| serde_json::from_value::<Pod>(json!({"metadata": {}, "status": status})).unwrap();
        let container = |state: Value| json!({"phase": "Pending", "containerStatuses": [{"name": "a", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state}]});
        assert_eq!(state(&pod(container(json!({"running": {}})))), State::Running);
        let stuck = container(json!({"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}));
        assert_eq!(state(&pod(stuck)), State::Stuck("ImagePullBackOff not found".into()));
        let creating = container(json!({"waiting": {"reason": "ContainerCreating"}}));
        assert_eq!(state(&pod(creating)), State::Waiting("ContainerCreating".into()));
        assert_eq!(
            state(&pod(json!({"phase": "Failed", "reason": "DeadlineExceeded"}))),
            State::Ended("DeadlineExceeded".into())
        );
    }
}

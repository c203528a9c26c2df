//! `artifact ls` and `artifact get`.

use std::path::Path;

use anyhow::bail;
use kube::ResourceExt;
use seatrial_core::contract::Reading;
use seatrial_crds::MLPipelineRun;

use super::cluster::{self, Cluster, Found};
use super::pod::{self, Request};
use super::receive::{self, Folder};
use super::target::Target;

/// How long a pod that lists may live, in seconds.
const LIST_DEADLINE: i64 = 600;
/// How long a pod that sends files may live, in seconds.
const GET_DEADLINE: i64 = 4 * 3600;

/// Prints outputs, or the files of one.
pub(crate) async fn list(cluster: &Cluster, target: &Target) -> anyhow::Result<()> {
    let found = match target {
        Target::Run(run) => return outputs(&cluster.run(run).await?, None),
        Target::Step(run, step) => {
            let run = cluster.run(run).await?;
            cluster::step(&run, step)?;
            return outputs(&run, Some(step));
        }
        Target::Output(..) | Target::Version(_) => find(cluster, target).await?,
    };
    let Found { digest, prefix, owner, .. } = found;
    let what = Reading::Artifact { digest: digest.clone(), only_listing: true };
    let request = Request { prefix: &prefix, what, owner, deadline: LIST_DEADLINE };
    let listing = pod::ask(cluster, request, async |answer| receive::listing(answer, &digest).await).await?;
    for entry in listing.entries() {
        println!("{:>14}  {}  {}", entry.size, entry.sha256, entry.path.escape_debug());
    }
    Ok(())
}

/// Copies the files of one.
pub(crate) async fn get(
    cluster: &Cluster,
    target: &Target,
    into: Option<&Path>,
    overwrite: bool,
) -> anyhow::Result<()> {
    let Found { digest, prefix, owner, name } = find(cluster, target).await?;
    let into = into.unwrap_or(Path::new(&name));
    let folder = Folder::new(into, overwrite)?;
    let what = Reading::Artifact { digest: digest.clone(), only_listing: false };
    let request = Request { prefix: &prefix, what, owner, deadline: GET_DEADLINE };
    let listing = pod::ask(cluster, request, async |answer| {
        let listing = receive::listing(answer, &digest).await?;
        folder.take(answer, &listing).await?;
        Ok(listing)
    })
    .await?;
    println!("{digest} is in {}, verified: {} files", into.display(), listing.len());
    Ok(())
}

/// Reads all files of one and hashes them; returns how many they are, and their bytes.
pub(crate) async fn verify(cluster: &Cluster, found: Found) -> anyhow::Result<(usize, u64)> {
    let Found { digest, prefix, owner, .. } = found;
    let what = Reading::Artifact { digest: digest.clone(), only_listing: false };
    let request = Request { prefix: &prefix, what, owner, deadline: GET_DEADLINE };
    pod::ask(cluster, request, async |answer| {
        let listing = receive::listing(answer, &digest).await?;
        receive::verify(answer, &listing).await?;
        Ok((listing.len(), listing.total_size()))
    })
    .await
}

async fn find(cluster: &Cluster, target: &Target) -> anyhow::Result<Found> {
    match target {
        Target::Output(run, step, output) => cluster::output(&cluster.run(run).await?, step, output),
        Target::Version(name) => cluster.version(name).await,
        Target::Run(_) | Target::Step(..) => {
            bail!("name one artifact: RUN/STEP/OUTPUT or mv/NAME; `kubectl seatrial artifact ls` lists them")
        }
    }
}

fn outputs(run: &MLPipelineRun, only: Option<&str>) -> anyhow::Result<()> {
    let lines = listed(run, only);
    if lines.is_empty() {
        bail!("nothing is made yet: look at the run by kubectl describe mlrun {}", run.name_any());
    }
    println!("{}", lines.join("\n"));
    Ok(())
}

/// A line for each output, and for each report of a check.
fn listed(run: &MLPipelineRun, only: Option<&str>) -> Vec<String> {
    let steps = run.status.as_ref().map(|status| status.steps.as_slice()).unwrap_or_default();
    let wanted = steps.iter().filter(|step| only.is_none_or(|only| only == step.name));
    let lines = wanted.flat_map(|step| {
        let path = |name: &str| format!("{}/{}/{name}", run.name_any(), step.name);
        let reports = step.checks.iter().filter_map(move |check| {
            let verdict = check.verdict.map(|verdict| format!("{verdict:?}")).unwrap_or_default();
            let path = path(&format!("{}{}", cluster::CHECK, check.input));
            Some(format!("{path}  report of the check: {verdict}  {}", check.report.as_ref()?))
        });
        let outputs = step.outputs.iter().map(move |output| {
            let path = format!("{}/{}/{}", run.name_any(), step.name, output.name);
            format!("{path}  {:?}  {} bytes  {}", output.kind, output.size, output.digest)
        });
        reports.chain(outputs)
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn what_was_made_is_listed_with_the_reports_of_checks() {
        let run: MLPipelineRun = from_value(json!({
            "apiVersion": "seatrial.dev/v1alpha1", "kind": "MLPipelineRun",
            "metadata": {"name": "churn-c1"}, "spec": {"pipeline": "churn"},
            "status": {"steps": [
                {"name": "prepare", "state": "Failed", "checks": [
                    {"input": "raw", "contract": "billing/customers", "version": "1", "revision": "sha256:1",
                     "verdict": "Failed", "report": "sha256:2"},
                    {"input": "late", "contract": "billing/customers", "version": "1", "revision": "sha256:1"}]},
                {"name": "train", "state": "Succeeded", "outputs": [
                    {"name": "model", "type": "Model", "digest": "sha256:3", "size": 5}]},
            ]},
        }))
        .unwrap();
        let (report, output) = (
            "churn-c1/prepare/check.raw  report of the check: Failed  sha256:2",
            "churn-c1/train/model  Model  5 bytes  sha256:3",
        );
        assert_eq!(listed(&run, None), [report, output]);
        assert_eq!(listed(&run, Some("train")), [output]);
        assert!(listed(&run, Some("other")).is_empty());
    }
}

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
    let steps = run.status.as_ref().map(|status| status.steps.as_slice()).unwrap_or_default();
    let wanted = steps.iter().filter(|step| only.is_none_or(|only| only == step.name));
    let lines: Vec<String> = wanted
        .flat_map(|step| step.outputs.iter().map(move |output| (step, output)))
        .map(|(step, output)| {
            let path = format!("{}/{}/{}", run.name_any(), step.name, output.name);
            format!("{path}  {:?}  {} bytes  {}", output.kind, output.size, output.digest)
        })
        .collect();
    if lines.is_empty() {
        bail!("nothing is made yet: look at the run by kubectl describe mlrun {}", run.name_any());
    }
    println!("{}", lines.join("\n"));
    Ok(())
}

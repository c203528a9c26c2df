//! The operator as it runs, against a real API server with its controllers and without a node: Jobs get pods that
//! nobody runs, and the tests say how those end.
//!
//! Many checks share one control plane and one operator, each in a namespace of its own. What the operator asked of
//! the API server is compared with the audit log at the end, before operators are stopped, killed and followed.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

#[path = "reconcile/audit.rs"]
mod audit;
#[path = "reconcile/clashes.rs"]
mod clashes;
#[path = "reconcile/ends.rs"]
mod ends;
#[path = "reconcile/operators.rs"]
mod operators;
#[path = "reconcile/pipelines.rs"]
mod pipelines;
#[path = "reconcile/runs.rs"]
mod runs;
#[path = "reconcile/space.rs"]
mod space;
#[path = "reconcile/versions.rs"]
mod versions;

use std::fmt::Write;

use seatrial_e2e::{ControlPlane, client};
use tokio::task::JoinSet;

use space::Space;

/// The platform's settings of all operators here. No node pulls the image.
const PLATFORM: &str = "agentImage: registry.local/seatrial/agent:test\n";

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_on_a_control_plane() {
    let plane = ControlPlane::start("reconcile").await.unwrap();
    let client = client(&plane.kubeconfig).await.unwrap();
    operators::until_all_can_be_watched(&client).await;
    let mut operator = operators::start_leader(&client, &plane.kubeconfig).await;
    operators::health(&operator);

    let mut checks = JoinSet::new();
    macro_rules! check {
        ($($module:ident::$name:ident)*) => {$({
            let client = client.clone();
            let operator = operator.log.clone();
            checks.spawn(async move {
                let space = Space::new(client, &stringify!($name).replace('_', "-"), operator).await;
                let done = tokio::spawn(async move { $module::$name(&space).await }).await;
                (stringify!($name), done.err())
            });
        })*};
    }
    check! {
        pipelines::a_pipelines_life
        pipelines::a_corrected_uri
        pipelines::suspension
        runs::a_wrong_parameter
        runs::pods_beyond_the_quota
        runs::jobs_beyond_the_quota
        runs::many_jobs_beyond_the_quota
        runs::a_silent_webhook
        clashes::a_foreign_job
        clashes::a_foreign_job_that_poses_as_ours
        clashes::a_foreign_run
        clashes::a_foreign_revision
        versions::versions_are_numbered_and_vouched_for
        ends::a_namespace_that_is_deleted
    }
    let mut failed = String::new();
    while let Some(done) = checks.join_next().await {
        match done.unwrap() {
            (name, Some(error)) => writeln!(failed, "{name}: {error}").unwrap(),
            (name, None) => println!("ok: {name}"),
        }
    }
    audit::every_write_is_counted(&plane.audit_log, &operator).await;
    audit::a_refused_write_waits_for_its_time(&plane.audit_log);
    audit::watches_are_narrow_and_lists_are_made_once(&plane.audit_log);
    operator = operators::a_crash(&client, &plane.kubeconfig, operator).await;
    operators::an_orderly_end(&client, &plane.kubeconfig, operator).await;
    assert!(failed.is_empty(), "\n{failed}");
}

//! The kubelet's events about readiness probes: which pods to ask about, when, and what the events mean.
//!
//! Only these events tell a server that is still loading from one that will never be ready. The operator does not watch
//! Events; it reads them for one pod at a time, first after a few seconds, then ever more rarely.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube_core::ResourceExt;
use seatrial_crds::Server;

use super::Rollout;
use super::problem::{Patience, Problem};
use super::server::PROBE_SECONDS;
use crate::observed::ProbeEvent;
use crate::plan::LiveRead;
use crate::pod_state::statuses;
use crate::pods::SERVER;

/// How long after its start a server is asked about first.
const FIRST: Duration = Duration::from_secs(4);

/// Since when the pod's server runs, and whether it is ready.
fn running(pod: &Pod) -> Option<(Timestamp, bool)> {
    let status = statuses(pod).find(|status| status.name == SERVER)?;
    Some((status.state.as_ref()?.running.as_ref()?.started_at.as_ref()?.0, status.ready))
}

impl Rollout<'_> {
    /// The problem in the kubelet's last event about a version's servers. Asks for the event where it is not known.
    pub(super) fn probe_problem(&mut self, pods: &[&Pod]) -> Option<Problem> {
        let server = &self.observed.deployment.spec.server;
        let found = pods.iter().filter_map(|pod| {
            let (_, ready) = running(pod)?;
            let event = self.observed.probes.get(pod.metadata.uid.as_deref()?)?.last.as_ref()?;
            Some(problem(server, event)).filter(|problem| !ready || problem.patience == Patience::None)
        });
        let found = found.max_by_key(|problem| (problem.patience, problem.message.clone()));
        self.ask_about_probes(pods);
        found
    }

    /// Asks about the server that runs for longest without being ready: four seconds after its start, and whenever its age
    /// has doubled since.
    fn ask_about_probes(&mut self, pods: &[&Pod]) {
        let waiting = pods.iter().filter_map(|pod| Some((running(pod).filter(|(_, ready)| !ready)?.0, pod)));
        let Some((started, pod)) = waiting.min_by_key(|(started, pod)| (*started, pod.name_any())) else { return };
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let seconds = |from: Timestamp, to: Timestamp| Duration::try_from(to.duration_since(from)).unwrap_or_default();
        let last = self.observed.probes.get(&uid).filter(|report| report.read_at >= started);
        let due = last.map_or(FIRST, |report| FIRST.max(seconds(started, report.read_at).saturating_mul(2)));
        let age = seconds(started, self.now);
        if age >= due {
            self.live_reads.push(LiveRead::PodEvents { pod: pod.name_any(), uid });
        } else {
            self.look_again_after(due.saturating_sub(age));
        }
    }

    /// Whether the kubelet's events must be read before a ready candidate may serve: a redirect to another host counts as
    /// ready, and only an event says that there was one.
    pub(super) fn must_ask_before_promotion(&mut self, pods: &[&Pod]) -> bool {
        if self.observed.deployment.spec.server.readiness_path.is_none() {
            return false;
        }
        let ready = pods.iter().filter_map(|pod| Some((running(pod).filter(|(_, ready)| *ready)?.0, pod)));
        let Some((started, pod)) = ready.min_by_key(|(_, pod)| pod.name_any()) else { return false };
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let probe = started.checked_add(jiff::SignedDuration::from_secs(i64::from(PROBE_SECONDS))).unwrap_or(started);
        let known = self.observed.probes.get(&uid).is_some_and(|report| report.read_at > probe);
        if !known {
            self.live_reads.push(LiveRead::PodEvents { pod: pod.name_any(), uid });
        }
        !known
    }
}

/// What an event means. The kubelet's own words hold a pod's address, which differs from pod to pod.
fn problem(server: &Server, event: &ProbeEvent) -> Problem {
    let port = server.port;
    let asked = match &server.readiness_path {
        Some(path) => format!("GET {path} on port {port}"),
        None => format!("a connection to port {port}"),
    };
    let said = event.message.as_str();
    let (reason, message) = if event.reason == "ProbeWarning" {
        let message = format!(
            "{asked} is answered by a redirection to another host, which the kubelet counts as ready: let the path itself answer 200, or correct server.readinessPath"
        );
        return ("ReadinessRedirected", message).into();
    } else if let Some(code) = said.split_once("statuscode: ").map(|(_, code)| code.trim()) {
        let code: String = code.chars().take_while(char::is_ascii_digit).collect();
        if code.starts_with('5') {
            (
                "ReadinessFails",
                format!("{asked} answers {code}: the server runs and says that it cannot predict yet; look at its log"),
            )
        } else {
            ("ReadinessFails", format!("{asked} answers {code}, not 200: correct server.readinessPath"))
        }
    } else if said.contains("connection refused") {
        let message = format!(
            "nothing listens on port {port} of the pod's address: correct server.port, or let the server listen on all addresses (0.0.0.0 or [::]) instead of localhost; a server that still loads may open the port later"
        );
        ("PortRefused", message)
    } else if ["deadline exceeded", "Client.Timeout", "i/o timeout"].iter().any(|words| said.contains(words)) {
        (
            "ReadinessSlow",
            format!(
                "{asked} takes longer than the {PROBE_SECONDS} s that the kubelet waits: let the path answer at once"
            ),
        )
    } else if ["malformed HTTP", "HTTP response to HTTPS"].iter().any(|words| said.contains(words)) {
        (
            "ReadinessFails",
            format!(
                "what listens on port {port} does not speak HTTP: correct server.port, or leave server.readinessPath out"
            ),
        )
    } else {
        ("ReadinessFails", format!("{asked} fails: look at the server's log"))
    };
    Problem { reason, message, patience: Patience::UntilTimeout }
}

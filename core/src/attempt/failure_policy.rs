//! What the Job controller makes of a pod's end, by the exit codes of its containers.

use k8s_openapi::api::batch::v1::{
    PodFailurePolicy, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyOnPodConditionsPattern,
    PodFailurePolicyRule,
};

use crate::contract::ExitCode;
use crate::pods::FETCH;

/// What becomes of a Job whose container ended with one of some codes: the action, the container, the codes.
pub(crate) type CodeRule = (&'static str, &'static str, &'static [ExitCode]);

/// An outage spends no retry: the Job makes another pod.
pub(crate) const FETCH_AGAIN: CodeRule = ("Ignore", FETCH, &[ExitCode::Stopped, ExitCode::StoreUnavailable]);

/// Another pod would bring the same.
pub(crate) const FETCH_NEVER: CodeRule = (
    "FailJob",
    FETCH,
    &[ExitCode::BadConfiguration, ExitCode::CorruptArtifact, ExitCode::InputNotFound, ExitCode::InputTooLarge],
);

/// The policy of these rules, after the one that a disruption spends no retry. The first rule that fits counts; where none
/// does, the failure spends one of the Job's retries.
pub(crate) fn failure_policy(rules: &[CodeRule]) -> PodFailurePolicy {
    let disruption = PodFailurePolicyRule {
        action: "Ignore".into(),
        on_pod_conditions: Some(vec![PodFailurePolicyOnPodConditionsPattern {
            type_: "DisruptionTarget".into(),
            status: "True".into(),
        }]),
        ..PodFailurePolicyRule::default()
    };
    let on_codes = |(action, container, codes): &CodeRule| {
        let mut values: Vec<i32> = codes.iter().map(|code| i32::from(code.number())).collect();
        // The API server insists on their order.
        values.sort_unstable();
        PodFailurePolicyRule {
            action: (*action).into(),
            on_exit_codes: Some(PodFailurePolicyOnExitCodesRequirement {
                container_name: Some((*container).into()),
                operator: "In".into(),
                values,
            }),
            ..PodFailurePolicyRule::default()
        }
    };
    PodFailurePolicy { rules: std::iter::once(disruption).chain(rules.iter().map(on_codes)).collect() }
}

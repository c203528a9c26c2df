//! What a step leaves for people and for later steps: words, logs, outputs.

use super::*;

/// A file's name may hold anything, and people print what a status says.
#[test]
fn nothing_that_moves_a_terminal_reaches_a_status() {
    let name = Message::failed(ExitCode::BadOutput, "the file a\u{1b}]0;x\u{7} is a link").to_json();
    for (container, code, said) in [("seatrial-publish", 73, name.as_str()), ("step", 1, "x\u{1b}[2J\0y")] {
        let mut fixture = Fixture::new(training());
        fixture.settle();
        fixture.pod("prepare", json!({"phase": "Failed", "containerStatuses": [ended(container, code, said)]}));
        fixture.end_job("prepare", json!({"type": "Failed", "status": "True", "message": "x"}));
        fixture.settle();
        let message = fixture.step("prepare").message.clone().unwrap();
        assert!(message.contains('\u{fffd}') && !message.contains(char::is_control), "{message:?}");
        assert!(!fixture.stands().1.contains(char::is_control), "{:?}", fixture.stands());
    }
}

/// What a step without outputs printed is in the store: whoever reads it must find where.
#[test]
fn a_run_says_where_its_logs_are_also_without_outputs() {
    let mut fixture = Fixture::new(plain());
    fixture.settle();
    assert_eq!(fixture.status().artifact_prefix.as_deref(), Some("s3://growth/"));
}

/// A training must not go on for hours when nothing is left that could keep what it makes.
#[test]
fn a_command_whose_publish_has_failed_is_not_left_to_work_in_vain() {
    let said = Message::failed(ExitCode::BadConfiguration, "the certificate authority is no PEM").to_json();
    let running = |container: &str| {
        json!({"name": container, "image": "churn:1", "imageID": "", "ready": true, "restartCount": 0,
               "state": {"running": {"startedAt": at(0).to_string()}}})
    };
    for (code, expected) in [(64, Some("BadConfiguration")), (137, Some("AgentOutOfMemory")), (0, None), (241, None)] {
        let mut fixture = Fixture::new(training());
        fixture.settle();
        let mut publish = ended("seatrial-publish", code, if code == 64 { &said } else { "" });
        publish["state"]["terminated"]["finishedAt"] = json!(at(2).to_string());
        fixture.pod("prepare", json!({"phase": "Running", "containerStatuses": [running("step"), publish]}));
        fixture.now = 3;
        fixture.settle();
        assert_eq!(fixture.step("prepare").state, StepState::Running, "{code}: the command may be over as well");
        let after = plan(&fixture.observed, at(3)).requeue_after;
        assert!(expected.is_none() || after == Some(LOOK_AGAIN), "{code}: nobody else would wake the operator");
        fixture.now = 12;
        fixture.settle();
        let step = fixture.step("prepare");
        assert_eq!(step.reason.as_deref(), expected, "{code}: {step:?}");
        assert_eq!(step.state == StepState::Failed, expected.is_some(), "{code}");
        if code == 64 {
            let message = step.message.as_deref().unwrap();
            assert!(message.contains("is no PEM; the command still ran"), "{message}");
            assert!(fixture.live().is_empty(), "the Job is deleted");
        }
    }
}

/// Who can give Seatrial's own containers more memory is the platform team: the step's own limits do nothing.
#[test]
fn a_container_of_seatrials_own_that_was_killed_for_memory_is_named() {
    for (container, reason, field) in [
        ("seatrial-fetch", "AgentOutOfMemory", "agent.resources.limits.memory"),
        ("seatrial-admit", "AgentOutOfMemory", "agent.resources.limits.memory"),
        ("seatrial-check", "CheckFailed", "judge.resources.limits.memory"),
    ] {
        let mut fixture = Fixture::new(training());
        fixture.settle();
        let mut killed = ended(container, 137, "");
        killed["state"]["terminated"]["reason"] = json!("OOMKilled");
        fixture.pod("prepare", json!({"phase": "Failed", "initContainerStatuses": [killed]}));
        fixture.end_job("prepare", json!({"type": "Failed", "status": "True"}));
        fixture.settle();
        let step = fixture.step("prepare");
        assert_eq!((step.state, step.reason.as_deref()), (StepState::Failed, Some(reason)), "{container}");
        assert!(step.message.as_deref().unwrap().contains(field), "{container}: {:?}", step.message);
    }
}

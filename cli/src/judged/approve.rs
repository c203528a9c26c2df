//! A person's word on a version: the Approval that names the newest judgement, as `kubectl seatrial approve` creates it.

use anyhow::bail;
use k8s_openapi::api::authentication::v1::UserInfo;
use kube::ResourceExt;
use seatrial_crds::{
    Approval, ApprovalGate, ApprovalSpec, Approver, Decision, GateType, Judgement, Model, ModelVersion, Verdict,
};

use super::text::{plain, short_digest};

/// What somebody says of a version.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Word {
    pub(super) decision: Decision,
    pub(super) reason: String,
    /// The judgement that was looked at, or how its digest begins, with or without `sha256:`. The newest one where absent.
    pub(super) judgement: Option<String>,
    /// The account that will create the Approval, where that is not the person who asks.
    pub(super) writer: Option<String>,
}

/// The Approval of a version's newest judgement by an account. Says who is asked instead where nobody asks this account.
pub(super) fn approval(
    word: Word,
    version: &ModelVersion,
    model: Option<&Model>,
    account: &UserInfo,
) -> anyhow::Result<Approval> {
    let name = version.name_any();
    let (judgement, digest) = newest(version)?;
    if let Some(seen) = &word.judgement
        && !begins(digest, seen)
    {
        bail!(
            "{name} has another judgement by now, {digest}, of {}: look at what it found, then approve that one",
            judgement.judged_at.0
        );
    }
    let Some(user) = account.username.clone().filter(|user| !user.is_empty()) else {
        bail!("the API server does not say who you are: kubectl auth whoami shows what it knows");
    };
    let asked = gates(model);
    let groups = account.groups.as_deref().unwrap_or_default();
    let (by, on_behalf_of) = match word.writer {
        // Its groups are not known here, and it is asked by its name.
        Some(writer) => (Approver { user: writer, groups: vec![] }, Some(user)),
        None => {
            let mut groups: Vec<String> =
                groups.iter().filter(|it| asked.iter().any(|gate| gate.group == **it)).cloned().collect();
            groups.sort();
            groups.dedup();
            (Approver { user, groups }, None)
        }
    };
    let is_asked = !by.groups.is_empty() || asked.iter().any(|gate| gate.writers.contains(&by.user));
    // Whoever may create an Approval lets a version go that is held.
    if !is_asked && !is_held(version) {
        bail!("{}", nobody_asks(&version.spec.model, &by.user, &asked));
    }
    let spec = ApprovalSpec {
        model: version.spec.model.clone(),
        version: name.clone(),
        digest: version.spec.artifact.digest.clone(),
        judgement: digest.to_owned(),
        decision: word.decision,
        reason: word.reason,
        by,
        on_behalf_of,
    };
    let mut approval = Approval::new("", spec);
    approval.metadata.name = None;
    approval.metadata.generate_name = Some(format!("{name}-"));
    approval.metadata.namespace = version.namespace();
    Ok(approval)
}

/// What is said to the person: what the judgement found, which the word is about.
pub(super) fn summary(version: &ModelVersion) -> anyhow::Result<String> {
    let (judgement, digest) = newest(version)?;
    let mut out = format!(
        "{} of {}, files {}, judgement {} of {}:\n",
        plain(&version.name_any()),
        plain(&version.spec.model),
        short_digest(&version.spec.artifact.digest),
        short_digest(digest),
        judgement.judged_at.0
    );
    for gate in judgement.gates.iter().filter(|gate| gate.kind != Some(GateType::Approval)) {
        out.push_str(&format!("  {:?}: {}\n", gate.verdict, plain(&gate.message)));
    }
    Ok(out)
}

fn newest(version: &ModelVersion) -> anyhow::Result<(&Judgement, &str)> {
    let judgement = version.status.as_ref().and_then(|status| status.judgements.first());
    match judgement.and_then(|judgement| Some((judgement, judgement.digest.as_deref()?))) {
        Some(found) => Ok(found),
        None => bail!(
            "{} was not judged yet: wait until kubectl get modelversion {} shows a verdict",
            version.name_any(),
            version.name_any()
        ),
    }
}

fn begins(digest: &str, seen: &str) -> bool {
    let hex = digest.trim_start_matches("sha256:");
    let seen = seen.trim_start_matches("sha256:");
    !seen.is_empty() && hex.starts_with(seen)
}

fn gates(model: Option<&Model>) -> Vec<&ApprovalGate> {
    let gates = model.map(|model| model.spec.gates.as_slice()).unwrap_or_default();
    gates.iter().filter_map(|gate| gate.approval.as_ref()).collect()
}

fn is_held(version: &ModelVersion) -> bool {
    version.status.as_ref().is_some_and(|status| status.verdict == Some(Verdict::Held))
}

fn nobody_asks(model: &str, user: &str, asked: &[&ApprovalGate]) -> String {
    if asked.is_empty() {
        return format!(
            "the Model {model} asks nobody for approval: it has no gate of type Approval, and the version is not Held"
        );
    }
    let groups: Vec<&str> = asked.iter().map(|gate| gate.group.as_str()).collect();
    let mut said =
        format!("the Model {model} asks the group {} for approval, and {user} is not of it", groups.join(", "));
    let writers: Vec<&str> = asked.iter().flat_map(|gate| &gate.writers).map(String::as_str).collect();
    if !writers.is_empty() {
        said.push_str(&format!("; these accounts may write for others: {}", writers.join(", ")));
    }
    said
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::super::fixtures;
    use super::*;

    fn word(change: impl FnOnce(&mut Word)) -> Word {
        let mut word = Word { decision: Decision::Approved, reason: "as before".into(), judgement: None, writer: None };
        change(&mut word);
        word
    }

    fn account(user: &str, groups: &[&str]) -> UserInfo {
        let groups = groups.iter().map(|&group| group.to_owned()).collect();
        UserInfo { username: Some(user.to_owned()), groups: Some(groups), ..UserInfo::default() }
    }

    /// The fixture's served version, of a Model with these gates of type Approval.
    fn asked(gates: &[Value]) -> (ModelVersion, Model) {
        let fixtures::Fixture { mut model, versions } = fixtures::full();
        for (number, approval) in gates.iter().enumerate() {
            let gate = json!({"name": format!("signed-{number}"), "type": "Approval", "approval": approval});
            model.spec.gates.push(from_value(gate).unwrap());
        }
        (versions[1].clone(), model)
    }

    #[test]
    fn an_approval_names_files_judgement_and_the_groups_that_are_asked() {
        let (version, model) = asked(&[json!({"group": "crm"}), json!({"group": "risk"})]);
        let ann = account("ann@example.com", &["system:authenticated", "risk", "crm", "crm"]);
        let approval = approval(word(|_| ()), &version, Some(&model), &ann).unwrap();
        assert_eq!(approval.metadata.generate_name.as_deref(), Some("churn-v6-"));
        assert_eq!(approval.metadata.namespace.as_deref(), Some("growth"));
        let judgement = version.status.as_ref().unwrap().judgements[0].digest.clone().unwrap();
        let expected = json!({
            "model": "churn", "version": "churn-v6", "digest": version.spec.artifact.digest, "judgement": judgement,
            "decision": "Approved", "reason": "as before", "by": {"user": "ann@example.com", "groups": ["crm", "risk"]},
        });
        assert_eq!(serde_json::to_value(&approval.spec).unwrap(), expected);
    }

    #[test]
    fn whoever_nobody_asks_is_told_who_is_asked() {
        let crm = json!({"group": "crm", "writers": ["system:serviceaccount:argocd:argocd"]});
        let eve = account("eve", &["sales"]);
        for (gates, model, expected) in [
            (vec![], true, "has no gate of type Approval"),
            (vec![crm.clone()], false, "has no gate of type Approval"),
            (
                vec![crm.clone()],
                true,
                "asks the group crm for approval, and eve is not of it; these accounts may write for others: system:serviceaccount:argocd:argocd",
            ),
        ] {
            let (version, it) = asked(&gates);
            let error = approval(word(|_| ()), &version, model.then_some(&it), &eve).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        // What is held goes on by anybody's word who may create one.
        let (mut version, model) = asked(std::slice::from_ref(&crm));
        version.status.as_mut().unwrap().verdict = Some(Verdict::Held);
        let held = approval(word(|word| word.decision = Decision::Rejected), &version, Some(&model), &eve).unwrap();
        assert_eq!((held.spec.decision, held.spec.by.groups.len()), (Decision::Rejected, 0));
        // And an account that is asked by its name writes for the person.
        let (version, model) = asked(&[crm]);
        let argo = "system:serviceaccount:argocd:argocd".to_owned();
        let written = approval(word(|word| word.writer = Some(argo.clone())), &version, Some(&model), &eve).unwrap();
        assert_eq!((written.spec.by.user, written.spec.on_behalf_of.as_deref()), (argo, Some("eve")));
    }

    #[test]
    fn a_judgement_that_was_not_looked_at_is_not_approved() {
        let (version, model) = asked(&[json!({"group": "crm"})]);
        let ann = account("ann", &["crm"]);
        let digest = version.status.as_ref().unwrap().judgements[0].digest.clone().unwrap();
        let of =
            |seen: &str| approval(word(|word| word.judgement = Some(seen.to_owned())), &version, Some(&model), &ann);
        for seen in [digest.as_str(), &digest[7..19], &digest[..19]] {
            assert_eq!(of(seen).unwrap().spec.judgement, digest, "{seen}");
        }
        for seen in ["", "sha256:", "sha256:1234", "churn"] {
            assert!(of(seen).unwrap_err().to_string().contains("has another judgement by now"), "{seen}");
        }
        let mut unjudged = version.clone();
        unjudged.status = None;
        let error = approval(word(|_| ()), &unjudged, Some(&model), &ann).unwrap_err().to_string();
        assert!(error.contains("was not judged yet"), "{error}");
        assert!(summary(&unjudged).is_err());
        let anonymous = UserInfo::default();
        let error = approval(word(|_| ()), &version, Some(&model), &anonymous).unwrap_err().to_string();
        assert!(error.contains("kubectl auth whoami"), "{error}");
    }

    #[test]
    fn a_person_sees_what_the_word_is_about() {
        let (version, _) = asked(&[]);
        insta::assert_snapshot!(summary(&version).unwrap());
    }
}

//! Another field manager (a person, a tool, an admission policy) changes our Deployment or Service.

use super::*;

impl Cluster {
    fn change_child(&mut self, change: impl FnOnce(&mut Deployment)) {
        change(Arc::make_mut(&mut self.0.children[0]));
    }

    fn change_service(&mut self, change: impl FnOnce(&mut Service)) {
        change(Arc::make_mut(self.0.service.as_mut().unwrap()));
    }

    fn conflict(&self) -> Option<&str> {
        conditions::find(&self.status().conditions, types::FIELD_CONFLICT).map(|found| found.message.as_str())
    }
}

/// What somebody does to a Deployment.
type Edit = fn(&mut Deployment);

fn set_image(child: &mut Deployment) {
    let spec = child.spec.as_mut().unwrap().template.spec.as_mut().unwrap();
    spec.containers[0].image = Some("by-hand:1".into());
}

fn image(cluster: &Cluster) -> Option<&str> {
    let spec = cluster.0.children[0].spec.as_ref().unwrap().template.spec.as_ref().unwrap();
    spec.containers[0].image.as_deref()
}

#[test]
fn edits_by_hand_are_put_right() {
    let edits: [(&str, Edit); 4] = [
        ("spec.replicas", |child| child.spec.as_mut().unwrap().replicas = Some(7)),
        ("spec.minReadySeconds", |child| child.spec.as_mut().unwrap().min_ready_seconds = None),
        ("spec.template.spec.containers[server].image", set_image),
        ("metadata.labels.seatrial.dev/version", |child| {
            child.labels_mut().insert(VERSION_LABEL.into(), "churn-v9".into());
        }),
    ];
    for (field, edit) in edits {
        let mut cluster = Cluster::new(json!({}), &[passed(1)]);
        cluster.run_until_ready();
        let before = cluster.0.children[0].clone();
        cluster.change_child(edit);
        let written = cluster.settle();
        assert_eq!(written.len(), 1, "{field}: {written:?}");
        cluster.run_until_ready();
        let after = cluster.0.children[0].clone();
        assert_eq!((&after.spec, after.labels()), (&before.spec, before.labels()), "{field}");
        let corrections = &cluster.status().corrections;
        assert_eq!((corrections.len(), corrections[0].field.as_str(), corrections[0].count), (1, field, 1));
        // After an hour it is forgotten.
        assert_eq!(plan(&cluster.0, cluster.1).requeue_after, Some(Duration::from_secs(3600)));
        cluster.pass(3600);
        cluster.settle();
        assert_eq!(cluster.status().corrections, []);
    }
}

#[test]
fn what_was_put_right_at_different_times_is_forgotten_by_one_write() {
    let mut cluster = Cluster::new(json!({}), &[passed(1)]);
    cluster.run_until_ready();
    cluster.change_child(set_image);
    cluster.run_until_ready();
    cluster.pass(40);
    cluster.change_service(|service| service.spec.as_mut().unwrap().ports.as_mut().unwrap()[0].port = 8080);
    cluster.run_until_ready();
    cluster.pass(3599);
    assert!(plan(&cluster.0, cluster.1).status.is_none());
    assert_eq!(plan(&cluster.0, cluster.1).requeue_after, Some(Duration::from_secs(1)));
    cluster.pass(1);
    assert_eq!(plan(&cluster.0, cluster.1).status.unwrap().corrections, []);
}

#[test]
fn what_others_add_is_theirs() {
    let mut cluster = Cluster::new(json!({}), &[passed(1)]);
    cluster.run_until_ready();
    cluster.change_child(|child| {
        let spec = child.spec.as_mut().unwrap().template.spec.as_mut().unwrap();
        let sidecar = json!({"name": "mesh", "image": "mesh:1"});
        spec.containers.push(from_value(sidecar).unwrap());
        child.annotations_mut().insert("deployment.kubernetes.io/revision".into(), "1".into());
    });
    cluster.change_service(|service| service.spec.as_mut().unwrap().cluster_ip = Some("10.0.0.1".into()));
    assert_eq!(cluster.settle(), Vec::<String>::new());
}

#[test]
fn a_second_writer_is_named_after_three_corrections_and_left_alone() {
    let mut cluster = Cluster::new(json!({}), &[passed(1)]);
    cluster.run_until_ready();
    let mut written = vec![];
    for _ in 0..20 {
        // A policy wants two of everything.
        cluster.change_child(|child| child.spec.as_mut().unwrap().replicas = Some(2));
        cluster.make_ready("churn-v1");
        written.extend(cluster.settle());
    }
    assert_eq!(written.len(), 3, "{written:?}");
    let message = cluster.conflict().unwrap();
    assert!(message.contains("spec.replicas of the Deployment \"churn-"), "{message}");
    // It serves all the same.
    assert_eq!(cluster.reason(types::READY), Some("Serving"));
    // Another field is put right all the same, and a change of the spec lets this one be tried again.
    cluster.change_child(set_image);
    cluster.settle();
    assert_eq!(image(&cluster), Some("server:1"));
    cluster.edit(|deployment| {
        deployment.spec.replicas = Some(3);
        deployment.metadata.generation = Some(2);
    });
    cluster.run_until_ready();
    assert_eq!((desired(&cluster.0.children[0]), cluster.conflict()), (3, None));
}

#[test]
fn a_second_writer_of_the_service_stands_in_the_way() {
    let mut cluster = Cluster::new(json!({}), &[passed(1)]);
    cluster.run_until_ready();
    let mut written = vec![];
    for _ in 0..20 {
        cluster.change_service(|service| service.spec.as_mut().unwrap().ports.as_mut().unwrap()[0].port = 8080);
        written.extend(cluster.settle());
    }
    assert_eq!(written.len(), 3, "{written:?}");
    assert!(cluster.conflict().unwrap().contains("spec.ports[http].port of the Service \"churn\""));
    assert_eq!(cluster.reason(types::STALLED), Some("FieldConflict"));
    // The other writer gives in.
    cluster.change_service(|service| service.spec.as_mut().unwrap().ports.as_mut().unwrap()[0].port = 80);
    cluster.settle();
    assert_eq!((cluster.conflict(), cluster.reason(types::READY)), (None, Some("Serving")));
}

#[test]
fn a_writer_that_takes_our_annotations_away_is_bounded_too() {
    let mut cluster = Cluster::new(json!({}), &[passed(1)]);
    cluster.run_until_ready();
    let mut written = vec![];
    for _ in 0..20 {
        cluster.change_child(|child| child.metadata.annotations = None);
        cluster.change_service(|service| service.metadata.annotations = None);
        written.extend(cluster.settle());
    }
    assert_eq!(written.len(), 6, "{written:?}");
    assert!(cluster.conflict().unwrap().contains("metadata.annotations"));
}

#[test]
fn a_correction_that_is_refused_does_not_count() {
    let mut cluster = Cluster::new(json!({}), &[passed(1)]);
    cluster.run_until_ready();
    let name = cluster.0.children[0].name_any();
    let until = now().checked_add(jiff::SignedDuration::from_secs(60)).unwrap();
    let (kind, reason) = (Kind::Deployment, BlockedReason::Refused);
    cluster.0.blocked.push(Blocked { kind, name, reason, message: "policy".into(), until });
    cluster.change_child(|child| child.spec.as_mut().unwrap().replicas = Some(2));
    for _ in 0..20 {
        assert_eq!(cluster.settle(), Vec::<String>::new());
    }
    assert_eq!((cluster.status().corrections.len(), cluster.reason(types::STALLED)), (0, Some("WriteRefused")));
}

//! The reader pod, by which `kubectl seatrial logs` and `artifact` read from a store. To create it, a person needs only the
//! right to create pods in the namespace.
//!
//! Its access to the store is that of a pod that the operator made there: template and store were chosen by
//! [`crate::stores`] then, and are taken over as they stand.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, PodTemplateSpec, Volume, VolumeMount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use seatrial_crds::names::{COMPONENT_LABEL, components};

use crate::contract::{self, CONFIG_VARIABLE, PodConfig, ReadConfig, Reading, StoreConfig};
use crate::pods::{FETCH, PUBLISH, config_variable};

/// The container of a reader pod.
pub const READER: &str = "seatrial-reader";
/// What the container is asked to run for the answer. Its output reaches the person alone, and no log of the node.
pub const COMMAND: [&str; 2] = ["/seatrial-agent", "read"];

/// What a reader pod is for.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    /// The pod templates that the operator made in the namespace, best first.
    pub templates: &'a [PodTemplateSpec],
    /// The prefix beneath which the run's artifacts and logs are.
    pub prefix: &'a str,
    /// What is read.
    pub what: Reading,
    /// Who the pod goes away with at the latest.
    pub owner: OwnerReference,
    /// How long it may live, in seconds.
    pub deadline: i64,
}

impl Reader<'_> {
    /// The pod; `None` where no template has access to the store.
    pub fn pod(&self) -> Option<Pod> {
        self.templates.iter().find_map(|template| self.pod_like(template.spec.as_ref()?))
    }

    fn pod_like(&self, template: &PodSpec) -> Option<Pod> {
        let fetch = template.init_containers.iter().flatten().find(|container| container.name == FETCH)?;
        let store = self.store(fetch)?;
        // Each of the agent's containers has the access that it needs itself: that to the store of the artifacts is
        // `publish`'s, unless an input is there as well.
        let publish = template.containers.iter().find(|container| container.name == PUBLISH);
        let known = [Some(fetch), publish].into_iter().flatten().flat_map(|one| one.volume_mounts.iter().flatten());
        let mut mounts: Vec<VolumeMount> = vec![];
        for mount in known.filter(|mount| store.folders().any(|folder| folder == mount.mount_path)) {
            if mounts.iter().all(|other| other.mount_path != mount.mount_path) {
                mounts.push(mount.clone());
            }
        }
        let is_mounted = |volume: &&Volume| mounts.iter().any(|mount| mount.name == volume.name);
        let volumes = template.volumes.iter().flatten().filter(is_mounted).cloned().collect();
        let mut env: Vec<_> = fetch.env.iter().flatten().filter(|one| one.name != CONFIG_VARIABLE).cloned().collect();
        env.push(config_variable(&ReadConfig { version: contract::VERSION, store, what: self.what.clone() }));
        let container = Container {
            name: READER.into(),
            command: Some(vec!["/seatrial-agent".into(), "hold".into()]),
            env: Some(env),
            volume_mounts: Some(mounts),
            ..fetch.clone()
        };
        Some(Pod {
            metadata: ObjectMeta {
                generate_name: Some("seatrial-reader-".into()),
                labels: Some(BTreeMap::from([(COMPONENT_LABEL.to_owned(), components::READER.to_owned())])),
                owner_references: Some(vec![self.owner.clone()]),
                ..ObjectMeta::default()
            },
            spec: Some(PodSpec {
                init_containers: None,
                containers: vec![container],
                volumes: Some(volumes),
                restart_policy: Some("Never".into()),
                active_deadline_seconds: Some(self.deadline),
                termination_grace_period_seconds: Some(5),
                // A person waits for it, so that it may run on any node: the affinity of steps does not apply to it.
                topology_spread_constraints: None,
                ..template.clone()
            }),
            status: None,
        })
    }

    /// The store of the prefix, as the container knows it.
    fn store(&self, fetch: &Container) -> Option<StoreConfig> {
        let variable = fetch.env.iter().flatten().find(|variable| variable.name == CONFIG_VARIABLE)?;
        // A doubled `$` stands for one: see `pods::literal`.
        let text = variable.value.as_deref()?.replace("$$", "$");
        let config: PodConfig =
            serde_json::from_str(&text).ok().filter(|config: &PodConfig| config.version == contract::VERSION)?;
        let mut stores: Vec<StoreConfig> = config.stores;
        stores.retain(|store| self.prefix.starts_with(&store.prefix));
        let store = stores.into_iter().max_by_key(|store| store.prefix.len())?;
        Some(StoreConfig { prefix: self.prefix.to_owned(), ..store })
    }
}

#[cfg(test)]
mod tests {
    use seatrial_crds::{Credentials, Store, StoreSpec, WorkloadOptions};

    use super::*;
    use crate::contract::Digest;
    use crate::platform::{DefaultStore, Platform};
    use crate::pods;
    use crate::stores::{self, ResolvedStore};

    fn platform() -> Platform {
        Platform {
            agent_image: "agent:1".into(),
            agent_image_pull_secrets: vec!["registry".into()],
            run_as_non_root: true,
            default_store: Some(DefaultStore {
                endpoint: "https://store.svc:9000".into(),
                audience: "seatrial-store".into(),
                certificate_authority: Some("a $(PEM)".into()),
                authority_is_published: true,
            }),
            ..Platform::default()
        }
    }

    /// As the operator makes it, with a store of inputs beside that of the artifacts.
    fn template(artifacts: &ResolvedStore) -> PodTemplateSpec {
        let credentials = Some(Credentials { secret_name: Some("lake-keys".into()), ..Credentials::default() });
        let spec = StoreSpec { prefix: "s3://lake/".into(), credentials, ..StoreSpec::default() };
        let lake = stores::for_uri("s3://lake/x", "ns", &[Box::new(Store::new("lake", spec))], &platform()).unwrap();
        let both = [lake, artifacts.clone()];
        let config = PodConfig {
            version: contract::VERSION,
            stores: both.iter().map(|store| store.config.clone()).collect(),
            inputs: vec![],
            known: vec![],
            step: None,
            outage_seconds: 1,
        };
        let env = vec![config_variable(&config)];
        let [inputs, outputs] = both.each_ref().map(std::slice::from_ref);
        let fetch = pods::agent_container(FETCH, "fetch", env, inputs, "agent:1", &platform());
        let publish = pods::agent_container(PUBLISH, "publish", vec![], outputs, "agent:1", &platform());
        let step = Container { name: pods::STEP.into(), ..Container::default() };
        let spec = pods::pod_spec(&WorkloadOptions::default(), vec![fetch], vec![step, publish], &both, &platform());
        PodTemplateSpec { metadata: None, spec: Some(spec) }
    }

    fn reader(templates: &[PodTemplateSpec], prefix: &str) -> Option<Pod> {
        let what = Reading::Artifact { digest: Digest::of(b"x"), only_listing: false };
        Reader { templates, prefix, what, owner: OwnerReference::default(), deadline: 600 }.pod()
    }

    #[test]
    fn a_reader_has_the_access_to_its_store_and_to_no_other() {
        let none: [Box<Store>; 0] = [];
        let artifacts = stores::for_artifacts("ns", &none, &platform()).unwrap();
        insta::assert_yaml_snapshot!(reader(&[PodTemplateSpec::default(), template(&artifacts)], "s3://ns/").unwrap());
    }

    #[test]
    fn without_a_template_that_knows_the_store_there_is_no_pod() {
        let none: [Box<Store>; 0] = [];
        let artifacts = stores::for_artifacts("ns", &none, &platform()).unwrap();
        assert_eq!(reader(&[template(&artifacts)], "s3://other/"), None);
        let keys = reader(&[template(&artifacts)], "s3://lake/").unwrap().spec.unwrap();
        let secrets: Vec<_> =
            keys.volumes.unwrap().into_iter().map(|volume| volume.secret.unwrap().secret_name).collect();
        assert_eq!(secrets, [Some("lake-keys".to_owned())]);
    }
}

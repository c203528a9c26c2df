//! The trust bundle of a namespace: a ConfigMap with the authorities that signed the certificate of the cluster's default
//! store, and those that the platform team lets agents trust besides the public ones. Agents mount it and follow it, so that a
//! new authority strands no pod that runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use seatrial_crds::names::{
    COMPONENT_LABEL, MANAGED_BY, MANAGED_BY_LABEL, TRUST_BUNDLE, TRUST_BUNDLE_KEY, TRUST_BUNDLE_SITE_KEY, components,
};

use crate::plan::{Blocked, Object, Plan, Stage, Write};
use crate::platform::Platform;

/// What a namespace's trust bundle is planned from.
#[derive(Clone, Debug)]
pub struct TrustObserved {
    /// The namespace.
    pub namespace: String,
    /// The ConfigMap of its name.
    pub bundle: Option<Arc<ConfigMap>>,
    /// Whether anything in the namespace may start pods: an unfinished run, a deployment, a version that is judged, a contract with a
    /// schedule.
    pub is_used: bool,
    /// The writes that failed, and until when each waits.
    pub blocked: Vec<Blocked>,
    /// What the platform team configured.
    pub platform: Arc<Platform>,
}

/// Keeps the bundle's content at what the platform trusts. A bundle in a namespace that nothing of Seatrial's uses stays as it
/// is. So does a ConfigMap that somebody else made: then the pods that mount it trust its content.
pub fn plan(observed: &TrustObserved, now: Timestamp) -> Plan<()> {
    let data = authorities(&observed.platform);
    if data.is_empty() || !observed.is_used {
        return Plan::default();
    }
    let wanted = bundle(&observed.namespace, data);
    let write = match observed.bundle.as_deref() {
        None => Write::Create(Object::ConfigMap(Box::new(wanted))),
        Some(found) if !is_ours(found) || found.data == wanted.data => return Plan::default(),
        Some(found) => {
            let metadata = found.metadata.clone();
            Write::Replace(Object::ConfigMap(Box::new(ConfigMap { metadata, ..wanted })))
        }
    };
    Plan { stages: vec![Stage::proceed(vec![write])], ..Plan::default() }.defer_blocked(&observed.blocked, now)
}

fn is_ours(bundle: &ConfigMap) -> bool {
    let component = bundle.metadata.labels.as_ref().and_then(|labels| labels.get(COMPONENT_LABEL));
    component.is_some_and(|component| component == components::TRUST_BUNDLE)
}

fn authorities(platform: &Platform) -> BTreeMap<String, String> {
    let store = platform.default_store.as_ref().and_then(|store| store.certificate_authority.as_ref());
    let of = |key: &str, authorities: Option<&String>| Some((key.to_owned(), authorities?.clone()));
    [of(TRUST_BUNDLE_KEY, store), of(TRUST_BUNDLE_SITE_KEY, platform.agent_authorities.as_ref())]
        .into_iter()
        .flatten()
        .collect()
}

fn bundle(namespace: &str, data: BTreeMap<String, String>) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(TRUST_BUNDLE.to_owned()),
            namespace: Some(namespace.to_owned()),
            labels: Some(BTreeMap::from([
                (COMPONENT_LABEL.to_owned(), components::TRUST_BUNDLE.to_owned()),
                (MANAGED_BY_LABEL.to_owned(), MANAGED_BY.to_owned()),
            ])),
            ..ObjectMeta::default()
        },
        data: Some(data),
        ..ConfigMap::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::DefaultStore;

    fn observed(bundle: Option<ConfigMap>) -> TrustObserved {
        let platform = Platform { default_store: Some(DefaultStore::example()), ..Platform::default() };
        TrustObserved {
            namespace: "growth".into(),
            bundle: bundle.map(Arc::new),
            is_used: true,
            blocked: vec![],
            platform: Arc::new(platform),
        }
    }

    fn of_store(authority: &str) -> ConfigMap {
        bundle("growth", BTreeMap::from([("ca.crt".to_owned(), authority.to_owned())]))
    }

    fn writes(observed: &TrustObserved) -> Vec<Write> {
        plan(observed, Timestamp::UNIX_EPOCH).writes().cloned().collect()
    }

    #[test]
    fn a_namespace_that_is_used_has_the_authority_of_the_store_and_follows_it() {
        let created = writes(&observed(None));
        assert_eq!(created, [Write::Create(Object::ConfigMap(Box::new(of_store("pem"))))]);
        assert_eq!(writes(&observed(Some(of_store("pem")))), []);
        let mut old = of_store("old");
        old.metadata.resource_version = Some("7".into());
        let replaced = writes(&observed(Some(old.clone())));
        let new = ConfigMap { data: of_store("pem").data, ..old };
        assert_eq!(replaced, [Write::Replace(Object::ConfigMap(Box::new(new)))]);
    }

    /// A company's whole bundle is larger than an environment variable may be.
    #[test]
    fn what_the_platform_team_trusts_stands_beside_the_authority_of_the_store() {
        let mut all = observed(None);
        Arc::make_mut(&mut all.platform).agent_authorities = Some("site".into());
        let [Write::Create(Object::ConfigMap(created))] = &writes(&all)[..] else { panic!("{:?}", writes(&all)) };
        let keys = [("ca.crt", "pem"), ("site.crt", "site")].map(|(key, pem)| (key.to_owned(), pem.to_owned()));
        assert_eq!(created.data, Some(BTreeMap::from(keys)));
        Arc::make_mut(&mut all.platform).default_store = None;
        let [Write::Create(Object::ConfigMap(created))] = &writes(&all)[..] else { panic!("{:?}", writes(&all)) };
        assert_eq!(created.data.as_ref().unwrap().len(), 1);
    }

    #[test]
    fn nothing_is_written_where_nobody_uses_it_or_another_made_it_or_public_authorities_are_trusted() {
        let unused = TrustObserved { is_used: false, ..observed(None) };
        assert_eq!(writes(&unused), []);
        let mut foreign = of_store("old");
        foreign.metadata.labels = None;
        assert_eq!(writes(&observed(Some(foreign))), []);
        let mut public = observed(None);
        let store = Arc::make_mut(&mut public.platform).default_store.as_mut().unwrap();
        store.certificate_authority = None;
        assert_eq!(writes(&public), []);
    }
}

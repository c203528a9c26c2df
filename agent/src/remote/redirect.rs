//! Which redirects are followed. A server that people name may send the agent anywhere: it goes to the same server, and
//! to the hosts that the Store names.

use std::error::Error;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::Url;
use reqwest::redirect::{Action, Attempt};
use seatrial_core::contract::StoreConfig;

use crate::remote::address::{RefusedName, is_forbidden, is_private, literal};

/// Redirects that are followed for one answer.
const MOST: usize = 5;
/// How much of a target is shown, in characters.
const SHOWN: usize = 300;

/// To which hosts the answers of one store may redirect.
#[derive(Clone, Debug)]
pub(crate) struct Redirects {
    /// The Store, as people call it.
    store: String,
    /// Whether there is a Store object in which a host could be named.
    is_object: bool,
    is_web: bool,
    /// The store's own host.
    own: String,
    /// `host`, `host:port` or `*.domain`.
    hosts: Vec<String>,
    /// Whether the store's own host has a private address, which is known once it was resolved.
    own_is_private: Arc<AtomicBool>,
}

impl Redirects {
    /// Those that a store's config allows; `url` is where its requests go.
    pub(crate) fn of(config: &StoreConfig, url: &Url) -> Self {
        let store = config.name.clone().unwrap_or_else(|| config.prefix.clone());
        let own = url.host_str().unwrap_or_default().to_owned();
        let own_is_private = literal(url).is_some_and(is_private);
        Self {
            store,
            is_object: config.name.is_some(),
            is_web: !config.prefix.starts_with("s3://"),
            own,
            hosts: config.redirect_hosts.clone(),
            own_is_private: Arc::new(AtomicBool::new(own_is_private)),
        }
    }

    /// Follows a redirect, or says why not.
    pub(crate) fn judge(&self, attempt: Attempt<'_>) -> Action {
        let refused = match attempt.previous() {
            previous if previous.len() > MOST => Some(self.refused(attempt.url(), Why::TooMany)),
            [.., here] => self.refusal(here, attempt.url()),
            [] => None,
        };
        match refused {
            Some(refused) => attempt.error(refused),
            None => attempt.follow(),
        }
    }

    fn refusal(&self, here: &Url, next: &Url) -> Option<RefusedRedirect> {
        if origin(here) == origin(next) {
            return None;
        }
        if literal(next).is_some_and(is_forbidden) {
            return Some(self.refused(next, Why::Forbidden));
        }
        if here.scheme() == "https" && next.scheme() != "https" {
            return Some(self.refused(next, Why::Unprotected));
        }
        if !self.hosts.iter().any(|pattern| matches(pattern, next)) {
            return Some(self.refused(next, Why::Elsewhere));
        }
        // The addresses of names are looked at when they are resolved.
        let to_private = literal(next).is_some_and(is_private);
        (to_private && !self.own_is_private()).then(|| self.refused(next, Why::Private))
    }

    fn refused(&self, next: &Url, why: Why) -> RefusedRedirect {
        let mut target = next.clone();
        // It may hold a signature.
        target.set_query(None);
        target.set_fragment(None);
        let _ = target.set_username("").and_then(|()| target.set_password(None));
        RefusedRedirect {
            target: target.to_string().chars().take(SHOWN).collect(),
            host: host_and_port(next),
            store: self.store.clone(),
            is_object: self.is_object,
            is_web: self.is_web,
            why,
        }
    }

    /// Judges the addresses of a name, before any is connected to.
    pub(crate) fn resolved(&self, name: &str, mut addresses: impl Iterator<Item = IpAddr>) -> Result<(), RefusedName> {
        let to_private = addresses.any(is_private);
        if name.eq_ignore_ascii_case(&self.own) {
            self.own_is_private.store(to_private, Ordering::Relaxed);
            return Ok(());
        }
        // Other names are those of proxies.
        let is_target = self.hosts.iter().any(|pattern| fits(pattern.split(':').next().unwrap_or_default(), name));
        if is_target && to_private && !self.own_is_private() {
            return Err(RefusedName::Private(name.to_owned()));
        }
        Ok(())
    }

    fn own_is_private(&self) -> bool {
        self.own_is_private.load(Ordering::Relaxed)
    }
}

fn origin(url: &Url) -> (&str, Option<&str>, Option<u16>) {
    (url.scheme(), url.host_str(), url.port_or_known_default())
}

fn host_and_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    // The usual port of the scheme is left out by the parser.
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Whether a pattern of a Store allows a URL: the usual port of the URL's scheme, where the pattern names none.
fn matches(pattern: &str, url: &Url) -> bool {
    let (pattern, port) = pattern.split_once(':').map_or((pattern, None), |(host, port)| (host, port.parse().ok()));
    fits(pattern, url.host_str().unwrap_or_default()) && (port == url.port() || port == url.port_or_known_default())
}

/// Whether a name fits a pattern. As in certificates, `*` stands for one label.
fn fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(domain) => name.split_once('.').is_some_and(|(first, rest)| !first.is_empty() && rest == domain),
        None => pattern == name,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    Elsewhere,
    Forbidden,
    Private,
    Unprotected,
    TooMany,
}

/// A redirect that is not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RefusedRedirect {
    /// Where to, without what may be secret.
    target: String,
    host: String,
    store: String,
    is_object: bool,
    is_web: bool,
    why: Why,
}

impl fmt::Display for RefusedRedirect {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { target, host, store, .. } = self;
        if self.why == Why::TooMany {
            return write!(formatter, "redirects more than {MOST} times: let the server lead to the file directly");
        }
        write!(formatter, "redirects to {target}, ")?;
        match self.why {
            Why::Forbidden => write!(
                formatter,
                "which is a link-local address or a metadata service: redirects to such are never followed"
            ),
            Why::Private => write!(
                formatter,
                "which is a private address though the store itself has none: redirects to such are never followed"
            ),
            Why::Unprotected => {
                write!(formatter, "which is not https: redirects from https to anything else are never followed")
            }
            _ if !self.is_web => write!(
                formatter,
                "which is another server, and keys go to no other: correct spec.endpoint and spec.region of the Store {store}"
            ),
            _ if self.is_object => write!(
                formatter,
                "which is another host: if the data may come from there, add \"{host}\" to spec.redirectHosts of the Store {store}"
            ),
            _ => write!(
                formatter,
                "which is another host: if the data may come from there, create a Store of the prefix {store} with \"{host}\" in spec.redirectHosts"
            ),
        }
    }
}

impl Error for RefusedRedirect {}

#[cfg(test)]
mod tests {
    use seatrial_core::contract::{Authentication, Authorities};

    use super::*;

    fn redirects(prefix: &str, hosts: &[&str]) -> Redirects {
        let config = StoreConfig {
            name: Some("hub".into()),
            prefix: prefix.into(),
            endpoint: None,
            region: None,
            authentication: Authentication::Anonymous,
            authorities: Authorities::Public,
            redirect_hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        };
        Redirects::of(&config, &Url::parse(prefix).unwrap())
    }

    fn refusal(redirects: &Redirects, here: &str, next: &str) -> Option<Why> {
        redirects.refusal(&Url::parse(here).unwrap(), &Url::parse(next).unwrap()).map(|refused| refused.why)
    }

    #[test]
    fn hosts_that_the_store_names_are_followed_and_no_others() {
        let hub = redirects("https://hub.example/", &["cdn.example", "*.files.example", "mirror.example:8443"]);
        let here = "https://hub.example/model";
        for next in [
            "https://hub.example/elsewhere?x",
            "https://cdn.example/x?signature=y",
            "https://cdn.example:443/x",
            "https://eu.files.example/x",
            "https://mirror.example:8443/x",
        ] {
            assert_eq!(refusal(&hub, here, next), None, "{next}");
        }
        for next in [
            "https://cdn.example:444/x",
            "https://other.example/x",
            "https://evilcdn.example/x",
            "https://cdn.example.evil/x",
            "https://files.example/x",
            "https://a.b.files.example/x",
            "https://mirror.example/x",
        ] {
            assert_eq!(refusal(&hub, here, next), Some(Why::Elsewhere), "{next}");
        }
        assert_eq!(refusal(&hub, here, "http://cdn.example/x"), Some(Why::Unprotected));
        assert_eq!(refusal(&hub, here, "http://hub.example/x"), Some(Why::Unprotected));
    }

    /// Naming a host opens no way to the node's own services, nor from the open net into a private one.
    #[test]
    fn metadata_services_and_private_networks_stay_closed() {
        let hub = redirects("http://hub.example/", &["169.254.169.254", "10.0.0.1", "inner.example", "127.0.0.1"]);
        let here = "http://hub.example/x";
        assert_eq!(refusal(&hub, here, "http://169.254.169.254/latest"), Some(Why::Forbidden));
        assert_eq!(refusal(&hub, here, "http://10.0.0.1/x"), Some(Why::Private));
        assert_eq!(refusal(&hub, here, "http://127.1/x"), Some(Why::Private));
        let addresses = |text: &str| std::iter::once(text.parse::<IpAddr>().unwrap());
        assert!(hub.resolved("inner.example", addresses("192.168.1.1")).is_err());
        assert!(hub.resolved("inner.example", addresses("93.184.216.34")).is_ok());
        assert!(hub.resolved("proxy.corp", addresses("192.168.1.1")).is_ok(), "a proxy is no target");
        // A store in a private network may lead to its neighbours, if it names them.
        assert!(hub.resolved("hub.example", addresses("10.1.1.1")).is_ok());
        assert!(hub.resolved("inner.example", addresses("192.168.1.1")).is_ok());
        assert_eq!(refusal(&hub, here, "http://10.0.0.1/x"), None);
        assert_eq!(refusal(&hub, here, "http://10.0.0.2/x"), Some(Why::Elsewhere));
    }

    /// What is to be done can be done: the host is written as the Store takes it.
    #[test]
    fn a_refusal_names_the_host_and_the_store_and_no_signature() {
        let hub = redirects("https://hub.example/", &[]);
        let next = Url::parse("https://user:pass@cdn.example:8443/x?signature=y#z").unwrap();
        let text = hub.refusal(&Url::parse("https://hub.example/m").unwrap(), &next).unwrap().to_string();
        assert!(text.contains("add \"cdn.example:8443\" to spec.redirectHosts of the Store hub"), "{text}");
        assert!(!text.contains("signature") && !text.contains("pass"), "{text}");
        let lake = redirects("s3://lake/", &[]);
        let text = lake.refusal(&Url::parse("https://s3.example/m").unwrap(), &next).unwrap().to_string();
        assert!(text.contains("spec.endpoint"), "{text}");
    }
}

//! The HTTP client of all stores. Where addresses come from people, it refuses to be sent where it must not go.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use object_store::ClientOptions;
use object_store::client::{HttpClient, HttpConnector};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client};

use crate::error::AgentError;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an answer, or a further piece of it, may take. Transfers as a whole have no limit.
const READ: Duration = Duration::from_secs(60);
/// Redirects that are followed, on the same host.
const REDIRECTS: usize = 5;

/// A client that trusts this authority alone or, without one, the usual public authorities and those of SSL_CERT_FILE.
pub(crate) fn client(authority: Option<&str>) -> Result<Client, AgentError> {
    let certificates = match authority {
        Some(pem) => bundle(pem.as_bytes(), "the store's certificate authority")?,
        None => public_authorities()?,
    };
    Client::builder()
        .user_agent(concat!("seatrial-agent/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT)
        .read_timeout(READ)
        .tls_certs_only(certificates)
        .redirect(Policy::custom(|attempt| {
            // Elsewhere could be a metadata service, or a host that must not see credentials.
            let here =
                attempt.previous().last().map(|url| (url.scheme().to_owned(), url.host_str().map(str::to_owned)));
            let there = (attempt.url().scheme().to_owned(), attempt.url().host_str().map(str::to_owned));
            if here == Some(there) && attempt.previous().len() <= REDIRECTS { attempt.follow() } else { attempt.stop() }
        }))
        .dns_resolver(Arc::new(Guarded))
        .build()
        .map_err(|error| AgentError::internal(format!("the HTTP client cannot be built: {error}")))
}

fn public_authorities() -> Result<Vec<Certificate>, AgentError> {
    let known = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
    let mut certificates: Vec<Certificate> = known.filter_map(|der| Certificate::from_der(der).ok()).collect();
    if let Ok(file) = std::env::var("SSL_CERT_FILE") {
        let pem = std::fs::read(&file)
            .map_err(|error| AgentError::internal(format!("SSL_CERT_FILE {file} cannot be read: {error}")))?;
        certificates.extend(bundle(&pem, "SSL_CERT_FILE")?);
    }
    Ok(certificates)
}

fn bundle(pem: &[u8], what: &str) -> Result<Vec<Certificate>, AgentError> {
    Certificate::from_pem_bundle(pem).map_err(|error| AgentError::internal(format!("{what} is no PEM: {error}")))
}

/// Gives every part of `object_store` this client.
#[derive(Debug)]
pub(crate) struct Connector(pub(crate) Client);

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.0.clone()))
    }
}

/// Resolves names, but not to addresses where clouds hand out a node's credentials.
#[derive(Debug)]
struct Guarded;

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            if found.iter().any(|address| is_forbidden(address.ip())) {
                return Err(format!("{host} resolves to a link-local address, which is never fetched").into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// True for link-local addresses, and for the addresses of metadata services that are not.
pub(crate) fn is_forbidden(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local() || address.octets() == [100, 100, 100, 200],
        IpAddr::V6(address) => {
            address.is_unicast_link_local()
                || address.segments() == [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254]
                || address.to_ipv4_mapped().is_some_and(|mapped| is_forbidden(mapped.into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_metadata_services_are_forbidden() {
        for (text, expected) in [
            ("169.254.169.254", true),
            ("169.254.170.2", true),
            ("100.100.100.200", true),
            ("::ffff:169.254.169.254", true),
            ("fe80::1", true),
            ("fd00:ec2::254", true),
            ("10.0.0.1", false),
            ("127.0.0.1", false),
            ("93.184.216.34", false),
            ("fd00:ec2::255", false),
        ] {
            assert_eq!(is_forbidden(text.parse().unwrap()), expected, "{text}");
        }
    }
}

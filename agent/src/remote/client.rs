//! The HTTP client of all stores. It refuses to connect to addresses that are forbidden, such as metadata services.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder};
use seatrial_core::contract::Authorities;

use crate::error::AgentError;
use crate::remote::address::{RefusedName, is_forbidden};
use crate::remote::redirect::Redirects;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an answer, or a further piece of it, may take. Transfers as a whole have no limit.
const READ: Duration = Duration::from_secs(60);
/// Whose signature a client trusts, with what was read of the config's file (PEM).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trusted {
    /// The usual public authorities, and those in the file that SSL_CERT_FILE names.
    Public,
    /// The public authorities, and these.
    PublicAnd(Vec<u8>),
    /// These authorities alone.
    Only(Vec<u8>),
}

impl Trusted {
    /// What the config says, as its file is now.
    ///
    /// # Errors
    /// The file, where it cannot be read.
    pub(crate) fn read(authorities: &Authorities) -> Result<Self, String> {
        let read = |file: &str| {
            std::fs::read(file)
                .map_err(|error| format!("the certificate authorities cannot be read from {file}: {error}"))
        };
        Ok(match authorities {
            Authorities::Public => Self::Public,
            Authorities::PublicAnd(file) => Self::PublicAnd(read(file)?),
            Authorities::Only(file) => Self::Only(read(file)?),
        })
    }

    fn certificates(&self) -> Result<Vec<Certificate>, AgentError> {
        match self {
            Self::Public => public_authorities(),
            Self::PublicAnd(pem) => {
                let mut certificates = public_authorities()?;
                certificates.extend(bundle(pem, "the file of the site's certificate authorities")?);
                Ok(certificates)
            }
            Self::Only(pem) => bundle(pem, "the store's certificate authority"),
        }
    }
}

/// A client that trusts these authorities, and follows these redirects alone.
pub(crate) fn client(trusted: &Trusted, redirects: Redirects) -> Result<Client, AgentError> {
    build(trusted, redirects, |client| client.read_timeout(READ))
}

/// The same for requests whose sender watches that they go on: the time of an answer runs from when its request begins.
pub(crate) fn patient(trusted: &Trusted, redirects: Redirects) -> Result<Client, AgentError> {
    build(trusted, redirects, |client| client)
}

fn build(
    trusted: &Trusted,
    redirects: Redirects,
    patience: fn(ClientBuilder) -> ClientBuilder,
) -> Result<Client, AgentError> {
    let followed = redirects.clone();
    let certificates = trusted.certificates()?;
    patience(Client::builder())
        .user_agent(concat!("seatrial-agent/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT)
        .tcp_user_timeout(READ)
        // Many connections are faster than one that all requests share.
        .http1_only()
        .tls_certs_only(certificates)
        .redirect(Policy::custom(move |attempt| followed.judge(attempt)))
        // It would tell the next host the query of this one, which may hold a token.
        .referer(false)
        .dns_resolver(Arc::new(Guarded { redirects }))
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

/// Resolves names, but not to addresses where clouds hand out a node's credentials.
#[derive(Debug)]
struct Guarded {
    redirects: Redirects,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let redirects = self.redirects.clone();
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            if found.iter().any(|address| is_forbidden(address.ip())) {
                return Err(RefusedName::Forbidden(host).into());
            }
            redirects.resolved(&host, found.iter().map(SocketAddr::ip))?;
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

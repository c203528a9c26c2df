//! The HTTP client of all stores. Where addresses come from people, it refuses to be sent where it must not go.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, StatusCode};
use seatrial_core::contract::Authorities;

use crate::error::AgentError;
use crate::remote::address::{RefusedName, is_forbidden};
use crate::remote::redirect::Redirects;
use crate::remote::refusal::{Refusal, text};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an answer, or a further piece of it, may take. Transfers as a whole have no limit.
const READ: Duration = Duration::from_secs(60);
/// How long the answer to a large request may take. Its time begins when the request does: the largest part, of 64 MiB,
/// may be sent at 56 KB a second. A connection that no longer takes anything is noticed after [`READ`].
const LARGE: Duration = Duration::from_secs(20 * 60);
/// From this size on, a request may take long before it is answered, in bytes: all of it has to arrive first.
const LARGE_REQUEST: usize = 256 << 10;

/// Whose signature a client trusts, with what was read of the config's file (PEM).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trusted {
    /// The usual public authorities, and those in the file that SSL_CERT_FILE names.
    Public,
    /// These besides.
    PublicAnd(Vec<u8>),
    /// These alone.
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
    build(trusted, redirects, READ)
}

/// The same for requests that are large.
pub(crate) fn patient(trusted: &Trusted, redirects: Redirects) -> Result<Client, AgentError> {
    build(trusted, redirects, LARGE)
}

fn build(trusted: &Trusted, redirects: Redirects, read: Duration) -> Result<Client, AgentError> {
    let followed = redirects.clone();
    let certificates = trusted.certificates()?;
    Client::builder()
        .user_agent(concat!("seatrial-agent/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT)
        .read_timeout(read)
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

/// What a provider means by a status, the headers and the beginning of an answer that says no.
pub(crate) type Classify = fn(StatusCode, &HeaderMap, &[u8]) -> Refusal;

/// Gives every part of `object_store` these clients, and refusals as errors of their own type, which come back out of it;
/// its own have none.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    /// For requests that are sent in no time.
    pub(crate) prompt: Client,
    /// For those that take theirs.
    pub(crate) patient: Client,
    /// The provider's meaning.
    pub(crate) classify: Classify,
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Connector {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let client = if request.body().content_length() >= LARGE_REQUEST { &self.patient } else { &self.prompt };
        let answer = HttpService::call(client, request).await?;
        let status = answer.status();
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            return Ok(answer);
        }
        let (parts, body) = answer.into_parts();
        let refusal = (self.classify)(status, &parts.headers, &text(body.bytes_stream()).await);
        match status {
            // The library has meanings of its own for these, but takes a missing bucket for a missing object.
            StatusCode::NOT_FOUND | StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED
                if !refusal.is_of_the_bucket() =>
            {
                Ok(HttpResponse::from_parts(parts, refusal.to_string().into()))
            }
            // It tries again what could not be sent, and nothing of an unknown kind.
            _ if refusal.is_passing() => Err(HttpError::new(HttpErrorKind::Request, refusal)),
            _ => Err(HttpError::new(HttpErrorKind::Unknown, refusal)),
        }
    }
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

#[cfg(test)]
mod tests {
    use object_store::aws::AmazonS3Builder;
    use object_store::{ObjectStoreExt, RetryConfig};
    use reqwest::Url;
    use seatrial_core::contract::{Authentication, Authorities, StoreConfig};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::time::{Instant, timeout_at};

    use super::*;

    fn redirects() -> Redirects {
        let config = StoreConfig {
            name: None,
            prefix: "s3://lake/".into(),
            endpoint: None,
            region: None,
            authentication: Authentication::Anonymous,
            authorities: Authorities::Public,
            redirect_hosts: vec![],
        };
        Redirects::of(&config, &Url::parse("https://host/").unwrap())
    }

    /// A server that answers only after a time that is too long for a small request.
    async fn slow_server() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                tokio::spawn(async move {
                    let mut taken = vec![0; 1 << 16];
                    let until = Instant::now() + Duration::from_millis(600);
                    while let Ok(Ok(1..)) = timeout_at(until, stream.read(&mut taken)).await {}
                    tokio::time::sleep_until(until).await;
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nETag: \"x\"\r\nContent-Length: 0\r\n\r\n").await;
                });
            }
        });
        endpoint
    }

    /// The time of an answer runs from when its request is begun: a part on a slow link takes longer than a question.
    #[tokio::test]
    async fn a_large_request_has_more_time_than_a_small_one() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let short = build(&Trusted::Public, redirects(), Duration::from_millis(100)).unwrap();
        let long = build(&Trusted::Public, redirects(), Duration::from_secs(30)).unwrap();
        let store = AmazonS3Builder::new()
            .with_bucket_name("lake")
            .with_region("us-east-1")
            .with_endpoint(slow_server().await)
            .with_allow_http(true)
            .with_skip_signature(true)
            .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
            .with_http_connector(Connector {
                prompt: short,
                patient: long,
                classify: |status, _, _| Refusal::of(status),
            })
            .build()
            .unwrap();
        let put = async |bytes: usize| store.put(&"x".into(), vec![0; bytes].into()).await;
        put(1 << 20).await.unwrap();
        assert!(put(1 << 10).await.is_err());
    }
}

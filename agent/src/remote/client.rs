//! The HTTP client of all stores. Where addresses come from people, it refuses to be sent where it must not go.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use object_store::ClientOptions;
use object_store::client::{HttpClient, HttpConnector};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Url};

use crate::error::AgentError;
use crate::remote::refusal::Judging;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an answer, or a further piece of it, may take. Transfers as a whole have no limit.
const READ: Duration = Duration::from_secs(60);
/// How long the answer to a large request may take. Its time begins when the request does: the largest part, of 64 MiB,
/// may be sent at 56 KB a second. A connection that no longer takes anything is noticed after [`READ`].
const LARGE: Duration = Duration::from_secs(20 * 60);
/// Redirects that are followed, on the same host.
const REDIRECTS: usize = 5;
/// The environment variable with further authorities to trust, as PEM text: those of a site's own stores, and of
/// proxies that look into TLS.
const BUNDLE_VARIABLE: &str = "SEATRIAL_CA_BUNDLE";

/// A client that trusts this authority alone or, without one, the usual public authorities, those in the file that
/// SSL_CERT_FILE names, and those in SEATRIAL_CA_BUNDLE.
pub(crate) fn client(authority: Option<&str>) -> Result<Client, AgentError> {
    build(authority, READ)
}

/// The same for requests that are large.
pub(crate) fn patient(authority: Option<&str>) -> Result<Client, AgentError> {
    build(authority, LARGE)
}

fn build(authority: Option<&str>, read: Duration) -> Result<Client, AgentError> {
    let certificates = match authority {
        Some(pem) => bundle(pem.as_bytes(), "the store's certificate authority")?,
        None => public_authorities()?,
    };
    Client::builder()
        .user_agent(concat!("seatrial-agent/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT)
        .read_timeout(read)
        .tcp_user_timeout(READ)
        // Many connections are faster than one that all requests share.
        .http1_only()
        .tls_certs_only(certificates)
        .redirect(Policy::custom(|attempt| {
            // Elsewhere could be a metadata service, or a program that must not see credentials.
            let is_here = attempt.previous().last().is_some_and(|here| origin(here) == origin(attempt.url()));
            let is_too_many = attempt.previous().len() > REDIRECTS;
            match (is_here, is_too_many) {
                (true, false) => attempt.follow(),
                (true, true) => attempt.error(RefusedRedirect::TooMany),
                (false, _) => {
                    let target = without_query(attempt.url());
                    attempt.error(RefusedRedirect::Elsewhere(target))
                }
            }
        }))
        .dns_resolver(Arc::new(Guarded))
        .build()
        .map_err(|error| AgentError::internal(format!("the HTTP client cannot be built: {error}")))
}

/// A redirect that is not followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RefusedRedirect {
    /// To another scheme, host or port: here without its query, which may hold a signature.
    Elsewhere(String),
    /// One of too many.
    TooMany,
}

impl fmt::Display for RefusedRedirect {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Elsewhere(target) => write!(
                formatter,
                "redirects to {target}, which is another server: name the final URL and create a Store for it"
            ),
            Self::TooMany => write!(formatter, "redirects more than {REDIRECTS} times: name the final URL"),
        }
    }
}

impl Error for RefusedRedirect {}

fn origin(url: &Url) -> (&str, Option<&str>, Option<u16>) {
    (url.scheme(), url.host_str(), url.port_or_known_default())
}

fn without_query(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.to_string().chars().take(300).collect()
}

fn public_authorities() -> Result<Vec<Certificate>, AgentError> {
    let known = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
    let mut certificates: Vec<Certificate> = known.filter_map(|der| Certificate::from_der(der).ok()).collect();
    if let Ok(file) = std::env::var("SSL_CERT_FILE") {
        let pem = std::fs::read(&file)
            .map_err(|error| AgentError::internal(format!("SSL_CERT_FILE {file} cannot be read: {error}")))?;
        certificates.extend(bundle(&pem, "SSL_CERT_FILE")?);
    }
    if let Ok(pem) = std::env::var(BUNDLE_VARIABLE) {
        certificates.extend(bundle(pem.as_bytes(), BUNDLE_VARIABLE)?);
    }
    Ok(certificates)
}

fn bundle(pem: &[u8], what: &str) -> Result<Vec<Certificate>, AgentError> {
    Certificate::from_pem_bundle(pem).map_err(|error| AgentError::internal(format!("{what} is no PEM: {error}")))
}

/// Gives every part of `object_store` these clients.
#[derive(Debug)]
pub(crate) struct Connector {
    /// For requests that are sent in no time.
    pub(crate) prompt: Client,
    /// For those that take theirs.
    pub(crate) patient: Client,
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Judging { prompt: self.prompt.clone(), patient: self.patient.clone() }))
    }
}

/// A name that leads where the agent never goes.
#[derive(Debug)]
pub(crate) struct ForbiddenAddress(String);

impl fmt::Display for ForbiddenAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} resolves to a link-local address or a metadata service, which is never used", self.0)
    }
}

impl Error for ForbiddenAddress {}

/// Resolves names, but not to addresses where clouds hand out a node's credentials.
#[derive(Debug)]
struct Guarded;

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            if found.iter().any(|address| is_forbidden(address.ip())) {
                return Err(ForbiddenAddress(host).into());
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

/// Metadata services whose address is not link-local: of Alibaba Cloud, Azure and Oracle.
const METADATA_V4: [[u8; 4]; 3] = [[100, 100, 100, 200], [168, 63, 129, 16], [192, 0, 0, 192]];
/// The same of EC2, EKS and Google Cloud.
const METADATA_V6: [[u16; 8]; 3] =
    [[0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23], [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254]];

/// True for link-local addresses, and for the addresses of metadata services that are not.
pub(crate) fn is_forbidden(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_link_local() || METADATA_V4.contains(&address.octets()),
        IpAddr::V6(address) => {
            let written_otherwise = match address.segments() {
                // Mapped, compatible, and translated by NAT64.
                [0, 0, 0, 0, 0, 0xffff | 0, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some((high, low)),
                _ => None,
            };
            let v4 = written_otherwise.map(|(high, low)| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
            address.is_unicast_link_local()
                || METADATA_V6.contains(&address.segments())
                || v4.is_some_and(|v4| is_forbidden(v4.into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use object_store::aws::AmazonS3Builder;
    use object_store::{ObjectStoreExt, RetryConfig};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::time::{Instant, timeout_at};

    use super::*;

    #[test]
    fn addresses_of_metadata_services_are_forbidden() {
        for (text, expected) in [
            ("169.254.169.254", true),
            ("169.254.170.2", true),
            ("100.100.100.200", true),
            ("::ffff:169.254.169.254", true),
            ("::169.254.169.254", true),
            ("64:ff9b::169.254.169.254", true),
            ("64:ff9b::10.0.0.1", false),
            ("168.63.129.16", true),
            ("192.0.0.192", true),
            ("fd00:ec2::23", true),
            ("fd20:ce::254", true),
            ("::1", false),
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
        let short = build(None, Duration::from_millis(100)).unwrap();
        let long = build(None, Duration::from_secs(30)).unwrap();
        let store = AmazonS3Builder::new()
            .with_bucket_name("lake")
            .with_region("us-east-1")
            .with_endpoint(slow_server().await)
            .with_allow_http(true)
            .with_skip_signature(true)
            .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
            .with_http_connector(Connector { prompt: short, patient: long })
            .build()
            .unwrap();
        let put = async |bytes: usize| store.put(&"x".into(), vec![0; bytes].into()).await;
        put(1 << 20).await.unwrap();
        assert!(put(1 << 10).await.is_err());
    }
}

//! Clients of a store: the library that agents use, and a raw one that sends what no library would.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub(crate) mod process;
pub(crate) mod trace;

use std::net::SocketAddr;
use std::path::Path as FilePath;
use std::sync::Arc;

use hmac::{Hmac, Mac};
use jiff::Timestamp;
use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, Checksum};
use object_store::client::{HttpClient, HttpConnector};
use object_store::{ClientOptions, RetryConfig};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use seatrial_store::testing::LocalStore;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A store on a folder of its own.
pub(crate) async fn store() -> (TempDir, LocalStore) {
    let data = TempDir::new().unwrap();
    let store = LocalStore::start(data.path()).await.unwrap();
    (data, store)
}

/// A store that can be reached, in this process or in another.
pub(crate) trait Served {
    fn address(&self) -> SocketAddr;
    fn authority(&self) -> &str;

    /// The token of a pod in a namespace.
    fn token(&self, namespace: &str) -> String {
        format!("token-of-{namespace}")
    }
}

impl Served for LocalStore {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn authority(&self) -> &str {
        &self.certificate_authority
    }
}

/// Everything in a folder, as text: what must be the same before and after.
pub(crate) fn files(folder: &FilePath) -> Vec<String> {
    let mut found = vec![];
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            let within = files(&path);
            // A folder counts for itself if nothing in it does.
            found.extend(if within.is_empty() { vec![format!("{}/", path.display())] } else { within });
        } else {
            found.push(format!("{} {:x?}", path.display(), std::fs::read(&path).unwrap()));
        }
    }
    found.sort();
    found
}

#[derive(Debug)]
struct Trusting(reqwest::Client);

impl HttpConnector for Trusting {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.0.clone()))
    }
}

/// The client of a pod in a namespace, for a bucket that need not be its own. It gets its keys from STS by TLS.
pub(crate) fn client(store: &LocalStore, namespace: &str, bucket: &str) -> AmazonS3 {
    client_at(&store.endpoint(), &store.certificate_authority, &format!("token-of-{namespace}"), bucket)
}

pub(crate) fn client_at(endpoint: &str, authority: &str, token: &str, bucket: &str) -> AmazonS3 {
    builder(endpoint, authority, token, bucket).build().unwrap()
}

/// A client that sends the SHA-256 of all that it writes.
pub(crate) fn checking_client(store: &LocalStore, namespace: &str, bucket: &str) -> AmazonS3 {
    let token = format!("token-of-{namespace}");
    let builder = builder(&store.endpoint(), &store.certificate_authority, &token, bucket);
    builder.with_checksum_algorithm(Checksum::SHA256).build().unwrap()
}

fn builder(endpoint: &str, authority: &str, token: &str, bucket: &str) -> AmazonS3Builder {
    let _ = rustls::crypto::ring::default_provider().install_default();
    // The file must live as long as the client, which is as long as the test.
    let folder = TempDir::new().unwrap().keep();
    let token_file = folder.join("token");
    std::fs::write(&token_file, token).unwrap();
    let certificates = reqwest::Certificate::from_pem_bundle(authority.as_bytes()).unwrap();
    let connector = Trusting(reqwest::Client::builder().tls_certs_only(certificates).build().unwrap());
    AmazonS3Builder::new()
        .with_endpoint(endpoint)
        .with_bucket_name(bucket)
        .with_region("us-east-1")
        .with_http_connector(connector)
        .with_retry(RetryConfig { max_retries: 0, ..RetryConfig::default() })
        .with_config(AmazonS3ConfigKey::WebIdentityTokenFile, token_file.display().to_string())
        .with_config(AmazonS3ConfigKey::RoleArn, "arn:aws:iam::0:role/seatrial")
        .with_config(AmazonS3ConfigKey::StsEndpoint, endpoint)
}

/// Keys as STS gives them.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    pub(crate) access_key: String,
    pub(crate) secret: String,
}

/// An answer: its status, its headers in small letters, and its body as text.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(its_name, _)| its_name == name).map(|(_, value)| value.as_str())
    }
}

/// A request that is sent as it stands: no library tidies up its path.
pub(crate) struct Raw<'a> {
    pub(crate) method: &'a str,
    /// The path and query of the request line, escaped by the caller.
    pub(crate) target: &'a str,
    pub(crate) headers: Vec<(&'a str, String)>,
    pub(crate) body: &'a [u8],
}

impl<'a> Raw<'a> {
    pub(crate) fn new(method: &'a str, target: &'a str) -> Self {
        Self { method, target, headers: vec![], body: b"" }
    }

    pub(crate) fn header(mut self, name: &'a str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn body(mut self, body: &'a [u8]) -> Self {
        self.body = body;
        self
    }

    /// Sends it without a signature.
    pub(crate) async fn send(&self, store: &impl Served) -> Answer {
        self.send_with(store, &[]).await
    }

    /// Sends it signed.
    pub(crate) async fn send_signed(&self, store: &impl Served, keys: &Keys) -> Answer {
        self.send_with(store, &self.signature(store, keys)).await
    }

    /// Sends it signed, and reads nothing.
    pub(crate) async fn send_signed_open(&self, store: &impl Served, keys: &Keys) -> TlsStream<TcpStream> {
        self.send_open(store, keys, self.body.len()).await
    }

    /// Sends it signed, but for the last byte of its body, and reads nothing.
    pub(crate) async fn send_signed_without_end(&self, store: &impl Served, keys: &Keys) -> TlsStream<TcpStream> {
        self.send_open(store, keys, self.body.len().saturating_sub(1)).await
    }

    async fn send_open(&self, store: &impl Served, keys: &Keys, length: usize) -> TlsStream<TcpStream> {
        let mut stream = connect(store).await;
        let head = self.head(store, &self.signature(store, keys), self.body.len());
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&self.body[..length]).await.unwrap();
        stream.flush().await.unwrap();
        stream
    }

    /// The headers of a signature, after
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>.
    fn signature(&self, store: &impl Served, keys: &Keys) -> [(&'static str, String); 3] {
        let now = Timestamp::now();
        let (time, day) = (now.strftime("%Y%m%dT%H%M%SZ").to_string(), now.strftime("%Y%m%d").to_string());
        let content = hex::encode(Sha256::digest(self.body));
        let host = format!("localhost:{}", store.address().port());
        let mut signed: Vec<(String, String)> =
            self.headers.iter().map(|(name, value)| (name.to_lowercase(), value.clone())).collect();
        signed.extend([
            ("host".into(), host),
            ("x-amz-content-sha256".into(), content.clone()),
            ("x-amz-date".into(), time.clone()),
        ]);
        signed.sort();
        let names = signed.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(";");
        let (path, query) = self.target.split_once('?').unwrap_or((self.target, ""));
        let mut pairs: Vec<String> = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| if pair.contains('=') { pair.to_owned() } else { format!("{pair}=") })
            .collect();
        pairs.sort();
        let headers: String = signed.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let canonical = format!("{}\n{path}\n{}\n{headers}\n{names}\n{content}", self.method, pairs.join("&"));
        let scope = format!("{day}/us-east-1/s3/aws4_request");
        let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex::encode(Sha256::digest(canonical)));
        let mut key = format!("AWS4{}", keys.secret).into_bytes();
        for part in [day.as_str(), "us-east-1", "s3", "aws4_request"] {
            key = hmac(&key, part);
        }
        let signature = hex::encode(hmac(&key, &to_sign));
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
            keys.access_key
        );
        [("x-amz-content-sha256", content), ("x-amz-date", time), ("authorization", authorization)]
    }

    async fn send_with(&self, store: &impl Served, more: &[(&str, String)]) -> Answer {
        let mut stream = connect(store).await;
        stream.write_all(self.head(store, more, self.body.len()).as_bytes()).await.unwrap();
        // A request that is refused early may not be read to its end.
        let _ = stream.write_all(self.body).await;
        answer(stream).await
    }

    fn head(&self, store: &impl Served, more: &[(&str, String)], length: usize) -> String {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        head += &format!("host: localhost:{}\r\nconnection: close\r\n", store.address().port());
        head += &format!("content-length: {length}\r\n");
        for (name, value) in self.headers.iter().chain(more) {
            head += &format!("{name}: {value}\r\n");
        }
        head + "\r\n"
    }
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

pub(crate) async fn connect(store: &impl Served) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(store.authority().as_bytes()).unwrap()).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TcpStream::connect(store.address()).await.unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

async fn answer(mut stream: TlsStream<TcpStream>) -> Answer {
    let mut bytes = vec![];
    // A server that closes without a last TLS message has answered all the same.
    let _ = stream.read_to_end(&mut bytes).await;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
    let headers = head.lines().filter_map(|line| line.split_once(": "));
    let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    Answer { status: status.unwrap_or_else(|| panic!("no answer: {text:?}")), headers, body: body.to_owned() }
}

/// What STS answers to a token.
pub(crate) async fn ask_for_keys(store: &impl Served, token: &str) -> Answer {
    let body = format!("Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=x&WebIdentityToken={token}");
    let request = Raw::new("POST", "/").header("content-type", "application/x-www-form-urlencoded");
    request.body(body.as_bytes()).send(store).await
}

/// A namespace's keys.
pub(crate) async fn keys(store: &impl Served, namespace: &str) -> Keys {
    let answer = ask_for_keys(store, &store.token(namespace)).await;
    let part = |name: &str| {
        let after = answer.body.split_once(&format!("<{name}>")).unwrap().1;
        after.split_once("</").unwrap().0.to_owned()
    };
    Keys { access_key: part("AccessKeyId"), secret: part("SecretAccessKey") }
}

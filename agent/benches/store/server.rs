//! The servers, each in a process of its own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use seatrial_core::contract::{Authentication, Authorities, StoreConfig};
use seatrial_store::testing::LocalStore;
use tempfile::TempDir;

use crate::cost::{Cost, look};
use crate::link::Link;
use crate::{NAMESPACE, runtime};

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Seatrial's own.
    Embedded,
    /// versitygw, files on a disk as well.
    Versity,
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Versity => "versitygw",
        }
    }

    /// Where a server keeps the objects of a prefix.
    pub(crate) fn objects(self, data: &Path, prefix: &str) -> PathBuf {
        match self {
            Self::Embedded => data.join(format!("objects/{NAMESPACE}.0/d{prefix}")),
            Self::Versity => data.join(format!("{NAMESPACE}/{prefix}")),
        }
    }
}

/// One that runs.
pub(crate) struct Server {
    process: Child,
    /// Where it is, or the link to it.
    pub(crate) endpoint: String,
    authority: String,
    keys: Vec<(&'static str, String)>,
    _link: Option<Link>,
    _folder: TempDir,
}

impl Server {
    /// Starts one on a folder, perhaps behind a link.
    pub(crate) fn start(kind: Kind, data: &Path, latency: Option<Duration>) -> Self {
        let folder = TempDir::new().unwrap();
        let (process, address, authority) = match kind {
            Kind::Embedded => embedded(data),
            Kind::Versity => versity(data, folder.path()),
        };
        let link = latency.map(|latency| Link::to(address, latency));
        let port = link.as_ref().map_or(address, |link| link.address).port();
        let endpoint = format!("https://localhost:{port}");
        let keys = match kind {
            Kind::Embedded => keys_of(&format!("https://localhost:{}", address.port()), &authority),
            Kind::Versity => VERSITY_KEYS.map(|(name, value)| (name, value.to_owned())).to_vec(),
        };
        Self { process, endpoint, authority, keys, _link: link, _folder: folder }
    }

    /// What it took so far.
    pub(crate) fn cost(&self) -> Cost {
        look(self.process.id()).unwrap()
    }

    /// For a program that does not get its own keys.
    pub(crate) fn keys(&self) -> &[(&'static str, String)] {
        &self.keys
    }

    /// As the agent is told of it; what it reads lies beside the token.
    pub(crate) fn config(&self, kind: Kind, token: &Path) -> StoreConfig {
        let trusted = token.with_file_name("ca.crt");
        fs::write(&trusted, &self.authority).unwrap();
        let authentication = match kind {
            Kind::Embedded => Authentication::WebIdentity {
                token_file: token.display().to_string(),
                sts_endpoint: self.endpoint.clone(),
                role: "arn:aws:iam::0:role/seatrial".into(),
            },
            Kind::Versity => {
                let folder = token.with_file_name("keys");
                fs::create_dir_all(&folder).unwrap();
                self.keys.iter().for_each(|(name, value)| fs::write(folder.join(name), value).unwrap());
                Authentication::Keys { folder: folder.display().to_string() }
            }
        };
        StoreConfig {
            name: None,
            prefix: format!("s3://{NAMESPACE}/"),
            endpoint: Some(self.endpoint.clone()),
            region: None,
            authentication,
            authorities: Authorities::Only(trusted.display().to_string()),
            redirect_hosts: vec![],
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        match self.process.stdin.take() {
            // The embedded one ends with its input.
            Some(input) => drop(input),
            None => drop(self.process.kill()),
        }
        let _ = self.process.wait();
    }
}

/// This program once more, as the embedded store.
fn embedded(data: &Path) -> (Child, SocketAddr, String) {
    let mut process = Command::new(std::env::current_exe().unwrap())
        .arg("serve")
        .env("BENCH_DATA", data)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
    let address = lines.next().unwrap().unwrap().parse().unwrap();
    let authority = lines.take_while(|line| line.as_ref().is_ok_and(|line| line != "ready"));
    (process, address, authority.map(|line| line.unwrap() + "\n").collect())
}

/// The embedded store's process: says where it is, and ends with its input.
pub(crate) fn serve() {
    let data = PathBuf::from(std::env::var("BENCH_DATA").unwrap());
    runtime().block_on(async {
        let store = LocalStore::start(&data).await.unwrap();
        println!("{}\n{}ready", store.address, store.certificate_authority);
        let ended = tokio::task::spawn_blocking(|| std::io::copy(&mut std::io::stdin(), &mut std::io::sink()));
        let _ = ended.await;
        store.stop().await.unwrap();
    });
}

/// The keys of a namespace's bucket.
fn keys_of(endpoint: &str, authority: &str) -> Vec<(&'static str, String)> {
    let certificates = reqwest::Certificate::from_pem_bundle(authority.as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only(certificates).build().unwrap();
    let form = format!(
        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn:aws:iam::0:role/seatrial&RoleSessionName=bench&WebIdentityToken=token-of-{NAMESPACE}"
    );
    let text = runtime().block_on(async {
        let request = client.post(endpoint).header("content-type", "application/x-www-form-urlencoded");
        request.body(form).send().await.unwrap().text().await.unwrap()
    });
    let of = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>")).unwrap_or_else(|| panic!("no {name} in {text}"));
        rest.split_once('<').unwrap().0.to_owned()
    };
    vec![
        ("AWS_ACCESS_KEY_ID", of("AccessKeyId")),
        ("AWS_SECRET_ACCESS_KEY", of("SecretAccessKey")),
        ("AWS_SESSION_TOKEN", of("SessionToken")),
    ]
}

const VERSITY_KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "bench"), ("AWS_SECRET_ACCESS_KEY", "bench-secret")];

/// versitygw with its POSIX backend, by TLS.
#[expect(clippy::zombie_processes, reason = "where it does not start, this program ends as well")]
fn versity(data: &Path, folder: &Path) -> (Child, SocketAddr, String) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (folder.join("tls.crt"), folder.join("tls.key"));
    fs::write(&certificate, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let address = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    fs::create_dir_all(data.join(NAMESPACE)).unwrap();
    let program = std::env::var("VERSITYGW").unwrap_or_else(|_| "versitygw".to_owned());
    let [(_, access), (_, secret)] = VERSITY_KEYS;
    let log = fs::File::create(folder.join("log")).unwrap();
    let process = Command::new(program)
        .args(["--quiet", "--region", "us-east-1", "--access", access, "--secret", secret])
        .args(["--port", &address.to_string()])
        .arg("--cert")
        .arg(certificate)
        .arg("--key")
        .arg(key)
        .arg("posix")
        .arg(data)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap();
    for _ in 0..500 {
        if TcpStream::connect(address).is_ok() {
            return (process, address, made.cert.pem());
        }
        sleep(Duration::from_millis(20));
    }
    panic!("versitygw does not start: {}", fs::read_to_string(folder.join("log")).unwrap());
}

//! The authority that signs the store's certificate. It is made once for a volume and lives as long as it.

use std::fs;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::crypto::ring::sign::any_ecdsa_type;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use time::OffsetDateTime;

use crate::keys::write_secret;

/// How long the authority is good for.
const AUTHORITY_DAYS: i64 = 20 * 365;
/// How long a server's certificate is good for.
const SERVER_DAYS: i64 = 30;
/// How often the server's certificate is made anew.
pub const RENEWAL: Duration = Duration::from_secs(24 * 3600);
/// How far the clocks of clients may be behind.
const CLOCK_SKEW_HOURS: i64 = 24;

/// The authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate, PEM.
    pub certificate: String,
}

impl Authority {
    /// Reads it from its folder, or makes it.
    ///
    /// # Errors
    /// Where the folder cannot be read or written, or holds something else.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        let (certificate_file, key_file) = (folder.join("ca.crt"), folder.join("ca.key"));
        if !certificate_file.exists() {
            let key = KeyPair::generate()?;
            let certificate = authority_parameters()?.self_signed(&key)?;
            // The certificate last: where it is, the key is.
            write_secret(&key_file, key.serialize_pem().as_bytes())?;
            write_secret(&certificate_file, certificate.pem().as_bytes())?;
        }
        let read = |file: &Path| fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()));
        let certificate = read(&certificate_file)?;
        let key =
            KeyPair::from_pem(&read(&key_file)?).with_context(|| format!("{} holds no key", key_file.display()))?;
        let issuer = Issuer::from_ca_cert_pem(&certificate, key)
            .with_context(|| format!("{} holds no authority", certificate_file.display()))?;
        Ok(Self { issuer, certificate })
    }

    /// A new server certificate for these names.
    fn server(&self, hosts: &[String]) -> anyhow::Result<Arc<CertifiedKey>> {
        let key = KeyPair::generate()?;
        let mut parameters = CertificateParams::new(hosts.to_vec())?;
        parameters.distinguished_name = name("seatrial-store");
        parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        (parameters.not_before, parameters.not_after) = validity(SERVER_DAYS);
        let certificate = parameters.signed_by(&key, &self.issuer)?;
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        Ok(Arc::new(CertifiedKey::new(vec![certificate.der().clone()], any_ecdsa_type(&key)?)))
    }
}

fn authority_parameters() -> anyhow::Result<CertificateParams> {
    let mut parameters = CertificateParams::new(vec![])?;
    parameters.distinguished_name = name("seatrial-store authority");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (parameters.not_before, parameters.not_after) = validity(AUTHORITY_DAYS);
    Ok(parameters)
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}

fn validity(days: i64) -> (OffsetDateTime, OffsetDateTime) {
    let now = OffsetDateTime::now_utc();
    (now - time::Duration::hours(CLOCK_SKEW_HOURS), now + time::Duration::days(days))
}

/// The server's certificate of the day.
#[derive(Debug)]
pub struct Certificate {
    hosts: Vec<String>,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Certificate {
    /// The first certificate of the server.
    ///
    /// # Errors
    /// Where a host's name cannot stand in a certificate.
    pub fn new(authority: &Authority, hosts: Vec<String>) -> anyhow::Result<Self> {
        let current = RwLock::new(authority.server(&hosts)?);
        Ok(Self { hosts, current })
    }

    /// Makes a new certificate for connections from now on.
    ///
    /// # Errors
    /// As for the first.
    pub fn renew(&self, authority: &Authority) -> anyhow::Result<()> {
        let fresh = authority.server(&self.hosts)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

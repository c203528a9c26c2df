//! Short-lived S3 keys, which the store need not remember: the access key names the namespace and the expiry, and the secret
//! is derived from it by a key that never leaves the volume.
//!
//! ```text
//! access key   seatrial.<namespace>.<its UID>.<expiry, seconds since 1970>.<nonce>
//! secret       hex(HMAC-SHA256(the volume's key, access key))
//! ```

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::Context;
use jiff::{SignedDuration, Timestamp};
use ring::hmac;
use s3s::auth::{S3Auth, SecretKey};
use s3s::{S3Result, s3_error};

use crate::durable::sync;

/// How long keys are good for. Clients renew them five minutes before the end.
const LIFETIME: SignedDuration = SignedDuration::from_mins(60);
/// The length of the volume's key in bytes.
const LENGTH: usize = 32;

/// Issues keys, and derives the secret of an access key again.
#[derive(Clone)]
pub struct Keys {
    key: hmac::Key,
}

/// What a client is given.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The access key.
    pub access_key: String,
    /// The secret.
    pub secret: String,
    /// When both expire.
    pub expiry: Timestamp,
}

impl Keys {
    /// Reads the volume's key, or makes one.
    ///
    /// # Errors
    /// Where the folder cannot be read or written.
    pub fn open(folder: &Path) -> anyhow::Result<Self> {
        let file = folder.join("hmac.key");
        if !file.exists() {
            write_secret(&file, &rand::random::<[u8; LENGTH]>())?;
        }
        let bytes = fs::read(&file).with_context(|| format!("{} cannot be read", file.display()))?;
        let key: [u8; LENGTH] =
            bytes.try_into().ok().with_context(|| format!("{} has not {LENGTH} bytes", file.display()))?;
        Ok(Self { key: hmac::Key::new(hmac::HMAC_SHA256, &key) })
    }

    /// Keys for a namespace.
    pub fn issue(&self, Namespace { name, uid }: &Namespace, now: Timestamp) -> Credentials {
        let expiry = now.saturating_add(LIFETIME).unwrap_or(now);
        let nonce = hex::encode(rand::random::<[u8; 12]>());
        let access_key = format!("seatrial.{name}.{uid}.{}.{nonce}", expiry.as_second());
        let secret = self.secret(&access_key);
        Credentials { access_key, secret, expiry }
    }

    fn secret(&self, access_key: &str) -> String {
        hex::encode(hmac::sign(&self.key, access_key.as_bytes()))
    }
}

/// A namespace. If it is deleted and created again, its UID is another one, and so is its bucket.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// The UID that Kubernetes gave it.
    pub uid: String,
}

impl Namespace {
    /// The folder of its objects.
    pub fn folder(&self) -> String {
        format!("{}.{}", self.name, self.uid)
    }
}

/// The namespace and the expiry of an access key of ours.
pub fn parse(access_key: &str) -> Option<(Namespace, Timestamp)> {
    let mut parts = access_key.split('.');
    let (Some("seatrial"), Some(name), Some(uid), Some(expiry), Some(nonce), None) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let expiry = Timestamp::from_second(expiry.parse().ok()?).ok()?;
    let namespace = || Namespace { name: name.to_owned(), uid: uid.to_owned() };
    (is_namespace(name) && is_namespace(uid) && !nonce.is_empty()).then(|| (namespace(), expiry))
}

/// True for what Kubernetes allows as a namespace's name. A UID is such a name, too.
pub fn is_namespace(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !name.is_empty() && name.len() <= 63 && name.bytes().all(inner) && !name.starts_with('-') && !name.ends_with('-')
}

#[async_trait::async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        match parse(access_key) {
            None => Err(s3_error!(InvalidAccessKeyId, "keys come from this store's STS endpoint")),
            Some((_, expiry)) if expiry <= Timestamp::now() => {
                Err(s3_error!(ExpiredToken, "the keys have expired: ask for new ones"))
            }
            // For a made-up access key this derives a secret, too, but nobody else knows it.
            Some(_) => Ok(self.secret(access_key).into()),
        }
    }
}

/// Writes a file that nobody else may read, whole or not at all.
pub(crate) fn write_secret(file: &Path, content: &[u8]) -> anyhow::Result<()> {
    let draft = file.with_extension("new");
    let written =
        fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&draft).and_then(|mut open| {
            open.write_all(content)?;
            open.sync_all()?;
            fs::rename(&draft, file)?;
            // Synced before it is used: if a crash lost it, all keys and certificates made with it would be worthless.
            file.parent().map_or(Ok(()), sync)
        });
    written.with_context(|| format!("{} cannot be written", file.display()))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn growth() -> Namespace {
        Namespace { name: "growth".into(), uid: "7d3f".into() }
    }

    #[tokio::test]
    async fn keys_are_known_again_after_a_restart_and_not_by_another_volume() {
        let (folder, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let issued = Keys::open(folder.path()).unwrap().issue(&growth(), Timestamp::now());
        assert_eq!(parse(&issued.access_key).unwrap().0, growth());
        let again = Keys::open(folder.path()).unwrap().get_secret_key(&issued.access_key).await.unwrap();
        assert_eq!(again.expose(), issued.secret);
        let foreign = Keys::open(other.path()).unwrap().get_secret_key(&issued.access_key).await.unwrap();
        assert_ne!(foreign.expose(), issued.secret);
    }

    #[tokio::test]
    async fn keys_expire_and_cannot_be_prolonged() {
        let folder = TempDir::new().unwrap();
        let keys = Keys::open(folder.path()).unwrap();
        let long_ago = Timestamp::now().saturating_sub(SignedDuration::from_hours(2)).unwrap();
        let old = keys.issue(&growth(), long_ago);
        assert_eq!(keys.get_secret_key(&old.access_key).await.unwrap_err().code(), &s3s::S3ErrorCode::ExpiredToken);
        let prolonged = old.access_key.replace(&old.expiry.as_second().to_string(), "4000000000");
        assert_ne!(keys.get_secret_key(&prolonged).await.unwrap().expose(), old.secret);
    }

    #[test]
    fn nothing_else_is_an_access_key() {
        for text in [
            "",
            "AKIA",
            "seatrial.a.1.x",
            "seatrial.a.u.b.c",
            "seatrial..u.1.x",
            "seatrial.a..1.x",
            "seatrial.a.u.1",
            "seatrial.a/b.u.1.x",
            "seatrial.a.u/v.1.x",
            "seatrial.a.u.1.x.y",
        ] {
            assert!(parse(text).is_none(), "{text}");
        }
    }
}

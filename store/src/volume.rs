//! What a store's volume holds: objects, and the secrets that make a store the same after a restart.
//!
//! ```text
//! <data>/lock, objects, uploads, drafts    see `backend`
//! <data>/authority                         the certificate authority and the key that keys are derived from, mode 0700
//! ```

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Context;

use crate::authority::Authority;
use crate::backend::Backend;
use crate::durable::sync;
use crate::keys::Keys;

/// An opened volume.
pub struct Volume {
    /// The objects.
    pub backend: Backend,
    /// Who makes keys.
    pub keys: Keys,
    /// Who signs the server's certificate.
    pub authority: Authority,
}

impl Volume {
    /// Opens a data folder, of which each bucket may hold as many bytes as the quota says; an empty one becomes a new store.
    ///
    /// # Errors
    /// Where it cannot be read or written, or holds something else.
    pub fn open(data: &Path, quota: Option<u64>) -> anyhow::Result<Self> {
        let backend = Backend::open(data, quota)?;
        let secrets = data.join("authority");
        let made = fs::create_dir_all(&secrets)
            .and_then(|()| fs::set_permissions(&secrets, fs::Permissions::from_mode(0o700)))
            .and_then(|()| sync(data));
        made.with_context(|| format!("{} cannot be made", secrets.display()))?;
        Ok(Self { backend, keys: Keys::open(&secrets)?, authority: Authority::open(&secrets)? })
    }
}

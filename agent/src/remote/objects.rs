//! The objects of a provider, reached as their config says. Where a file says whom to trust, they are reached anew when it
//! changes, with other connections and other credentials: behind another authority there is another store.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use object_store::ObjectStore;
use object_store::multipart::MultipartStore;
use seatrial_core::contract::StoreConfig;
use url::Url;

use crate::error::AgentError;
use crate::remote::client::Trusted;
use crate::remote::outage::Failure;

/// What a provider of objects gives: single objects, lists, and uploads in parts.
pub(crate) trait Objects: ObjectStore + MultipartStore {}

impl<T: ObjectStore + MultipartStore> Objects for T {}

/// How a provider opens the store of a config, whose prefix is the URL. It trusts these authorities.
pub(crate) type Open = fn(&StoreConfig, &Url, &Trusted) -> Result<Arc<dyn Objects>, AgentError>;

/// The objects of one store.
#[derive(Clone)]
pub(crate) struct Opened {
    config: StoreConfig,
    url: Url,
    open: Open,
    current: Arc<Mutex<Option<Current>>>,
}

/// What was opened last.
struct Current {
    /// How many there were before.
    number: u64,
    trusted: Trusted,
    objects: Arc<dyn Objects>,
}

impl Opened {
    /// Opens them. Nothing is sent yet. Where the file of authorities is not there yet, they are opened when it is.
    ///
    /// # Errors
    /// What is wrong with the config.
    pub(crate) fn new(config: &StoreConfig, url: Url, open: Open) -> Result<Self, AgentError> {
        let opened = Self { config: config.clone(), url, open, current: Arc::default() };
        match opened.now() {
            Err(Failure::Final(error)) => Err(error),
            _ => Ok(opened),
        }
    }

    /// As they are to be reached now: to be asked for before each request.
    ///
    /// # Errors
    /// An outage where the file of authorities is not there yet; else what is wrong with the config.
    pub(crate) fn now(&self) -> Result<Arc<dyn Objects>, Failure> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let trusted = match (Trusted::read(&self.config.authorities), current.as_ref()) {
            (Ok(trusted), _) => trusted,
            // Whom was trusted is trusted on.
            (Err(_), Some(last)) => last.trusted.clone(),
            (Err(why), None) => return Err(Failure::Outage(why)),
        };
        if let Some(last) = current.as_ref().filter(|last| last.trusted == trusted) {
            return Ok(last.objects.clone());
        }
        let number = current.as_ref().map_or(0, |last| last.number.saturating_add(1));
        if number > 0 {
            tracing::info!(prefix = self.config.prefix, "the store's certificate authority changed: it is opened anew");
        }
        let objects = (self.open)(&self.config, &self.url, &trusted)?;
        *current = Some(Current { number, trusted, objects: objects.clone() });
        Ok(objects)
    }

    /// How often they were opened anew. What was written before that may be in another store.
    pub(crate) fn number(&self) -> u64 {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.as_ref().map_or(0, |last| last.number)
    }
}

impl fmt::Debug for Opened {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Opened").field("config", &self.config).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;
    use seatrial_core::contract::{Authentication, Authorities};
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn another_authority_opens_the_store_anew_and_a_missing_one_is_waited_for() {
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("ca.crt");
        let config = StoreConfig {
            name: None,
            prefix: "memory://x/".into(),
            endpoint: None,
            region: None,
            authentication: Authentication::Anonymous,
            authorities: Authorities::Only(file.display().to_string()),
            redirect_hosts: vec![],
        };
        let url = Url::parse(&config.prefix).unwrap();
        let opened = Opened::new(&config, url, |_, _, _| Ok(Arc::new(InMemory::new()))).unwrap();
        assert!(matches!(opened.now(), Err(Failure::Outage(why)) if why.contains("ca.crt")));
        let now = || opened.now().unwrap_or_else(|_| panic!("not opened"));
        std::fs::write(&file, "one").unwrap();
        let first = now();
        assert!(Arc::ptr_eq(&first, &now()));
        std::fs::remove_file(&file).unwrap();
        assert!(Arc::ptr_eq(&first, &now()), "whom was trusted is trusted on");
        std::fs::write(&file, "two").unwrap();
        let second = now();
        assert!(!Arc::ptr_eq(&first, &second) && Arc::ptr_eq(&second, &now()));
        assert_eq!(opened.number(), 1);
    }
}

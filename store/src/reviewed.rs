//! A cache of TokenReviews: tokens that the API server accepted less than a minute ago. Tokens are kept as hashes. They are
//! kept for a short time only, since a token that the API server no longer accepts must not get keys for long.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::keys::Namespace;
use ring::digest::{SHA256, digest};

/// How long the API server's answer counts.
const LIFETIME: Duration = Duration::from_secs(60);
/// How many tokens are remembered.
const REMEMBERED: usize = 4096;

/// The namespaces of tokens, by the tokens' hashes.
#[derive(Debug, Default)]
pub(crate) struct Reviewed(Mutex<HashMap<[u8; 32], (Namespace, Instant)>>);

impl Reviewed {
    /// The namespace of a token, if the API server accepted it a moment ago.
    pub(crate) fn get(&self, token: &str, now: Instant) -> Option<Namespace> {
        let known = self.known();
        let (namespace, said) = known.get(&hash(token))?;
        (now.duration_since(*said) < LIFETIME).then(|| namespace.clone())
    }

    /// Remembers the namespace of a token that the API server accepted.
    pub(crate) fn keep(&self, token: &str, namespace: &Namespace, now: Instant) {
        let mut known = self.known();
        if known.len() >= REMEMBERED {
            known.retain(|_, (_, said)| now.duration_since(*said) < LIFETIME);
        }
        if known.len() < REMEMBERED {
            known.insert(hash(token), (namespace.clone(), now));
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<[u8; 32], (Namespace, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn hash(token: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.iter_mut().zip(digest(&SHA256, token.as_bytes()).as_ref()).for_each(|(to, from)| *to = *from);
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_taken_for_a_moment() {
        let (reviewed, growth) = (Reviewed::default(), Namespace { name: "growth".into(), uid: "0".into() });
        let now = Instant::now();
        reviewed.keep("x", &growth, now);
        assert_eq!((reviewed.get("x", now), reviewed.get("y", now)), (Some(growth.clone()), None));
        for number in 0..2 * REMEMBERED {
            reviewed.keep(&number.to_string(), &growth, now);
        }
        assert!(reviewed.known().len() <= REMEMBERED);
        let later = now + LIFETIME;
        assert_eq!(reviewed.get("x", later), None);
        reviewed.keep("z", &growth, later);
        assert_eq!(reviewed.known().len(), 1, "what is old makes room");
    }
}

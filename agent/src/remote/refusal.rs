//! Error responses of servers: which of them are final, and a message without secrets. What the error codes of a provider
//! mean is in the provider's file, such as `s3.rs`.

use std::error::Error;
use std::fmt;

use futures::{Stream, StreamExt};
use reqwest::StatusCode;

/// How much of the text of a refusal is read, in bytes.
const BODY: usize = 64 << 10;
/// How much of a server's own words is passed on, in characters.
const WORDS: usize = 200;
/// From this length on, a word of capitals and digits alone may be a key's id, in bytes.
const KEY: usize = 16;
/// From this length on, a word may be a signature or a token, in bytes.
const TOKEN: usize = 40;

/// An error response of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// The provider's error code.
    code: Option<String>,
    /// The server's error message.
    words: Option<String>,
    is_passing: bool,
    /// What to do about it, where the server's words mean more than their status.
    advice: Option<String>,
    /// Whether it is about all that the store has, rather than the one object that was asked for.
    is_of_the_bucket: bool,
}

impl Refusal {
    /// What a status means at any server.
    pub(crate) fn of(status: StatusCode) -> Self {
        let is_passing = match status {
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => true,
            StatusCode::NOT_IMPLEMENTED => false,
            status => status.is_server_error(),
        };
        Self { status, code: None, words: None, is_passing, advice: None, is_of_the_bucket: false }
    }

    /// With the provider's error code and message.
    pub(crate) fn with_words(mut self, code: Option<&str>, words: Option<&str>) -> Self {
        let some = |text: Option<&str>| text.map(harmless).filter(|text| !text.is_empty());
        (self.code, self.words) = (some(code), some(words));
        self
    }

    /// One that may be different later though its status is final.
    pub(crate) fn passing(mut self) -> Self {
        self.is_passing = true;
        self
    }

    /// With what to do about it.
    pub(crate) fn with_advice(mut self, advice: Option<String>) -> Self {
        self.advice = advice;
        self
    }

    /// One that is about the bucket.
    pub(crate) fn of_the_bucket(mut self) -> Self {
        self.is_of_the_bucket = true;
        self
    }

    /// Whether it is about the bucket.
    pub(crate) fn is_of_the_bucket(&self) -> bool {
        self.is_of_the_bucket
    }

    /// Whether it may be different later though nobody does anything about it.
    pub(crate) fn is_passing(&self) -> bool {
        self.is_passing
    }

    /// The server's words, and what to do about them.
    pub(crate) fn advised(&self) -> String {
        self.advice.as_ref().map_or_else(|| self.to_string(), |advice| format!("{self}; {advice}"))
    }

    /// What it means for whoever wants to read, as the end of a sentence.
    pub(crate) fn for_reading(&self) -> String {
        if let Some(advice) = &self.advice {
            return format!("cannot be read ({self}): {advice}");
        }
        match self.status {
            StatusCode::NOT_FOUND | StatusCode::GONE => {
                "does not exist: correct the uri, or wait for who writes it".to_owned()
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                format!("may not be read ({self}): look at the Store's credentials and at the bucket's policy")
            }
            _ => format!("is refused by the server ({self}): correct the uri, or the Store"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.status)?;
        for words in [&self.code, &self.words].into_iter().flatten() {
            write!(formatter, ", {words}")?;
        }
        Ok(())
    }
}

impl Error for Refusal {}

/// A server's words without control characters, and without what may be a key, a signature or a token.
pub(crate) fn harmless(text: &str) -> String {
    let is_key = |word: &str| {
        let id = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
        word.len() >= TOKEN || (word.len() >= KEY && word.bytes().all(id))
    };
    let separated = text.replace(|character: char| character.is_control() || "\"'=&;,".contains(character), " ");
    let words = separated.split_whitespace().map(|word| if is_key(word) { "…" } else { word });
    words.collect::<Vec<_>>().join(" ").chars().take(WORDS).collect()
}

/// The beginning of a refusal's text.
pub(crate) async fn text<B: AsRef<[u8]>, E>(pieces: impl Stream<Item = Result<B, E>>) -> Vec<u8> {
    let (mut text, mut pieces) = (vec![], std::pin::pin!(pieces));
    while let Some(Ok(piece)) = pieces.next().await {
        text.extend_from_slice(piece.as_ref());
        if text.len() >= BODY {
            text.truncate(BODY);
            break;
        }
    }
    text
}

/// The content of an element of an answer in XML, in which S3, Google and Azure say why.
pub(crate) fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(content, _)| content)
}

/// The first error of this type among an error and its causes.
pub(crate) fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// An error with its causes: the first alone rarely says why.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn final_statuses_are_told_from_passing_ones() {
        use StatusCode as S;
        for status in [
            S::MOVED_PERMANENTLY,
            S::BAD_REQUEST,
            S::UNAUTHORIZED,
            S::FORBIDDEN,
            S::NOT_FOUND,
            S::METHOD_NOT_ALLOWED,
            S::GONE,
            S::RANGE_NOT_SATISFIABLE,
            S::NOT_IMPLEMENTED,
        ] {
            assert!(!Refusal::of(status).is_passing(), "{status}");
        }
        for status in [S::REQUEST_TIMEOUT, S::TOO_EARLY, S::TOO_MANY_REQUESTS, S::BAD_GATEWAY, S::INSUFFICIENT_STORAGE]
        {
            assert!(Refusal::of(status).is_passing(), "{status}");
        }
    }
}

//! Answers of servers that say no: which of them are final, in words that hold no secret.

use std::error::Error;
use std::fmt;

use async_trait::async_trait;
use futures::{Stream, StreamExt};
use object_store::client::{HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService};
use reqwest::{Client, StatusCode};

/// How much of the text of a refusal is read, in bytes.
const BODY: usize = 64 << 10;
/// How much of a server's own words is passed on, in characters.
const WORDS: usize = 200;
/// From this length on, a word of capitals and digits alone may be a key's id, in bytes.
const KEY: usize = 16;
/// From this length on, a word may be a signature or a token, in bytes.
const TOKEN: usize = 40;

/// What S3 and STS answer with a 4xx though it may be different later: clocks are set, tokens are replaced.
const PASSING: [&str; 12] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "IDPCommunicationError",
    "InternalError",
    "InvalidIdentityToken",
    "OperationAborted",
    "RequestExpired",
    "RequestTimeTooSkewed",
    "RequestTimeout",
    "SlowDown",
    "Throttling",
    "TokenRefreshRequired",
];

/// The answer of a server that says no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    /// S3's word for it.
    code: Option<String>,
    /// The server's sentence.
    words: Option<String>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let element = |name: &str| {
            let (_, rest) = text.split_once(&format!("<{name}>"))?;
            let (content, _) = rest.split_once(&format!("</{name}>"))?;
            Some(harmless(content)).filter(|content| !content.is_empty())
        };
        // Other elements hold the key's id, and what its secret signs.
        Self { status, code: element("Code"), words: element("Message") }
    }

    /// Whether it may be different later though nobody does anything about it.
    pub(crate) fn is_passing(&self) -> bool {
        if self.code.as_deref().is_some_and(|code| PASSING.contains(&code)) {
            return true;
        }
        match self.status {
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS => true,
            StatusCode::NOT_IMPLEMENTED => false,
            status => status.is_server_error(),
        }
    }

    /// What it means for whoever wants to read, as the end of a sentence.
    pub(crate) fn for_reading(&self) -> String {
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
fn harmless(text: &str) -> String {
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

/// Hands refusals to `object_store` as errors of their own type, which come back out of it; its own have none.
#[derive(Debug)]
pub(crate) struct Judging(pub(crate) Client);

#[async_trait]
impl HttpService for Judging {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answer = HttpService::call(&self.0, request).await?;
        let status = answer.status();
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            return Ok(answer);
        }
        let (parts, body) = answer.into_parts();
        let refusal = Refusal::new(status, &text(body.bytes_stream()).await);
        match status {
            // The library has meanings of its own for these.
            StatusCode::NOT_FOUND | StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED => {
                Ok(HttpResponse::from_parts(parts, refusal.to_string().into()))
            }
            // It tries again what could not be sent, and nothing of an unknown kind.
            _ if refusal.is_passing() => Err(HttpError::new(HttpErrorKind::Request, refusal)),
            _ => Err(HttpError::new(HttpErrorKind::Unknown, refusal)),
        }
    }
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

    fn s3(status: StatusCode, code: &str) -> Refusal {
        let body = format!("<Error><Code>{code}</Code><Message>It is so</Message></Error>");
        Refusal::new(status, body.as_bytes())
    }

    #[test]
    fn final_answers_are_told_from_passing_ones() {
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
            assert!(!Refusal::new(status, b"").is_passing(), "{status}");
        }
        for status in [S::REQUEST_TIMEOUT, S::TOO_EARLY, S::TOO_MANY_REQUESTS, S::BAD_GATEWAY, S::INSUFFICIENT_STORAGE]
        {
            assert!(Refusal::new(status, b"").is_passing(), "{status}");
        }
        for code in ["ExpiredToken", "RequestTimeTooSkewed", "SlowDown"] {
            assert!(s3(S::FORBIDDEN, code).is_passing(), "{code}");
        }
        assert!(!s3(S::FORBIDDEN, "AccessDenied").is_passing());
    }

    #[test]
    fn words_are_passed_on_without_keys_and_what_they_sign() {
        assert_eq!(s3(StatusCode::FORBIDDEN, "AccessDenied").to_string(), "403 Forbidden, AccessDenied, It is so");
        let body = b"<Error><Code>SignatureDoesNotMatch</Code><Message>The key AKIAIOSFODNN7EXAMPLE signed=\
            9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 wrongly</Message>\
            <AWSAccessKeyId>AKIAIOSFODNN7EXAMPLE</AWSAccessKeyId><StringToSign>AWS4-HMAC-SHA256 20261124</StringToSign>";
        let text = Refusal::new(StatusCode::FORBIDDEN, body).to_string();
        assert_eq!(text, "403 Forbidden, SignatureDoesNotMatch, The key … signed … wrongly");
    }
}

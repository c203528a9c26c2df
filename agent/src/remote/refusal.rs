//! Answers of servers that say no: which of them are final, in words that hold no secret.

use std::error::Error;
use std::fmt;

use async_trait::async_trait;
use futures::{Stream, StreamExt};
use object_store::client::{HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService};
use reqwest::header::HeaderMap;
use reqwest::{Client, StatusCode};

/// How much of the text of a refusal is read, in bytes.
const BODY: usize = 64 << 10;
/// How much of a server's own words is passed on, in characters.
const WORDS: usize = 200;
/// From this length on, a word of capitals and digits alone may be a key's id, in bytes.
const KEY: usize = 16;
/// From this length on, a word may be a signature or a token, in bytes.
const TOKEN: usize = 40;

/// S3's word for a bucket that does not exist.
pub(crate) const MISSING_BUCKET: &str = "NoSuchBucket";
/// From this size on, a request may take long before it is answered, in bytes: all of it has to arrive first.
const LARGE: usize = 256 << 10;

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
    /// Where the bucket is, if the server says so.
    region: Option<String>,
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
        Self { status, code: element("Code"), words: element("Message"), region: element("Region") }
    }

    /// The answer to whoever asks for a bucket that does not exist.
    pub(crate) fn missing_bucket() -> Self {
        let code = Some(MISSING_BUCKET.to_owned());
        Self { status: StatusCode::NOT_FOUND, code, words: None, region: None }
    }

    /// With the region that an answer's headers name, where its text names none.
    fn with_region(mut self, headers: &HeaderMap) -> Self {
        let region = headers.get("x-amz-bucket-region").and_then(|region| region.to_str().ok());
        self.region = self.region.or_else(|| region.map(harmless));
        self
    }

    /// What to do about it, where the server's words mean more than their status.
    fn advice(&self) -> Option<String> {
        let advice = match self.code.as_deref().unwrap_or_default() {
            "RequestTimeTooSkewed" | "RequestExpired" => {
                "the clock of the node, or of the store, is wrong: let both take their time from one source"
            }
            "ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" => {
                "the keys have expired: put new ones into the Store's Secret"
            }
            "InvalidAccessKeyId" => "the store knows no such key: correct AWS_ACCESS_KEY_ID in the Store's Secret",
            "SignatureDoesNotMatch" => "the keys do not fit: correct AWS_SECRET_ACCESS_KEY in the Store's Secret",
            MISSING_BUCKET => "the bucket does not exist: correct spec.prefix of the Store, or create the bucket",
            "PermanentRedirect"
            | "TemporaryRedirect"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException" => return Some(self.other_region()),
            _ if self.status.is_redirection() && self.region.is_some() => return Some(self.other_region()),
            _ => return None,
        };
        Some(advice.to_owned())
    }

    fn other_region(&self) -> String {
        match &self.region {
            Some(region) => format!("the bucket is in another region: set spec.region of the Store to {region}"),
            None => "the bucket is in another region, or its endpoint is another: correct spec.region and spec.endpoint of the Store".to_owned(),
        }
    }

    /// The server's words, and what to do about them.
    pub(crate) fn advised(&self) -> String {
        self.advice().map_or_else(|| self.to_string(), |advice| format!("{self}; {advice}"))
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
        if let Some(advice) = self.advice() {
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
pub(crate) struct Judging {
    /// For requests that are sent in no time.
    pub(crate) prompt: Client,
    /// For those that take theirs.
    pub(crate) patient: Client,
}

#[async_trait]
impl HttpService for Judging {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let client = if request.body().content_length() >= LARGE { &self.patient } else { &self.prompt };
        let answer = HttpService::call(client, request).await?;
        let status = answer.status();
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            return Ok(answer);
        }
        let (parts, body) = answer.into_parts();
        let refusal = Refusal::new(status, &text(body.bytes_stream()).await).with_region(&parts.headers);
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

    /// What is wrong stands in the answer's code or headers: each has words of its own that say what to do.
    #[test]
    fn a_refusal_says_what_to_do_about_it() {
        for (status, code, expected) in [
            (StatusCode::FORBIDDEN, "RequestTimeTooSkewed", "clock"),
            (StatusCode::BAD_REQUEST, "ExpiredToken", "have expired"),
            (StatusCode::NOT_FOUND, "NoSuchBucket", "the bucket does not exist"),
            (StatusCode::FORBIDDEN, "InvalidAccessKeyId", "AWS_ACCESS_KEY_ID"),
            (StatusCode::FORBIDDEN, "SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"),
            (StatusCode::MOVED_PERMANENTLY, "PermanentRedirect", "spec.region"),
        ] {
            let refusal = s3(status, code);
            assert!(refusal.advised().contains(expected), "{}", refusal.advised());
            assert!(refusal.for_reading().contains(expected), "{}", refusal.for_reading());
        }
        let headers = HeaderMap::from_iter([("x-amz-bucket-region".parse().unwrap(), "eu-west-1".parse().unwrap())]);
        let bare = Refusal::new(StatusCode::MOVED_PERMANENTLY, b"").with_region(&headers);
        assert!(bare.advised().contains("set spec.region of the Store to eu-west-1"), "{}", bare.advised());
        let body = b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region></Error>";
        let named = Refusal::new(StatusCode::BAD_REQUEST, body);
        assert!(named.for_reading().contains("eu-west-1"), "{}", named.for_reading());
        assert_eq!(s3(StatusCode::FORBIDDEN, "AccessDenied").advice(), None);
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

//! Single files of plain web servers. `object_store` has a store for them, too, but insists on a Content-Length, which
//! many servers do not send.

use futures::{StreamExt, TryStreamExt};
use reqwest::header::{CONTENT_RANGE, ETAG, HeaderMap, IF_RANGE, RANGE};
use reqwest::{Client, StatusCode, Url};
use seatrial_core::contract::{ExitCode, StoreConfig};

use crate::error::AgentError;
use crate::remote::address::refuse_forbidden;
use crate::remote::answer::Answer;
use crate::remote::client::{self, Trusted};
use crate::remote::failure;
use crate::remote::outage::Failure;
use crate::remote::redirect::Redirects;
use crate::remote::refusal::{Refusal, chain, element, text};

/// A folder of a web server.
#[derive(Clone, Debug)]
pub(crate) struct Web {
    client: Client,
    folder: Url,
}

impl Web {
    /// Opens the folder of a store's prefix. Nothing is sent yet.
    pub(crate) fn open(config: &StoreConfig, folder: Url) -> Result<Self, AgentError> {
        refuse_forbidden(folder.as_str())?;
        let trusted =
            Trusted::read(&config.authorities).map_err(|why| AgentError::new(ExitCode::StoreUnavailable, why))?;
        let client = client::client(&trusted, Redirects::of(config, &folder))?;
        Ok(Self { client, folder })
    }

    /// The URL of a file in the folder, and its name.
    pub(crate) fn file(&self, uri: &str) -> Result<(Url, String), AgentError> {
        let bad = |why: &str| AgentError::new(ExitCode::InputNotFound, format!("{uri} {why}"));
        let url = Url::parse(uri).map_err(|error| bad(&format!("is no URL: {error}")))?;
        // Parsing has resolved `..` by now, also where it is encoded.
        if !url.as_str().starts_with(self.folder.as_str()) {
            return Err(bad(&format!("leaves {}: write it without \"..\"", self.folder)));
        }
        // The same rule for names as everywhere, and no slash that a server might decode.
        let path = object_store::path::Path::from_url_path(url.path())
            .map_err(|error| bad(&format!("is no valid name: {error}")))?;
        let name = path.filename().unwrap_or("data").to_owned();
        Ok((url, name))
    }

    /// Asks for a file, or for what is left of it after so many bytes of the version that the tag names. `None` where
    /// there is no such rest any more.
    pub(crate) async fn read(
        &self,
        url: &Url,
        what: &str,
        from: Option<(u64, &str)>,
    ) -> Result<Option<Answer>, Failure> {
        let mut request = self.client.get(url.clone());
        if let Some((offset, tag)) = from {
            // A server that has another version by now, or no notion of ranges, sends the whole file.
            request = request.header(RANGE, format!("bytes={offset}-")).header(IF_RANGE, tag);
        }
        // Where it was redirected to may hold a signature.
        let answer = request.send().await.map_err(|error| failure::not_sent(what, &error.without_url()))?;
        let status = answer.status();
        let tag = strong_tag(answer.headers());
        let (offset, total) = match (status, from) {
            (StatusCode::PARTIAL_CONTENT, Some((offset, known))) if tag.as_deref() == Some(known) => {
                match content_range(answer.headers()) {
                    Some((begin, total)) if begin == offset => (offset, total),
                    _ => return Ok(None),
                }
            }
            (StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE, Some(_)) => return Ok(None),
            (status, _) if status.is_success() => (0, answer.content_length()),
            _ => {
                return Err(failure::refused(what, &refusal(status, &text(answer.bytes_stream()).await)));
            }
        };
        let pieces = answer.bytes_stream().map_err(|error| chain(&error.without_url())).boxed();
        Ok(Some(Answer { offset, total, tag, pieces }))
    }
}

/// What an answer that says no means: its status, and the words of those that are object stores behind.
fn refusal(status: StatusCode, body: &[u8]) -> Refusal {
    let text = String::from_utf8_lossy(body);
    Refusal::of(status).with_words(element(&text, "Code"), element(&text, "Message"))
}

/// The tag of a version, if it stands for its very bytes.
fn strong_tag(headers: &HeaderMap) -> Option<String> {
    let tag = headers.get(ETAG)?.to_str().ok()?;
    (!tag.starts_with("W/")).then(|| tag.to_owned())
}

/// Where a part begins, and the size of the whole.
fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let (range, total) = headers.get(CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes ")?.split_once('/')?;
    Some((range.split_once('-')?.0.parse().ok()?, total.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_as_they_are_written_and_never_leave_the_folder() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let web = Web { client: Client::new(), folder: Url::parse("https://host/data/").unwrap() };
        let (url, name) = web.file("https://host/data/a%20b+c.csv").unwrap();
        assert_eq!((url.as_str(), name.as_str()), ("https://host/data/a%20b+c.csv", "a b+c.csv"));
        for (uri, asked, name) in [
            ("https://host/data/get?id=3&as=a.csv", "https://host/data/get?id=3&as=a.csv", "get"),
            ("https://host/data/a b.csv", "https://host/data/a%20b.csv", "a b.csv"),
        ] {
            let (url, found) = web.file(uri).unwrap();
            assert_eq!((url.as_str(), found.as_str()), (asked, name), "{uri}");
        }
        for uri in ["https://host/data/../secret", "https://host/data/%2e%2e/secret", "https://host/data/a%2F..%2Fb"] {
            let error = web.file(uri).unwrap_err();
            assert_eq!(error.code, ExitCode::InputNotFound, "{uri}");
        }
    }

    #[test]
    fn the_beginning_of_a_part_is_read() {
        let mut headers = HeaderMap::new();
        assert_eq!(content_range(&headers), None);
        for (text, expected) in [
            ("bytes 5-9/10", Some((5, Some(10)))),
            ("bytes 5-9/*", Some((5, None))),
            ("bytes */10", None),
            ("lines 5-9/10", None),
        ] {
            headers.insert(CONTENT_RANGE, text.parse().unwrap());
            assert_eq!(content_range(&headers), expected, "{text}");
        }
    }
}

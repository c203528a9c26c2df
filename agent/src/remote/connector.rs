//! The HTTP connector of `object_store`: it uses our clients, and our errors.

use std::time::Duration;

use async_trait::async_trait;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use reqwest::header::HeaderMap;
use reqwest::{Client, StatusCode};

use crate::remote::progress;
use crate::remote::refusal::{Refusal, text};

/// How long a large request may make no progress.
pub(crate) const STALL: Duration = Duration::from_secs(60);
/// From this size on, a request may take long before it is answered, in bytes: all of it has to arrive first.
const LARGE_REQUEST: usize = 256 << 10;

/// What a provider means by a status, the headers and the beginning of an answer that says no.
pub(crate) type Classify = fn(StatusCode, &HeaderMap, &[u8]) -> Refusal;

/// Gives every part of `object_store` these clients, and refusals as errors of their own type, which come back out of it;
/// its own have none.
#[derive(Clone, Debug)]
pub(crate) struct Connector {
    /// The client for small requests.
    pub(crate) prompt: Client,
    /// The client for large requests, which take long to send.
    pub(crate) patient: Client,
    /// How long a large request may make no progress.
    pub(crate) stall: Duration,
    /// The provider's meaning.
    pub(crate) classify: Classify,
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Connector {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answer = if request.body().content_length() >= LARGE_REQUEST {
            progress::send(&self.patient, request, self.stall).await?
        } else {
            HttpService::call(&self.prompt, request).await?
        };
        let status = answer.status();
        if status.is_success() || status == StatusCode::NOT_MODIFIED {
            return Ok(answer);
        }
        let (parts, body) = answer.into_parts();
        let refusal = (self.classify)(status, &parts.headers, &text(body.bytes_stream()).await);
        match status {
            // The library has meanings of its own for these, but takes a missing bucket for a missing object.
            StatusCode::NOT_FOUND | StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED
                if !refusal.is_of_the_bucket() =>
            {
                Ok(HttpResponse::from_parts(parts, refusal.to_string().into()))
            }
            // It tries again what could not be sent, and nothing of an unknown kind.
            _ if refusal.is_passing() => Err(HttpError::new(HttpErrorKind::Request, refusal)),
            _ => Err(HttpError::new(HttpErrorKind::Unknown, refusal)),
        }
    }
}

#[cfg(test)]
mod tests {
    use object_store::aws::{AmazonS3, AmazonS3Builder};
    use object_store::{ObjectStoreExt, PutPayload, RetryConfig};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::remote::failure;
    use crate::remote::outage::Outages;

    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nETag: \"x\"\r\nContent-Length: 0\r\n\r\n";

    /// What a server does with its first connection; it answers those that come later.
    #[derive(Clone, Copy, PartialEq)]
    enum First {
        /// Takes all, and never answers.
        Hangs,
        /// Takes nothing.
        Refuses,
        /// Takes a piece now and then, and answers in the end.
        IsSlow,
    }

    async fn server(first: First) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            for connection in 0.. {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(stream, if connection == 0 { Some(first) } else { None }));
            }
        });
        endpoint
    }

    /// Reads one request: its head, and as many bytes as that says.
    async fn serve(mut stream: TcpStream, first: Option<First>) {
        let (mut taken, mut piece, mut length) = (vec![], vec![0; 512 << 10], None);
        while length.is_none_or(|length| taken.len() < length) {
            match first {
                Some(First::Refuses) => std::future::pending().await,
                Some(First::IsSlow) => sleep(Duration::from_millis(50)).await,
                _ => {}
            }
            let read = stream.read(&mut piece).await.unwrap();
            taken.extend_from_slice(&piece[..read]);
            let text = String::from_utf8_lossy(&taken[..taken.len().min(4096)]).to_ascii_lowercase();
            if let (None, Some((head, _))) = (length, text.split_once("\r\n\r\n")) {
                let said = head.split_once("content-length: ").unwrap().1.split("\r\n").next().unwrap();
                length = Some(head.len() + 4 + said.parse::<usize>().unwrap());
            }
        }
        if first == Some(First::Hangs) {
            std::future::pending::<()>().await;
        }
        let _ = stream.write_all(ANSWER).await;
        // Until the client has it.
        let _ = stream.read(&mut piece).await;
    }

    fn store(endpoint: String, stall: Duration) -> AmazonS3 {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let prompt = Client::builder().read_timeout(Duration::from_secs(60)).build().unwrap();
        let connector =
            Connector { patient: prompt.clone(), prompt, stall, classify: |status, _, _| Refusal::of(status) };
        AmazonS3Builder::new()
            .with_bucket_name("lake")
            .with_region("us-east-1")
            .with_endpoint(endpoint)
            .with_allow_http(true)
            .with_skip_signature(true)
            .with_retry(RetryConfig::default())
            .with_http_connector(connector)
            .build()
            .unwrap()
    }

    /// Neither the library nor a limit of the whole request would notice it for long.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_upload_that_hangs_is_given_up_and_tried_again() {
        for first in [First::Hangs, First::Refuses] {
            let store = store(server(first).await, Duration::from_millis(300));
            // So large that no kernel buffers it; what could still be on its way counts by whole seconds.
            let bytes = if first == First::Refuses { 24 << 20 } else { LARGE_REQUEST };
            let (mut tries, began) = (0, Instant::now());
            let outages = Outages::new(60, None);
            let done = outages.wait_out("x", async || {
                tries += 1;
                let content = PutPayload::from(vec![0; bytes]);
                store.put(&"x".into(), content).await.map(drop).map_err(|error| failure::uploading(&error))
            });
            done.await.unwrap();
            assert_eq!(tries, 2);
            assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_upload_that_is_slow_and_goes_on_takes_its_time() {
        let (stall, began) = (Duration::from_secs(1), Instant::now());
        let store = store(server(First::IsSlow).await, stall);
        store.put(&"x".into(), vec![0; 16 << 20].into()).await.unwrap();
        assert!(began.elapsed() > stall, "it was too fast to say anything: {:?}", began.elapsed());
    }
}

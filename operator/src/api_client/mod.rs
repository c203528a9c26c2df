//! How the operator reaches the API server: a client that repeats nothing by itself, and the `ApiClient` that every write
//! passes, bounded in time and counted.

pub(crate) mod events;
pub(crate) mod execute;
#[cfg(test)]
pub(crate) mod fake;
mod live_read;

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderValue;
use axum::http::header::USER_AGENT;
use kube::{Client, Config, Error};

use crate::server::metrics::Metrics;

/// How long a request may take. Without this bound a connection whose other end vanished would hold its worker, and the key
/// that the worker has, until TCP gives up.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);
/// How long a connection may be silent: longer than a watch, which hears a bookmark every minute, ever is. It bounds
/// what does not pass the `ApiClient`, the lists.
const SILENCE: Duration = Duration::from_secs(300);

/// A client for the operator: it repeats no request by itself.
///
/// # Errors
/// The configuration cannot be used.
pub fn connect(mut config: Config) -> Result<Client, Error> {
    // Writes are retried by the queue, with a back-off that occupies no worker. Repeated by the client, up to
    // fifteen times, one write could hold a worker for minutes, and would count as one.
    config.default_retry = false;
    config.read_timeout = Some(SILENCE);
    config.reset_reader_on_write = true;
    let agent = HeaderValue::from_static(concat!("seatrial-operator/", env!("CARGO_PKG_VERSION")));
    config.headers.push((USER_AGENT, agent));
    Client::try_from(config)
}

/// What the request answers, or that there was no answer in time.
pub(crate) async fn within<T>(limit: Duration, request: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let late = |_| Error::Service(format!("no answer within {} s", limit.as_secs()).into());
    tokio::time::timeout(limit, request).await.unwrap_or_else(|elapsed| Err(late(elapsed)))
}

/// Every write passes it: it bounds how long a write takes, and counts it.
#[derive(Clone)]
pub(crate) struct ApiClient {
    metrics: Arc<Metrics>,
}

impl ApiClient {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics }
    }

    /// Counts a write, and passes its answer on.
    pub(crate) async fn write<T>(
        &self,
        verb: &'static str,
        kind: &str,
        limit: Duration,
        request: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let mut count = Count { metrics: &self.metrics, verb, kind, outcome: "unavailable" };
        let answer = within(limit, request).await;
        count.outcome = match &answer {
            Ok(_) => "success",
            Err(Error::Api(status)) if status.code == 409 => "conflict",
            Err(Error::Api(_)) => "refused",
            Err(_) => "unavailable",
        };
        answer
    }
}

/// Counts when it is dropped: a write that is given up in the middle has been sent, too.
struct Count<'a> {
    metrics: &'a Metrics,
    verb: &'static str,
    kind: &'a str,
    outcome: &'static str,
}

impl Drop for Count<'_> {
    fn drop(&mut self) {
        self.metrics.count_write(self.verb, self.kind, self.outcome);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::http::{HeaderMap, StatusCode};
    use k8s_openapi::api::core::v1::Service;
    use kube::Api;

    use super::*;

    fn api() -> (ApiClient, Arc<Metrics>) {
        let metrics = Arc::new(Metrics::new().0);
        (ApiClient::new(metrics.clone()), metrics)
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_without_an_answer_ends_and_is_counted() {
        let (api, metrics) = api();
        let silent = std::future::pending::<Result<(), Error>>();
        let began = tokio::time::Instant::now();
        let error = api.write("update", "Job", LIMIT, silent).await.unwrap_err();
        assert_eq!((began.elapsed(), error.to_string().contains("no answer within 30 s")), (LIMIT, true), "{error}");
        assert_eq!(metrics.writes("update", "Job", "unavailable"), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_is_given_up_is_counted_too() {
        let (api, metrics) = api();
        let silent = api.write("create", "Job", LIMIT, std::future::pending::<Result<(), Error>>());
        tokio::time::timeout(Duration::from_secs(1), silent).await.unwrap_err();
        assert_eq!(metrics.writes("create", "Job", "unavailable"), 1);
    }

    #[tokio::test]
    async fn the_client_repeats_nothing_by_itself_and_says_who_it_is() {
        static ASKED: AtomicUsize = AtomicUsize::new(0);
        let answer = async |headers: HeaderMap| {
            ASKED.fetch_add(1, Ordering::SeqCst);
            let agent = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default().to_owned();
            assert!(agent.starts_with("seatrial-operator/"), "{agent}");
            (StatusCode::SERVICE_UNAVAILABLE, "busy")
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, axum::Router::new().fallback(answer)).into_future());
        let client = connect(Config::new(format!("http://{address}").parse().unwrap())).unwrap();
        let error = Api::<Service>::default_namespaced(client).get("a").await.unwrap_err();
        assert!(matches!(&error, Error::Api(status) if status.code == 503), "{error}");
        assert_eq!(ASKED.load(Ordering::SeqCst), 1);
    }
}

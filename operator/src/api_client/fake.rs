//! An API server for tests: a function of method, path and body.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use kube::Client;
use serde_json::{Value, json};

/// Code and body; `None` where no answer ever comes.
pub(crate) type Answer = Option<(u16, Value)>;

/// A client whose every request is answered by the function.
pub(crate) fn client(server: impl Fn(&str, &str, &Value) -> Answer + Send + Sync + 'static) -> Client {
    client_of(move |method, path, body| {
        let answer = server(method, path, body);
        async move {
            match answer {
                Some(answer) => answer,
                None => std::future::pending().await,
            }
        }
    })
}

/// The same, of a function that takes its time.
pub(crate) fn client_of<F>(server: impl Fn(&str, &str, &Value) -> F + Send + Sync + 'static) -> Client
where
    F: Future<Output = (u16, Value)> + Send + 'static,
{
    let server = Arc::new(server);
    let respond = move |request: Request| {
        let server = server.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
            let body = serde_json::from_slice(&body).unwrap_or_default();
            let answer = server(parts.method.as_str(), parts.uri.path(), &body);
            let (code, answer) = answer.await;
            respond(code, &answer)
        }
    };
    Client::new(Router::new().fallback(respond), "default")
}

fn respond(code: u16, answer: &Value) -> Response {
    (StatusCode::from_u16(code).unwrap(), Body::from(answer.to_string())).into_response()
}

/// An answer.
pub(crate) fn answer(code: u16, body: &Value) -> Answer {
    Some((code, body.clone()))
}

/// A refusal.
pub(crate) fn status(code: u16, reason: &str, message: &str) -> Answer {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code, "reason": reason,
        "message": message,
    });
    Some((code, status))
}

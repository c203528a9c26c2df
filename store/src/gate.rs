//! Refuses requests before the S3 library sees them: those whose body it would read into memory before it checks keys, and
//! those whose signature it would not check well enough.

use http::header::{self, HeaderName};
use http::request::Parts;
use http::{HeaderMap, Method};
use s3s::{S3Error, s3_error};

const CONTENT_SHA256: HeaderName = HeaderName::from_static("x-amz-content-sha256");
/// The one way to sign.
const SIGNATURE: &str = "AWS4-HMAC-SHA256";

/// Why a request goes no further, if it does not.
pub(crate) fn refusal(request: &Parts) -> Option<S3Error> {
    let headers = &request.headers;
    if request.method == Method::POST && any(headers, &header::CONTENT_TYPE, |kind| kind.contains("multipart/")) {
        return Some(s3_error!(NotImplemented, "this store takes no forms: send objects by PUT"));
    }
    let in_chunks = any(headers, &CONTENT_SHA256, |sum| sum.starts_with("streaming-"))
        || any(headers, &header::CONTENT_ENCODING, |encoding| encoding.contains("aws-chunked"));
    if in_chunks {
        let message = "this store takes no bodies in signed chunks: sign the whole body, or send UNSIGNED-PAYLOAD. \
                       AWS' own libraries do so with AWS_REQUEST_CHECKSUM_CALCULATION=when_required";
        return Some(s3_error!(NotImplemented, "{message}"));
    }
    // The old way is not compared in constant time, and good for ever.
    let old_header = any(headers, &header::AUTHORIZATION, |value| !value.starts_with(&SIGNATURE.to_lowercase()));
    let query = request.uri.query().unwrap_or_default();
    let old_query = url::form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "Signature");
    if old_header || old_query {
        return Some(s3_error!(InvalidRequest, "this store takes no other signature than {SIGNATURE}"));
    }
    // Nobody signs what asks for keys, and the library would read its body first.
    if any(headers, &header::AUTHORIZATION, |value| value.contains("/sts/aws4_request")) {
        return Some(s3_error!(InvalidRequest, "the token is the proof: do not sign requests to STS"));
    }
    None
}

/// True where one of a header's values is so, in small letters. One that is no text is not.
fn any(headers: &HeaderMap, name: &HeaderName, is_so: impl Fn(&str) -> bool) -> bool {
    headers.get_all(name).iter().any(|value| is_so(&String::from_utf8_lossy(value.as_bytes()).to_lowercase()))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn refused(method: &str, target: &str, headers: &[(&str, &str)]) -> Option<String> {
        let request = Request::builder().method(method).uri(target);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let error = refusal(&request.body(()).unwrap().into_parts().0)?;
        Some(format!("{} {}", error.status_code().unwrap().as_u16(), error.message().unwrap()))
    }

    #[test]
    fn forms_chunks_and_old_signatures_go_no_further() {
        for (method, target, name, value, answer) in [
            ("POST", "/growth", "content-type", "multipart/form-data; boundary=x", "501 this store takes no forms"),
            ("POST", "/growth", "Content-Type", " Multipart/Form-Data;boundary=x", "501 this store takes no forms"),
            ("PUT", "/growth/x", "x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "501 this store takes"),
            ("PUT", "/growth/x", "x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "501 this store takes"),
            ("PUT", "/growth/x", "content-encoding", "gzip, aws-chunked", "501 this store takes no bodies in signed"),
            ("GET", "/growth/x", "authorization", "AWS AKIA:c2ln", "400 this store takes no other signature"),
            ("GET", "/growth/x?Signature=c2ln&Expires=4000000000", "x", "", "400 this store takes no other"),
            ("GET", "/growth/x?%53ignature=c2ln", "x", "", "400 this store takes no other signature"),
            (
                "POST",
                "/",
                "authorization",
                "AWS4-HMAC-SHA256 Credential=x/20260101/y/sts/aws4_request, SignedHeaders=host, Signature=00",
                "400 the token is the proof",
            ),
        ] {
            let refused = refused(method, target, &[(name, value)]).unwrap_or_default();
            assert!(refused.starts_with(answer), "{method} {target} {name}: {value}: {refused:?}");
        }
        for (method, target, name, value) in [
            ("POST", "/", "content-type", "application/x-www-form-urlencoded"),
            ("PUT", "/growth/x", "content-type", "multipart/form-data"),
            ("PUT", "/growth/x", "x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
            ("PUT", "/growth/x", "content-encoding", "gzip"),
            ("GET", "/growth/x?X-Amz-Signature=00", "x", ""),
            ("GET", "/growth/x", "authorization", "AWS4-HMAC-SHA256 Credential=x/20260101/y/s3/aws4_request"),
        ] {
            assert_eq!(refused(method, target, &[(name, value)]), None, "{method} {target} {name}: {value}");
        }
    }
}

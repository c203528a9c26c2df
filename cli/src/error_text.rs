//! What people are told of an error.

/// An error with its causes. Of an answer of the API server it has the message alone, as kubectl prints it.
pub(crate) fn text(error: &anyhow::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain() {
        if let Some(kube::Error::Api(status)) = cause.downcast_ref::<kube::Error>() {
            parts.push(status.message.clone());
            break;
        }
        parts.push(cause.to_string());
    }
    parts.join(": ")
}

#[cfg(test)]
mod tests {
    use anyhow::Context;
    use kube::core::Status;

    use super::*;

    #[test]
    fn an_answer_of_the_api_server_is_said_once_and_in_its_own_words() {
        let status = Status::failure("models \"x\" is forbidden", "Forbidden").with_code(403);
        let error = Err::<(), _>(kube::Error::Api(status.boxed())).context("the Model x cannot be read").unwrap_err();
        assert_eq!(text(&error), "the Model x cannot be read: models \"x\" is forbidden");
        let other = Err::<(), _>(std::io::Error::other("no such file")).context("a file").unwrap_err();
        assert_eq!(text(&other), "a file: no such file");
    }
}

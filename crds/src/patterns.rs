//! What the patterns of the API ask for, in words: nobody should have to read a regular expression to correct a field.

use crate::limits;

/// What texts of a pattern look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words {
    /// The pattern, as the schema has it.
    pub pattern: &'static str,
    /// What such a text is, after "must be".
    pub words: &'static str,
    /// One of them.
    pub example: &'static str,
}

const fn words(pattern: &'static str, words: &'static str, example: &'static str) -> Words {
    Words { pattern, words, example }
}

/// Each pattern of a field that people write.
pub const ALL: &[Words] = &[
    words(limits::NAME_PATTERN, "small letters, digits and -, with a letter first and no - at the end", "churn-2"),
    words(limits::SUBDOMAIN_PATTERN, "small letters, digits, - and ., as names of objects are", "churn.v2"),
    words(limits::LABEL_VALUE_PATTERN, "letters, digits, -, _ and ., with a letter or digit at both ends", "cost-42"),
    words(limits::DNS_LABEL_PATTERN, "small letters, digits and -, with a letter or digit at both ends", "2-scratch"),
    words(limits::ENV_NAME_PATTERN, "letters, digits and _, with no digit first", "LOG_LEVEL"),
    words(limits::DECIMAL_PATTERN, "a decimal number without an exponent", "-0.5"),
    words(limits::AMOUNT_PATTERN, "a decimal number of 0 or more, without an exponent", "12.50"),
    words(limits::PROPORTION_PATTERN, "a decimal between 0 and 1", "0.12"),
    words(limits::CONFIDENCE_PATTERN, "a decimal from 0.5 to less than 1", "0.95"),
    words(limits::QUANTITY_PATTERN, "a quantity as Kubernetes writes it", "500Mi"),
    words(limits::DURATION_PATTERN, "a duration in whole hours, minutes and seconds", "1h30m"),
    words(limits::URI_PATTERN, "a bucket and a key, or an address of http(s) with a path", "s3://lake/customers/"),
    words(limits::HOST_PATTERN, "the name of a host in small letters, with or without a port", "cdn.example.org:8443"),
    words(limits::TEXT_PATTERN, "a text without the character NUL", "train.py"),
    words(limits::SEPARATOR_PATTERN, "one character that is neither a letter nor a digit", ";"),
    words(limits::WORD_PATTERN, "one word, without blanks", "registry.example.com/churn:1.4"),
    words(
        limits::DIGEST_PATTERN,
        "sha256: and 64 hexadecimal digits",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ),
    words(
        r"^(s3|https?)://[^\x00-\x20/?#@\\]+/([^\x00-\x20?#\\]*/)?$",
        "the beginning of addresses, which ends in /",
        "s3://lake/customers/",
    ),
    words(r"^https?://[^\x00-\x20/?#@\\]+/?$", "an address of http(s) without a path", "https://s3.example.org:9000"),
    words(r"^https://[^\x00-\x20/?#@\\]+/?$", "an address of https without a path", "https://sts.example.org"),
    words(r"^[-a-z0-9]+$", "small letters, digits and -", "eu-central-1"),
    words(r"^[\x21-\x7e]+$", "one word, without blanks", "arn:aws:iam::123456789012:role/churn"),
    words(r"^/[!-~]*$", "a path that begins with /, without blanks", "/healthz"),
    words(r"^/[^:\x00-\x20]+$", "an absolute path without blanks and :", "/data/cache"),
    words(r"^[^/\x00-\x20][^\x00-\x20]*$", "a path that does not begin with /, without blanks", "config/app.yaml"),
    words(r"^[-._a-zA-Z0-9]+$", "letters, digits, -, _ and .", "app.yaml"),
    words(
        r"^(metadata\.(name|namespace|uid)|metadata\.(labels|annotations)\['[^']+'\]|spec\.(nodeName|serviceAccountName)|status\.(hostIPs?|podIPs?))$",
        "a field of the pod that Kubernetes can hand to a variable",
        "metadata.labels['team']",
    ),
];

/// What a pattern asks for.
pub fn find(pattern: &str) -> Option<&'static Words> {
    ALL.iter().find(|words| words.pattern == pattern)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// All patterns below, with the paths of the fields that have them.
    fn patterns(path: &str, schema: &Value, found: &mut Vec<(String, String)>) {
        if let Some(pattern) = schema.get("pattern").and_then(Value::as_str) {
            found.push((path.to_owned(), pattern.to_owned()));
        }
        for (name, inner) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            patterns(&format!("{path}.{name}"), inner, found);
        }
        for key in ["items", "additionalProperties"] {
            schema.get(key).into_iter().for_each(|inner| patterns(&format!("{path}[]"), inner, found));
        }
    }

    #[test]
    fn each_pattern_that_people_meet_has_words() {
        let mut found = vec![];
        for manifest in crate::manifests::all().unwrap() {
            let schema = manifest.value.pointer("/spec/versions/0/schema/openAPIV3Schema/properties/spec");
            let kind = manifest.value.pointer("/spec/names/kind").and_then(Value::as_str).unwrap_or_default();
            schema.into_iter().for_each(|schema| patterns(&format!("{kind}.spec"), schema, &mut found));
        }
        assert!(found.len() > 50, "{}", found.len());
        for (path, pattern) in &found {
            assert!(find(pattern).is_some(), "{path} has the pattern {pattern}: give it words in crds/src/patterns.rs");
        }
        for words in ALL {
            assert!(found.iter().any(|(_, pattern)| pattern == words.pattern), "no field has {}", words.pattern);
        }
    }
}

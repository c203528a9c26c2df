//! What is read, as people write it.

use std::str::FromStr;

/// A run, a step, an output, or a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// All of a run.
    Run(String),
    /// A step of a run.
    Step(String, String),
    /// An output of a step of a run.
    Output(String, String, String),
    /// A `ModelVersion`.
    Version(String),
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words: Vec<&str> = text.split('/').collect();
        if let Some(word) = words.iter().find(|word| !is_name(word)) {
            return Err(format!("\"{word}\" is no name: write RUN, RUN/STEP, RUN/STEP/OUTPUT or mv/NAME"));
        }
        let own = |word: &&str| (*word).to_owned();
        match words.as_slice() {
            ["mv" | "modelversion", name] => Ok(Self::Version(own(name))),
            [run] => Ok(Self::Run(own(run))),
            [run, step] => Ok(Self::Step(own(run), own(step))),
            [run, step, output] => Ok(Self::Output(own(run), own(step), own(output))),
            _ => Err(format!("\"{text}\" has too many parts: write RUN, RUN/STEP, RUN/STEP/OUTPUT or mv/NAME")),
        }
    }
}

/// Whether it can be a name in Kubernetes, and so a folder of its own.
fn is_name(word: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = [word.bytes().next(), word.bytes().last()];
    ends.into_iter().all(|byte| byte.is_some_and(is_inner))
        && word.len() <= 253
        && word.bytes().all(|byte| is_inner(byte) || byte == b'-' || byte == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_what_it_looks_like() {
        for (text, expected) in [
            ("churn-c1", Target::Run("churn-c1".into())),
            ("churn-c1/train", Target::Step("churn-c1".into(), "train".into())),
            ("churn-c1/train/model", Target::Output("churn-c1".into(), "train".into(), "model".into())),
            ("mv/churn-v3", Target::Version("churn-v3".into())),
            ("modelversion/churn-v3", Target::Version("churn-v3".into())),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["", "/", "run/", "/step", "run//x", "../x", "run/../x", "Run", "a b", "a/b/c/d", "-a", "run/."] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }
}

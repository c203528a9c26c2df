//! Label and field selectors.

use serde_json::Value;

/// What a list or a watch selects by labels and fields. Without terms it selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    labels: Vec<Term>,
    fields: Vec<Term>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Term {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

impl Term {
    fn holds(&self, value: impl Fn(&str) -> Option<String>) -> bool {
        match self {
            Self::In(key, values) => value(key).is_some_and(|value| values.contains(&value)),
            Self::NotIn(key, values) => value(key).is_none_or(|value| !values.contains(&value)),
            Self::Exists(key) => value(key).is_some(),
            Self::Absent(key) => value(key).is_none(),
        }
    }
}

impl Selector {
    /// Reads both, as they stand in a query. `None` where one is malformed.
    pub fn parse(labels: &str, fields: &str) -> Option<Self> {
        Some(Self { labels: terms(labels)?, fields: terms(fields)? })
    }

    /// Whether an object is selected.
    pub fn selects(&self, object: &Value) -> bool {
        let label = |key: &str| object["metadata"]["labels"][key].as_str().map(str::to_owned);
        let field = |path: &str| {
            let found = path.split('.').fold(object, |value, name| &value[name]);
            Some(found.as_str().unwrap_or_default().to_owned())
        };
        self.labels.iter().all(|term| term.holds(label)) && self.fields.iter().all(|term| term.holds(field))
    }
}

/// Splits at commas that are in no parentheses.
fn split(text: &str) -> Vec<String> {
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for character in text.chars() {
        match character {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = parts.last_mut() {
            last.push(character);
        }
    }
    parts.into_iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

fn terms(text: &str) -> Option<Vec<Term>> {
    split(text).iter().map(|part| term(part)).collect()
}

fn term(text: &str) -> Option<Term> {
    let values = |text: &str| -> Option<Vec<String>> {
        let inner = text.trim().strip_prefix('(')?.strip_suffix(')')?;
        Some(inner.split(',').map(|value| value.trim().to_owned()).collect())
    };
    if let Some((key, rest)) = text.split_once(" notin ") {
        return Some(Term::NotIn(key.trim().to_owned(), values(rest)?));
    }
    if let Some((key, rest)) = text.split_once(" in ") {
        return Some(Term::In(key.trim().to_owned(), values(rest)?));
    }
    if let Some((key, value)) = text.split_once("!=") {
        return Some(Term::NotIn(key.to_owned(), vec![value.to_owned()]));
    }
    if let Some((key, value)) = text.split_once("==").or_else(|| text.split_once('=')) {
        return Some(Term::In(key.to_owned(), vec![value.to_owned()]));
    }
    Some(match text.strip_prefix('!') {
        Some(key) => Term::Absent(key.to_owned()),
        None => Term::Exists(text.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn selectors_mean_what_kubernetes_means() {
        let object = json!({"metadata": {"name": "a", "labels": {"app": "x", "tier": "db"}}});
        let selects = |labels: &str, fields: &str| Selector::parse(labels, fields).unwrap().selects(&object);
        for yes in ["", "app", "app=x", "app==x", "app in (x, y)", "!role", "role!=z", "app=x,tier notin (web)"] {
            assert!(selects(yes, ""), "{yes}");
        }
        for no in ["role", "app=y", "app in (y)", "!app", "app!=x", "app=x,tier=web"] {
            assert!(!selects(no, ""), "{no}");
        }
        assert!(selects("", "metadata.name=a") && !selects("", "metadata.name=b"));
    }
}

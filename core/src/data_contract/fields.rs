//! Reads single fields of a document. What is of another type than the standard's is a problem, never a panic.

use serde_json::{Map, Value};

use super::Draft;

/// An object of a document, and where it stands.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    pub(super) map: &'a Map<String, Value>,
    pub(super) path: &'a str,
}

impl<'a> Fields<'a> {
    /// A member that is there, and not null.
    pub(super) fn get(self, name: &str) -> Option<&'a Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// Where a member stands.
    pub(super) fn at(self, name: &str) -> String {
        format!("{}.{name}", self.path)
    }

    /// A text.
    pub(super) fn text(self, name: &str, draft: &mut Draft) -> Option<&'a str> {
        let value = self.get(name)?;
        let text = value.as_str();
        if text.is_none() {
            draft.problem(self.at(name), format!("must be a text, and is {}", kind(value)));
        }
        text
    }

    /// A text that must be there.
    pub(super) fn required_text(self, name: &str, draft: &mut Draft) -> Option<&'a str> {
        if self.get(name).is_none() {
            draft.problem(self.at(name), "is required by the standard");
        }
        self.text(name, draft).filter(|text| {
            let is_empty = text.trim().is_empty();
            if is_empty {
                draft.problem(self.at(name), "must not be empty");
            }
            !is_empty
        })
    }

    /// True or false; false where it is absent.
    pub(super) fn flag(self, name: &str, draft: &mut Draft) -> bool {
        match self.get(name) {
            None => false,
            Some(Value::Bool(flag)) => *flag,
            Some(value) => {
                draft.problem(self.at(name), format!("must be true or false, and is {}", kind(value)));
                false
            }
        }
    }

    /// A list; empty where it is absent.
    pub(super) fn list(self, name: &str, draft: &mut Draft) -> &'a [Value] {
        match self.get(name) {
            None => &[],
            Some(Value::Array(list)) => list,
            Some(value) => {
                draft.problem(self.at(name), format!("must be a list, and is {}", kind(value)));
                &[]
            }
        }
    }

    /// A whole number that is not negative.
    pub(super) fn count(self, name: &str, draft: &mut Draft) -> Option<u64> {
        let value = self.get(name)?;
        let count = value.as_u64();
        if count.is_none() {
            draft.problem(self.at(name), format!("must be a whole number from 0 on, and is {}", kind(value)));
        }
        count
    }

    /// A number as a decimal.
    pub(super) fn number(self, name: &str, draft: &mut Draft) -> Option<String> {
        let value = self.get(name)?;
        let number = decimal(value);
        if number.is_none() {
            draft.problem(self.at(name), format!("must be a number, and is {}", kind(value)));
        }
        number
    }

    /// Lists the members that are not among those that are known here: the standard has none of these names.
    pub(super) fn unknown(self, known: &[&str], draft: &mut Draft) {
        for name in self.map.keys().filter(|name| !known.contains(&name.as_str())) {
            draft.not_checked(
                &self.at(name),
                "Seatrial knows no field of this name: it is kept, and nothing follows from it",
            );
        }
    }
}

/// A member of a list, as an object.
pub(super) fn object<'a>(value: &'a Value, path: &str, draft: &mut Draft) -> Option<&'a Map<String, Value>> {
    let object = value.as_object();
    if object.is_none() {
        draft.problem(path, format!("must be an object, and is {}", kind(value)));
    }
    object
}

/// A JSON number as a decimal without exponent, of at most 40 characters.
pub(super) fn decimal(value: &Value) -> Option<String> {
    let Value::Number(number) = value else { return None };
    let text = number.to_string();
    if !text.contains(['e', 'E']) {
        return Some(text).filter(|text| text.len() <= 40);
    }
    let plain = number.as_f64().filter(|number| number.is_finite())?.to_string();
    Some(plain).filter(|text| text.len() <= 40)
}

/// A single value as the text that data would have.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(_) => decimal(value),
        _ => None,
    }
}

/// What a value is, in words.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

//! Why nothing was measured.

use std::fmt;
use std::io;

/// Why nothing was measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Problem {
    /// The tables cannot be measured: the same tables will never be.
    Unusable(String),
    /// Something else went wrong: another attempt may succeed.
    Failed(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unusable(why) | Self::Failed(why) => formatter.write_str(why),
        }
    }
}

/// An error of reading: of the content where a decoder says so, else of the machine.
pub(crate) fn reading(name: &str, error: &io::Error) -> Problem {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
            Problem::Unusable(format!("{name} are damaged: {error}; write the file again"))
        }
        _ => Problem::Failed(format!("{name} cannot be read: {error}")),
    }
}

/// A text from a table as a message quotes it: escaped, and cut to forty characters.
pub(crate) fn quoted(text: &str) -> String {
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}

/// `1 row`, `2 rows`.
pub(crate) fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

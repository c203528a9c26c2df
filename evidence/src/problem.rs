//! Why tables could not be measured, and whether another attempt may succeed.

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

/// How zstd says that memory is short, an error of neither the content nor the operating system.
const NO_MEMORY: &str = "not enough memory";

/// An error of reading: of the machine where the operating system says so or memory is short, else of the content. Decoders
/// say what is wrong by errors of several kinds, `Other` among them.
pub(crate) fn reading(name: &str, error: &io::Error) -> Problem {
    let of_content = match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => true,
        io::ErrorKind::OutOfMemory => false,
        _ => error.raw_os_error().is_none() && !error.to_string().contains(NO_MEMORY),
    };
    if of_content {
        Problem::Unusable(format!("{name} are damaged: {error}; write the file again"))
    } else {
        Problem::Failed(format!("{name} cannot be read: {error}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_decoder_finds_is_no_failure_of_the_machine() {
        for error in [
            io::Error::other("Data corruption detected"),
            io::Error::from(io::ErrorKind::UnexpectedEof),
            // A seek to before the file, as a damaged footer asks for.
            io::Error::from_raw_os_error(22),
        ] {
            let problem = reading("the labels", &error);
            assert!(matches!(&problem, Problem::Unusable(why) if why.contains("damaged")), "{problem}");
        }
        for error in [
            io::Error::from_raw_os_error(5),
            io::Error::from(io::ErrorKind::OutOfMemory),
            io::Error::other("Allocation error : not enough memory"),
        ] {
            let problem = reading("the labels", &error);
            assert!(matches!(problem, Problem::Failed(_)), "{problem}");
        }
    }
}

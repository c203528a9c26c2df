//! CSV in any dialect: fields between separators, in quotes where they hold one.

use super::tallies::{Refused, Tallies};
use super::value::Cell;

/// Bytes of one field.
const MAX_FIELD: usize = 1 << 20;
/// Fields of one row.
const MAX_FIELDS: usize = 10_000;

/// How a file is written, in bytes.
#[derive(Clone, Debug)]
pub(super) struct Dialect {
    pub(super) separator: u8,
    pub(super) quote: u8,
    pub(super) nulls: Vec<String>,
}

/// A field of a record.
#[derive(Clone, Copy, Debug)]
struct Field {
    start: usize,
    end: usize,
    quoted: bool,
    /// Whether it has doubled quotes.
    doubled: bool,
}

/// Reads one record from its first byte; where the next begins. A blank line is a record without fields.
fn record(bytes: &[u8], from: usize, dialect: &Dialect, fields: &mut Vec<Field>) -> Result<usize, &'static str> {
    fields.clear();
    let mut at = from;
    loop {
        let start = at;
        let byte = |at: usize| bytes.get(at).copied();
        let field = if byte(at) == Some(dialect.quote) {
            at += 1;
            let mut doubled = false;
            loop {
                let rest = bytes.get(at..).unwrap_or_default();
                let Some(length) = memchr::memchr(dialect.quote, rest) else {
                    return Err("opens a quote that is never closed");
                };
                at += length + 1;
                if byte(at) != Some(dialect.quote) {
                    break;
                }
                doubled = true;
                at += 1;
            }
            Field { start: start + 1, end: at - 1, quoted: true, doubled }
        } else {
            let rest = bytes.get(at..).unwrap_or_default();
            let ends = |byte: &u8| *byte == dialect.separator || *byte == b'\n' || *byte == dialect.quote;
            at += rest.iter().position(ends).unwrap_or(rest.len());
            if byte(at) == Some(dialect.quote) {
                return Err("has a quote within a field that does not begin with one");
            }
            Field { start, end: at, quoted: false, doubled: false }
        };
        if field.end - field.start > MAX_FIELD {
            return Err("has a field of more than 1 MiB");
        }
        if fields.len() >= MAX_FIELDS {
            return Err("has more than 10000 fields");
        }
        let mut field = field;
        if field.quoted && byte(at) == Some(b'\r') && matches!(byte(at + 1), Some(b'\n') | None) {
            at += 1;
        }
        let next = byte(at);
        if !field.quoted
            && next != Some(dialect.separator)
            && field.end > field.start
            && byte(field.end - 1) == Some(b'\r')
        {
            field.end -= 1;
        }
        fields.push(field);
        match next {
            Some(separator) if separator == dialect.separator => at += 1,
            Some(b'\n') | None => {
                if let [only] = fields.as_slice()
                    && !only.quoted
                    && only.end == only.start
                {
                    fields.clear();
                }
                return Ok((at + 1).min(bytes.len()));
            }
            Some(_) => return Err("has text behind a closing quote"),
        }
    }
}

/// The text of a field; `scratch` holds it where it has doubled quotes.
fn text<'t>(block: &'t str, field: Field, quote: u8, scratch: &'t mut String) -> &'t str {
    let whole = block.get(field.start..field.end).unwrap_or_default();
    if !field.doubled {
        return whole;
    }
    let quote = char::from(quote);
    scratch.clear();
    let mut after_quote = false;
    for letter in whole.chars() {
        after_quote = letter == quote && !after_quote;
        if !after_quote {
            scratch.push(letter);
        }
    }
    scratch
}

/// The names of the columns, and where the first row begins. None where there is no record.
pub(super) fn header(bytes: &[u8], dialect: &Dialect) -> Result<Option<(Vec<String>, usize)>, String> {
    let (mut fields, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        at = record(bytes, at, dialect, &mut fields)?;
        if fields.is_empty() {
            continue;
        }
        let block = std::str::from_utf8(bytes.get(..at).unwrap_or_default()).map_err(|_| "is not UTF-8")?;
        let mut scratch = String::new();
        let names = fields
            .iter()
            .map(|field| text(block, *field, dialect.quote, &mut scratch).trim_ascii().to_owned())
            .collect();
        return Ok(Some((names, at)));
    }
    Ok(None)
}

/// Counts the rows of a block, which has whole records; how many there are. `places` says where the plan's columns are among
/// the fields, or their values where the file's path has them.
pub(super) fn rows(
    bytes: &[u8],
    part: u32,
    dialect: &Dialect,
    width: usize,
    columns: &[super::files::Source],
    tallies: &mut Tallies<'_>,
) -> Result<u32, Refused> {
    let (block, whole) = match std::str::from_utf8(bytes) {
        Ok(block) => (block, true),
        Err(error) => {
            let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
            (std::str::from_utf8(valid).unwrap_or_default(), false)
        }
    };
    let mut scratches = vec![String::new(); columns.len()];
    let (mut fields, mut at, mut row) = (Vec::new(), 0, 0_u32);
    while at < bytes.len() {
        at = record(bytes, at, dialect, &mut fields).map_err(|what| (row, what.to_owned()))?;
        if fields.is_empty() {
            continue;
        }
        if !whole && at > block.len() {
            return Err((row, "is not UTF-8: save the file in UTF-8".to_owned()));
        }
        if fields.len() != width {
            return Err((row, format!("has {} fields, the header {width}", fields.len())));
        }
        let cells = columns.iter().zip(&mut scratches).map(|(source, scratch)| match source {
            super::files::Source::Absent => None,
            super::files::Source::Path(value) => Some(value.as_deref().map_or(Cell::Null, Cell::Raw)),
            super::files::Source::Field(place) => fields.get(*place).map(|field| {
                let text = text(block, *field, dialect.quote, scratch);
                if dialect.nulls.iter().any(|null| null == text) && !(field.quoted && text.is_empty()) {
                    Cell::Null
                } else {
                    Cell::Raw(text)
                }
            }),
        });
        tallies.row((part, row), cells);
        row += 1;
    }
    Ok(row)
}

/// Where the last whole record of a block ends, seen from where quotes are; none where no record ends in it.
pub(super) fn last_end(bytes: &[u8], quote: u8) -> Option<usize> {
    let (mut quoted, mut end) = (false, None);
    for at in memchr::memchr2_iter(quote, b'\n', bytes) {
        if bytes.get(at) == Some(&b'\n') {
            if !quoted {
                end = Some(at + 1);
            }
        } else {
            quoted = !quoted;
        }
    }
    end
}

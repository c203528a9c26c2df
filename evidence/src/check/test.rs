//! Tests of one value, made ready to be applied to many.

use std::collections::HashSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use regex::{Regex, RegexBuilder};
use seatrial_core::contract::check::{LogicalType, TextFormat, ValueTest};

use super::value::{Bound, Cell, Reader, Typed};

/// Bytes that a compiled regular expression may take.
const MAX_PATTERN: usize = 1 << 20;

/// A test of one value.
#[derive(Debug)]
pub(super) enum Test {
    Length(std::ops::RangeInclusive<u64>),
    Pattern(Regex),
    Format(TextFormat),
    OneOf(HashSet<Vec<u8>>),
    Number(Side, Bound),
    Moment(Side, i128),
    MultipleOf(Bound),
    Items(std::ops::RangeInclusive<u64>),
    UniqueItems,
    Members(std::ops::RangeInclusive<u64>),
    RequiredMembers(Vec<String>),
}

/// On which side of a bound values lie.
#[derive(Clone, Copy, Debug)]
pub(super) enum Side {
    AtLeast,
    AtMost,
    Above,
    Below,
}

impl Side {
    const fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Self::AtLeast => order.is_ge(),
            Self::AtMost => order.is_le(),
            Self::Above => order.is_gt(),
            Self::Below => order.is_lt(),
        }
    }
}

impl Test {
    /// Makes a test of a column's values ready.
    ///
    /// # Errors
    /// Why it cannot be applied, for people.
    pub(super) fn new(test: &ValueTest, reader: &Reader) -> Result<Self, String> {
        let bound = |text: &String| Bound::parse(text).ok_or_else(|| format!("{text:?} is no decimal number"));
        let side = |text: &String, side: Side| match reader.kind {
            Some(LogicalType::Date | LogicalType::Timestamp | LogicalType::Time) => {
                moment(text, reader).map(|moment| Self::Moment(side, moment))
            }
            _ => bound(text).map(|bound| Self::Number(side, bound)),
        };
        Ok(match test {
            ValueTest::MinLength(length) => Self::Length(*length..=u64::MAX),
            ValueTest::MaxLength(length) => Self::Length(0..=*length),
            ValueTest::Pattern(pattern) => {
                let regex = RegexBuilder::new(pattern).size_limit(MAX_PATTERN).dfa_size_limit(MAX_PATTERN).build();
                let regex = regex.map_err(|error| {
                    let why = error.to_string();
                    let why = why.lines().last().unwrap_or_default();
                    format!(
                        "the pattern {pattern:?} is not in the dialect of regular expressions that is understood: {why}"
                    )
                })?;
                Self::Pattern(regex)
            }
            ValueTest::Format(format) => Self::Format(*format),
            ValueTest::OneOf(values) => {
                let key = |text: &String| {
                    let mut key = vec![];
                    match reader.read(Cell::Raw(text)) {
                        // A list is written as JSON is, whatever the decimal point of the files.
                        _ if matches!(reader.kind, Some(LogicalType::Number | LogicalType::Integer)) => {
                            Typed::Number(super::value::Number::parse(text, b'.', true)?).key(&mut key);
                        }
                        Some(value) => value.key(&mut key),
                        None => Typed::Moment(moment(text, reader).ok()?).key(&mut key),
                    }
                    Some(key)
                };
                let keys = values.iter().map(|text| {
                    key(text).ok_or_else(|| {
                        format!("the valid value {text:?} is no {}", reader.kind.map_or("value", LogicalType::name))
                    })
                });
                Self::OneOf(keys.collect::<Result<_, _>>()?)
            }
            ValueTest::Minimum(text) => side(text, Side::AtLeast)?,
            ValueTest::Maximum(text) => side(text, Side::AtMost)?,
            ValueTest::ExclusiveMinimum(text) => side(text, Side::Above)?,
            ValueTest::ExclusiveMaximum(text) => side(text, Side::Below)?,
            ValueTest::MultipleOf(text) => Self::MultipleOf(bound(text)?),
            ValueTest::MinItems(count) => Self::Items(*count..=u64::MAX),
            ValueTest::MaxItems(count) => Self::Items(0..=*count),
            ValueTest::UniqueItems => Self::UniqueItems,
            ValueTest::MinProperties(count) => Self::Members(*count..=u64::MAX),
            ValueTest::MaxProperties(count) => Self::Members(0..=*count),
            ValueTest::RequiredProperties(names) => Self::RequiredMembers(names.clone()),
        })
    }

    /// Whether a value passes. A value of another type than the test is about does not.
    pub(super) fn passes(&self, value: &Typed<'_>) -> bool {
        match (self, value) {
            (Self::Length(range), Typed::Text(text)) => {
                // A character has one to four bytes: most texts are decided without counting.
                let bytes = text.len() as u64;
                if range.contains(&bytes) && range.contains(&bytes.div_ceil(4)) {
                    return true;
                }
                range.contains(&(text.chars().count() as u64))
            }
            (Self::Pattern(regex), Typed::Text(text)) => regex.is_match(text),
            (Self::Format(format), Typed::Text(text)) => has_format(*format, text),
            (Self::OneOf(keys), _) => match value {
                Typed::Text(text) => keys.contains(text.as_bytes()),
                _ => {
                    let mut key = vec![];
                    value.key(&mut key);
                    keys.contains(&key)
                }
            },
            (Self::Number(side, bound), Typed::Number(number)) => side.holds(number.compare(bound)),
            (Self::Number(side, bound), Typed::Text(text)) => {
                super::value::Number::parse(text, b'.', true).is_some_and(|number| side.holds(number.compare(bound)))
            }
            (Self::Moment(side, bound), Typed::Moment(moment)) => side.holds(moment.cmp(bound)),
            (Self::MultipleOf(factor), Typed::Number(number)) => number.is_multiple_of(factor),
            (Self::Items(range), Typed::Array(items)) => range.contains(&(items.len() as u64)),
            (Self::UniqueItems, Typed::Array(items)) => {
                let mut seen = HashSet::new();
                items.iter().all(|item| seen.insert(item.to_string()))
            }
            (Self::Members(range), Typed::Object(members)) => range.contains(&(members.len() as u64)),
            (Self::RequiredMembers(names), Typed::Object(members)) => {
                names.iter().all(|name| members.contains_key(name))
            }
            _ => false,
        }
    }
}

/// A moment of a rule: as the column's own format writes it, or by ISO 8601.
fn moment(text: &str, reader: &Reader) -> Result<i128, String> {
    let kind = reader.kind.unwrap_or(LogicalType::Timestamp);
    let iso = super::moment::Pattern::Iso(kind).parse(text);
    let date = || {
        // A day stands for its first moment.
        let day = super::moment::Pattern::Iso(LogicalType::Date).parse(text);
        day.filter(|_| kind == LogicalType::Timestamp)
    };
    let own = || reader.pattern.as_ref().and_then(|pattern| pattern.parse(text));
    iso.or_else(own).or_else(date).ok_or_else(|| format!("{text:?} is no {}", kind.name()))
}

fn has_format(format: TextFormat, text: &str) -> bool {
    match format {
        TextFormat::Email => text.rsplit_once('@').is_some_and(|(local, host)| {
            let mark = |byte: u8| byte.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&byte);
            (1..=64).contains(&local.len())
                && local.bytes().all(mark)
                && !local.starts_with('.')
                && !local.ends_with('.')
                && !local.contains("..")
                && is_host(host)
                && host.contains('.')
        }),
        TextFormat::Uuid => {
            let groups: Vec<&str> = text.split('-').collect();
            let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
            lengths == [8, 4, 4, 4, 12] && groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()))
        }
        TextFormat::Uri => text.split_once(':').is_some_and(|(scheme, rest)| {
            let mark = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
            scheme.starts_with(|first: char| first.is_ascii_alphabetic())
                && scheme.bytes().all(mark)
                && !rest.is_empty()
                && rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>\"{}|\\^`".contains(&byte))
        }),
        TextFormat::Hostname => is_host(text),
        TextFormat::Ipv4 => text.parse::<Ipv4Addr>().is_ok(),
        TextFormat::Ipv6 => text.parse::<Ipv6Addr>().is_ok(),
    }
}

fn is_host(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

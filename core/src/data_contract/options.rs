//! `logicalTypeOptions`: what each value of a column must be.

use super::Draft;
use super::fields::Fields;
use crate::contract::check::{Column, LogicalType, RuleKind, Severity, TextFormat, ValueTest};
use crate::decimal::Decimal;

/// The longest pattern, in bytes.
pub(super) const MAX_PATTERN: usize = 1024;

/// How dates, times or timestamps are written in texts, in the pattern letters of Java's `DateTimeFormatter`.
pub(super) fn format(fields: Fields<'_>, logical_type: Option<LogicalType>, draft: &mut Draft) -> Option<String> {
    let is_temporal = matches!(logical_type, Some(LogicalType::Date | LogicalType::Timestamp | LogicalType::Time));
    if !is_temporal {
        return None;
    }
    for name in ["timezone", "defaultTimezone"] {
        if fields.get(name).is_some() {
            draft.not_checked(&fields.at(name), "times are compared as they are written, without a look at time zones");
        }
    }
    fields.text("format", draft).map(str::to_owned)
}

/// Adds a rule for each option.
pub(super) fn rules(fields: Fields<'_>, column: &Column, draft: &mut Draft) {
    let Some(logical_type) = column.logical_type else {
        if !fields.map.is_empty() {
            draft.not_checked(fields.path, "the property has no logical type that its options could belong to");
        }
        return;
    };
    let known: &[&str] = match logical_type {
        LogicalType::String => &["minLength", "maxLength", "pattern", "format"],
        LogicalType::Date => &["format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"],
        LogicalType::Timestamp | LogicalType::Time => {
            &["format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "timezone", "defaultTimezone"]
        }
        LogicalType::Number | LogicalType::Integer => {
            &["format", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]
        }
        LogicalType::Object => &["minProperties", "maxProperties", "required"],
        LogicalType::Array => &["minItems", "maxItems", "uniqueItems"],
        LogicalType::Boolean => &[],
    };
    for name in fields.map.keys().filter(|name| !known.contains(&name.as_str())) {
        let reason = format!("the logical type {} has no option of this name", logical_type.name());
        draft.not_checked(&fields.at(name), reason);
    }
    match logical_type {
        LogicalType::String => of_string(fields, column, draft),
        LogicalType::Number | LogicalType::Integer => of_number(fields, column, draft),
        LogicalType::Date | LogicalType::Timestamp | LogicalType::Time => of_time(fields, column, draft),
        LogicalType::Object | LogicalType::Array => of_structure(fields, column, draft),
        LogicalType::Boolean => {}
    }
}

fn add(column: &Column, name: &str, test: ValueTest, draft: &mut Draft) {
    let check = RuleKind::Values { column: column.name.clone(), test };
    draft.rule(&format!("{}.{name}", column.name), Severity::Error, None, check);
}

/// A test by a number of characters or parts.
type OfCount = fn(u64) -> ValueTest;

/// A test by a bound.
type OfBound = fn(String) -> ValueTest;

/// Two bounds of a length or a number of parts.
fn counts(fields: Fields<'_>, column: &Column, names: (&str, &str), tests: (OfCount, OfCount), draft: &mut Draft) {
    let (low, high) = (fields.count(names.0, draft), fields.count(names.1, draft));
    if low.zip(high).is_some_and(|(low, high)| low > high) {
        draft.problem(fields.at(names.0), format!("is greater than {}: no value can be both", names.1));
    }
    if let Some(low) = low.filter(|low| *low > 0) {
        add(column, names.0, tests.0(low), draft);
    }
    if let Some(high) = high {
        add(column, names.1, tests.1(high), draft);
    }
}

fn of_string(fields: Fields<'_>, column: &Column, draft: &mut Draft) {
    counts(fields, column, ("minLength", "maxLength"), (ValueTest::MinLength, ValueTest::MaxLength), draft);
    if let Some(pattern) = fields.text("pattern", draft)
        && let Some(pattern) = checked_pattern(pattern, &fields.at("pattern"), draft)
    {
        add(column, "pattern", ValueTest::Pattern(pattern), draft);
    }
    if let Some(format) = fields.text("format", draft) {
        let known = match format {
            "email" => Some(TextFormat::Email),
            "uuid" => Some(TextFormat::Uuid),
            "uri" => Some(TextFormat::Uri),
            "hostname" => Some(TextFormat::Hostname),
            "ipv4" => Some(TextFormat::Ipv4),
            "ipv6" => Some(TextFormat::Ipv6),
            _ => None,
        };
        match known {
            Some(format) => add(column, "format", ValueTest::Format(format), draft),
            None => {
                let reason = format!("texts of the format \"{format}\" are not told from others: write a pattern");
                draft.not_checked(&fields.at("format"), reason);
            }
        }
    }
}

/// A pattern that can be matched in linear time; `None`, and said so, where it is none. The standard's dialect is
/// ECMAScript's, of which looking around and back is left out: such patterns can take for ever.
pub(super) fn checked_pattern(pattern: &str, path: &str, draft: &mut Draft) -> Option<String> {
    let looks_around = ["(?=", "(?!", "(?<=", "(?<!"].iter().any(|it| pattern.contains(it));
    let refers_back = {
        let mut escaped = false;
        pattern.chars().any(|c| {
            let refers = escaped && (c.is_ascii_digit() && c != '0' || c == 'k');
            escaped = c == '\\' && !escaped;
            refers
        })
    };
    if pattern.len() > MAX_PATTERN {
        draft.not_checked(path, format!("the pattern is longer than {MAX_PATTERN} bytes"));
        return None;
    }
    if looks_around || refers_back {
        let reason = "the pattern looks around or refers back, which can take for ever on some texts: write it without";
        draft.not_checked(path, reason);
        return None;
    }
    Some(pattern.to_owned())
}

fn of_number(fields: Fields<'_>, column: &Column, draft: &mut Draft) {
    let bounds = bounds(fields, |fields, name, draft| fields.number(name, draft), draft);
    let number = |text: &String| Decimal::parse(text);
    let [low, above, high, below] = &bounds;
    let lowest = [low, above].into_iter().flatten().filter_map(number).max();
    let highest = [high, below].into_iter().flatten().filter_map(number).min();
    let is_open = above.is_some() || below.is_some();
    if let (Some(lowest), Some(highest)) = (&lowest, &highest)
        && (lowest > highest || lowest == highest && is_open)
    {
        draft.problem(fields.path, "the least value is greater than the greatest: no value can be both");
    }
    add_bounds(bounds, column, draft);
    if let Some(step) = fields.number("multipleOf", draft) {
        if Decimal::parse(&step).is_some_and(|step| Some(step) > Decimal::parse("0")) {
            add(column, "multipleOf", ValueTest::MultipleOf(step), draft);
        } else {
            draft.problem(fields.at("multipleOf"), "must be greater than 0");
        }
    }
    if let Some(format) = fields.text("format", draft) {
        of_width(fields, format, column, draft);
    }
}

/// The whole numbers that so many bits hold.
fn of_width(fields: Fields<'_>, format: &str, column: &Column, draft: &mut Draft) {
    let (low, high) = match format {
        "i8" => (i128::from(i8::MIN), i128::from(i8::MAX)),
        "i16" => (i128::from(i16::MIN), i128::from(i16::MAX)),
        "i32" => (i128::from(i32::MIN), i128::from(i32::MAX)),
        "i64" => (i128::from(i64::MIN), i128::from(i64::MAX)),
        "u8" => (0, i128::from(u8::MAX)),
        "u16" => (0, i128::from(u16::MAX)),
        "u32" => (0, i128::from(u32::MAX)),
        "u64" => (0, i128::from(u64::MAX)),
        _ => {
            draft.not_checked(&fields.at("format"), "how many bits a number takes is not checked for this format");
            return;
        }
    };
    add(column, "format.minimum", ValueTest::Minimum(low.to_string()), draft);
    add(column, "format.maximum", ValueTest::Maximum(high.to_string()), draft);
}

fn of_time(fields: Fields<'_>, column: &Column, draft: &mut Draft) {
    let is_time = column.logical_type == Some(LogicalType::Time);
    let read = |fields: Fields<'_>, name: &str, draft: &mut Draft| {
        let text = fields.text(name, draft)?;
        let digits = |range: std::ops::Range<usize>| {
            text.get(range).is_some_and(|part| part.bytes().all(|byte| byte.is_ascii_digit()))
        };
        let is_iso = if is_time {
            digits(0..2) && text.get(2..3) == Some(":") && digits(3..5)
        } else {
            digits(0..4) && text.get(4..5) == Some("-") && digits(5..7) && text.get(7..8) == Some("-") && digits(8..10)
        };
        if !is_iso {
            draft.not_checked(
                &fields.at(name),
                format!("\"{text}\" is not written as ISO 8601 has it: 2026-01-31, 2026-01-31T08:30:00Z, 08:30:00"),
            );
        }
        is_iso.then(|| text.to_owned())
    };
    let bounds = bounds(fields, read, draft);
    let [low, above, high, below] = &bounds;
    let lowest = [low, above].into_iter().flatten().max();
    let highest = [high, below].into_iter().flatten().min();
    // Of texts of one length the order is that of time.
    if let (Some(lowest), Some(highest)) = (lowest, highest)
        && lowest.len() == highest.len()
        && lowest > highest
    {
        draft.problem(fields.path, "the earliest value is later than the latest: no value can be both");
    }
    add_bounds(bounds, column, draft);
}

/// `minimum`, `exclusiveMinimum`, `maximum` and `exclusiveMaximum`, in this order.
type Bounds = [Option<String>; 4];

fn bounds(
    fields: Fields<'_>,
    read: impl Fn(Fields<'_>, &str, &mut Draft) -> Option<String>,
    draft: &mut Draft,
) -> Bounds {
    ["minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"].map(|name| read(fields, name, draft))
}

fn add_bounds([low, above, high, below]: Bounds, column: &Column, draft: &mut Draft) {
    let tests: [(&str, Option<String>, OfBound); 4] = [
        ("minimum", low, ValueTest::Minimum),
        ("exclusiveMinimum", above, ValueTest::ExclusiveMinimum),
        ("maximum", high, ValueTest::Maximum),
        ("exclusiveMaximum", below, ValueTest::ExclusiveMaximum),
    ];
    for (name, bound, test) in tests {
        if let Some(bound) = bound {
            add(column, name, test(bound), draft);
        }
    }
}

fn of_structure(fields: Fields<'_>, column: &Column, draft: &mut Draft) {
    if column.logical_type == Some(LogicalType::Array) {
        counts(fields, column, ("minItems", "maxItems"), (ValueTest::MinItems, ValueTest::MaxItems), draft);
        if fields.flag("uniqueItems", draft) {
            add(column, "uniqueItems", ValueTest::UniqueItems, draft);
        }
        return;
    }
    let names = ("minProperties", "maxProperties");
    counts(fields, column, names, (ValueTest::MinProperties, ValueTest::MaxProperties), draft);
    if fields.get("required").is_some() {
        let names: Option<Vec<String>> =
            fields.list("required", draft).iter().map(|name| name.as_str().map(str::to_owned)).collect();
        match names {
            Some(names) if !names.is_empty() => add(column, "required", ValueTest::RequiredProperties(names), draft),
            _ => draft.problem(fields.at("required"), "must be a list of names"),
        }
    }
}

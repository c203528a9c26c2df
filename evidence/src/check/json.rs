//! JSON lines: an object on each line.

use seatrial_core::contract::check::LogicalType;
use serde_json::{Map, Value};

use super::files::Source;
use super::tallies::{Refused, Tallies};
use super::value::Cell;

/// Counts the rows of a block, which has whole lines; how many there are. Adds the columns that are there to `seen`.
pub(super) fn rows(
    bytes: &[u8],
    part: u32,
    columns: &[Source],
    seen: &mut [bool],
    tallies: &mut Tallies<'_>,
) -> Result<u32, Refused> {
    let mut row = 0_u32;
    for line in bytes.split(|byte| *byte == b'\n') {
        if line.trim_ascii().is_empty() {
            continue;
        }
        let object: Map<String, Value> = serde_json::from_slice(line).map_err(|error| {
            let what = match error.classify() {
                serde_json::error::Category::Data => "is no JSON object".to_owned(),
                // The texts of errors do not repeat what stands there.
                _ => format!("is no JSON: {error}"),
            };
            (row, what)
        })?;
        let plan = tallies.plan;
        let cells =
            plan.columns.iter().zip(columns).zip(seen.iter_mut()).map(|((column, source), seen)| match source {
                Source::Path(value) => Some(value.as_deref().map_or(Cell::Null, Cell::Raw)),
                Source::Absent | Source::Field(_) => {
                    let member = object.get(&column.name);
                    *seen |= member.is_some();
                    Some(member.map_or(Cell::Null, |value| cell(value, column.reader.kind)))
                }
            });
        tallies.row((part, row), cells);
        row += 1;
    }
    Ok(row)
}

fn cell(value: &Value, kind: Option<LogicalType>) -> Cell<'_> {
    match value {
        Value::Null => Cell::Null,
        Value::Bool(truth) => Cell::Truth(*truth),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(whole), _) => Cell::Whole(i128::from(whole)),
            (None, Some(whole)) => Cell::Whole(i128::from(whole)),
            (None, None) => number.as_f64().map_or(Cell::Nested(LogicalType::Number), Cell::Float),
        },
        // JSON has no other way to write them.
        Value::String(text) if matches!(kind, Some(LogicalType::Date | LogicalType::Time | LogicalType::Timestamp)) => {
            Cell::Raw(text)
        }
        Value::String(text) => Cell::Text(text),
        Value::Array(items) => Cell::Array(items),
        Value::Object(members) => Cell::Object(members),
    }
}

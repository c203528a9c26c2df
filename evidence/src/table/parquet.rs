//! Parquet: its columns that are no lists or structures.

use std::fs::File;
use std::path::Path;

use parquet::basic::{ConvertedType, LogicalType, Type};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, RowGroupReader};
use parquet::file::serialized_reader::SerializedFileReader;
use parquet::schema::types::ColumnDescriptor;

use super::{Cell, MAX_WANTED, Visit, next_row};
use crate::problem::{Problem, quoted, reading};

/// Rows that are decoded at once.
const BATCH: usize = 4096;

/// The names of the columns.
pub(super) fn columns(name: &str, path: &Path) -> Result<Vec<String>, Problem> {
    let reader = open(name, path)?;
    let schema = reader.metadata().file_metadata().schema_descr();
    Ok(schema.root_schema().get_fields().iter().map(|field| field.name().to_owned()).collect())
}

/// Shows each row.
pub(super) fn each(name: &str, path: &Path, wanted: &[&str], visit: &mut Visit<'_>) -> Result<(), Problem> {
    let reader = open(name, path)?;
    let schema = reader.metadata().file_metadata().schema_descr();
    let places = wanted
        .iter()
        .take(MAX_WANTED)
        .map(|column| {
            let leaf = schema.columns().iter().position(|leaf| leaf.path().parts() == [(*column).to_owned()]);
            let place = leaf.ok_or_else(|| {
                Problem::Unusable(format!("column {} of {name} is a list or a structure", quoted(column)))
            })?;
            let descriptor = schema.column(place);
            supported(&descriptor).map(|()| place).map_err(|kind| {
                let column = quoted(column);
                Problem::Unusable(format!(
                    "column {column} of {name} is of type {kind}: write it as text, integer, float, double or boolean"
                ))
            })
        })
        .collect::<Result<Vec<_>, _>>()?;
    let damaged = |error| damaged(name, error);
    let mut row = 0_u32;
    for number in 0..reader.num_row_groups() {
        let group = reader.get_row_group(number).map_err(damaged)?;
        let mut readers =
            places.iter().map(|place| Column::new(&*group, *place).map_err(damaged)).collect::<Result<Vec<_>, _>>()?;
        loop {
            let mut rows = None;
            for column in &mut readers {
                column.read().map_err(damaged)?;
                let length = column.values.len();
                if *rows.get_or_insert(length) != length {
                    return Err(Problem::Unusable(format!("{name} are damaged: columns of unequal length")));
                }
            }
            let rows = rows.unwrap_or_default();
            if rows == 0 {
                break;
            }
            for index in 0..rows {
                row = next_row(name, row)?;
                let mut cells = [Cell::Missing; MAX_WANTED];
                for ((cell, column), title) in cells.iter_mut().zip(&readers).zip(wanted) {
                    *cell = column.values.get(index).map_or(Some(Cell::Missing), Value::cell).ok_or_else(|| {
                        Problem::Unusable(format!("column {} in row {row} of {name} is not UTF-8", quoted(title)))
                    })?;
                }
                visit(row, cells.get(..readers.len()).unwrap_or_default())?;
            }
        }
    }
    Ok(())
}

fn open(name: &str, path: &Path) -> Result<SerializedFileReader<File>, Problem> {
    let file = File::open(path).map_err(|error| reading(name, &error))?;
    SerializedFileReader::new(file).map_err(|error| damaged(name, error))
}

fn damaged(name: &str, error: ParquetError) -> Problem {
    if let ParquetError::External(source) = &error
        && let Some(error) = source.downcast_ref::<std::io::Error>()
    {
        return reading(name, error);
    }
    Problem::Unusable(format!("{name} are damaged, or no Parquet that can be read: {error}; write the file again"))
}

/// Refuses the types that are none of text, integer, float, double and boolean, by their names.
fn supported(column: &ColumnDescriptor) -> Result<(), String> {
    let plain = match column.logical_type_ref() {
        Some(LogicalType::String | LogicalType::Enum | LogicalType::Integer(_) | LogicalType::Unknown) => true,
        Some(_) => false,
        None => !matches!(
            column.converted_type(),
            ConvertedType::DECIMAL
                | ConvertedType::DATE
                | ConvertedType::TIME_MILLIS
                | ConvertedType::TIME_MICROS
                | ConvertedType::TIMESTAMP_MILLIS
                | ConvertedType::TIMESTAMP_MICROS
                | ConvertedType::INTERVAL
                | ConvertedType::JSON
                | ConvertedType::BSON
        ),
    };
    let physical = column.physical_type();
    if plain && column.max_rep_level() == 0 && !matches!(physical, Type::INT96 | Type::FIXED_LEN_BYTE_ARRAY) {
        Ok(())
    } else {
        Err(column.logical_type_ref().map_or_else(|| physical.to_string(), |logical| format!("{logical:?}")))
    }
}

/// A decoded value.
enum Value {
    Missing,
    Text(ByteArray),
    Whole(i128),
    Number(f64),
    Truth(bool),
}

impl Value {
    /// The value; none where a text is not UTF-8.
    fn cell(&self) -> Option<Cell<'_>> {
        Some(match self {
            Self::Missing => Cell::Missing,
            Self::Text(bytes) => Cell::Text(std::str::from_utf8(bytes.data()).ok()?),
            Self::Whole(number) => Cell::Whole(*number),
            Self::Number(number) => Cell::Number(*number),
            Self::Truth(truth) => Cell::Truth(*truth),
        })
    }
}

/// A column of a row group, one batch at a time.
struct Column {
    reader: ColumnReader,
    optional: i16,
    unsigned: bool,
    values: Vec<Value>,
}

impl Column {
    fn new(group: &dyn RowGroupReader, place: usize) -> Result<Self, ParquetError> {
        let descriptor = group.metadata().schema_descr().column(place);
        let unsigned = match descriptor.logical_type_ref() {
            Some(LogicalType::Integer(kind)) => !kind.is_signed,
            _ => matches!(
                descriptor.converted_type(),
                ConvertedType::UINT_8 | ConvertedType::UINT_16 | ConvertedType::UINT_32 | ConvertedType::UINT_64
            ),
        };
        let optional = descriptor.max_def_level();
        Ok(Self { reader: group.get_column_reader(place)?, optional, unsigned, values: Vec::with_capacity(BATCH) })
    }

    fn read(&mut self) -> Result<(), ParquetError> {
        let (values, optional, unsigned) = (&mut self.values, self.optional, self.unsigned);
        values.clear();
        match &mut self.reader {
            ColumnReader::BoolColumnReader(reader) => batch(reader, optional, values, Value::Truth),
            ColumnReader::Int32ColumnReader(reader) => batch(reader, optional, values, |number| {
                Value::Whole(if unsigned { i128::from(number.cast_unsigned()) } else { i128::from(number) })
            }),
            ColumnReader::Int64ColumnReader(reader) => batch(reader, optional, values, |number| {
                Value::Whole(if unsigned { i128::from(number.cast_unsigned()) } else { i128::from(number) })
            }),
            ColumnReader::FloatColumnReader(reader) => {
                batch(reader, optional, values, |number| Value::Number(f64::from(number)))
            }
            ColumnReader::DoubleColumnReader(reader) => batch(reader, optional, values, Value::Number),
            ColumnReader::ByteArrayColumnReader(reader) => batch(reader, optional, values, Value::Text),
            ColumnReader::Int96ColumnReader(_) | ColumnReader::FixedLenByteArrayColumnReader(_) => {
                Err(ParquetError::NYI("this type of column".to_owned()))
            }
        }
    }
}

/// Reads a batch; nulls, for which the file has definition levels alone, get their places.
fn batch<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    optional: i16,
    into: &mut Vec<Value>,
    value: impl Fn(T::T) -> Value,
) -> Result<(), ParquetError> {
    let (mut levels, mut decoded) = (Vec::new(), Vec::new());
    let mut total = 0;
    while total < BATCH {
        let levels = (optional > 0).then_some(&mut levels);
        let (records, ..) = reader.read_records(BATCH - total, levels, None, &mut decoded)?;
        if records == 0 {
            break;
        }
        total += records;
    }
    if optional == 0 {
        into.extend(decoded.into_iter().map(value));
        return Ok(());
    }
    let mut decoded = decoded.into_iter();
    for level in levels {
        let there = if level == optional { decoded.next() } else { None };
        into.push(there.map_or(Value::Missing, &value));
    }
    Ok(())
}

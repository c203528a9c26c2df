//! Parquet: its columns as they are stored, and what type they have.

use std::fs::File;
use std::path::Path;

use parquet::basic::{ConvertedType, LogicalType as Stored, TimeUnit, Type};
use parquet::column::reader::{ColumnReader, ColumnReaderImpl};
use parquet::data_type::{ByteArray, DataType, FixedLenByteArray, Int96};
use parquet::errors::ParquetError;
use parquet::file::reader::{FileReader, RowGroupReader};
use parquet::file::serialized_reader::SerializedFileReader;
use parquet::schema::types::{ColumnDescriptor, Type as SchemaType};
use seatrial_core::contract::check::LogicalType;

use super::files::{Source, Unreadable};
use super::tallies::{Refused, Tallies};
use super::value::Cell;

/// Rows that are decoded at once.
const BATCH: usize = 1024;
const DAY: i128 = 86_400_000_000_000;
/// The Julian day of 1970-01-01.
const EPOCH: i128 = 2_440_588;

/// A file whose schema was read.
pub(super) struct Table {
    reader: SerializedFileReader<File>,
}

impl Table {
    pub(super) fn open(path: &Path) -> Result<Self, Unreadable> {
        let file = File::open(path).map_err(|error| Unreadable::of(&error))?;
        let reader = SerializedFileReader::new(file).map_err(|error| damaged(&error))?;
        Ok(Self { reader })
    }

    /// The names of the columns, and whether each is a list or a structure.
    pub(super) fn columns(&self) -> Vec<(String, bool)> {
        let schema = self.reader.metadata().file_metadata().schema_descr();
        let fields = schema.root_schema().get_fields();
        fields.iter().map(|field| (field.name().to_owned(), !field.is_primitive() || is_repeated(field))).collect()
    }

    pub(super) fn groups(&self) -> usize {
        self.reader.num_row_groups()
    }

    /// Counts the rows of a row group; how many there are.
    pub(super) fn rows(
        &self,
        group: usize,
        part: u32,
        sources: &[Source],
        tallies: &mut Tallies<'_>,
    ) -> Result<u32, Refused> {
        let refused = |row: u32| move |error: ParquetError| (row, damaged_what(&error));
        let group = self.reader.get_row_group(group).map_err(refused(0))?;
        let declared = u32::try_from(group.metadata().num_rows())
            .map_err(|_| (0, "is damaged: a row group has no sensible number of rows; write it again".to_owned()))?;
        let mut columns = sources
            .iter()
            .map(|source| Column::new(&*group, source))
            .collect::<Result<Vec<_>, _>>()
            .map_err(refused(0))?;
        let mut row = 0_u32;
        while row < declared {
            let wanted = BATCH.min((declared - row) as usize);
            for column in &mut columns {
                let read = column.read(wanted).map_err(refused(row))?;
                if read != wanted {
                    return Err((row, "is damaged: its columns are of unequal length; write it again".to_owned()));
                }
            }
            for index in 0..wanted {
                // A text that is not UTF-8 is a fault of the file, not of a rule.
                if columns.iter().any(|column| column.is_garbled(index)) {
                    return Err((row, "has a text that is not UTF-8".to_owned()));
                }
                tallies.row((part, row), columns.iter().map(|column| column.cell(index)));
                row += 1;
            }
        }
        Ok(declared)
    }
}

fn is_repeated(field: &SchemaType) -> bool {
    field.get_basic_info().has_repetition()
        && field.get_basic_info().repetition() == parquet::basic::Repetition::REPEATED
}

fn damaged_what(error: &ParquetError) -> String {
    format!("is damaged, or no Parquet that can be read: {error}; write it again")
}

fn damaged(error: &ParquetError) -> Unreadable {
    if let ParquetError::External(source) = error
        && let Some(error) = source.downcast_ref::<std::io::Error>()
    {
        return Unreadable::of(error);
    }
    Unreadable::Broken(damaged_what(error))
}

/// A decoded value.
enum Value {
    Null,
    /// Where it lies among the texts of its batch.
    Text(usize, usize),
    /// A text that is not UTF-8.
    Garbled,
    /// Bytes that are no text.
    Bytes,
    Whole(i128),
    Float(f64),
    Decimal(i128, u32),
    Truth(bool),
    Moment(LogicalType, i128),
}

/// How a column's stored numbers and bytes are meant.
#[derive(Clone, Copy)]
enum Meaning {
    Plain,
    Unsigned,
    Decimal(u32),
    Date,
    /// Nanoseconds of one unit.
    Time(i128),
    Timestamp(i128),
    Bytes,
}

enum Column {
    Absent,
    Path(Option<String>),
    Nested(LogicalType),
    Read {
        reader: Box<ColumnReader>,
        optional: i16,
        meaning: Meaning,
        values: Vec<Value>,
        /// The texts of the batch.
        texts: String,
        /// Whether one of them is not UTF-8.
        garbled: bool,
    },
}

impl Column {
    fn new(group: &dyn RowGroupReader, source: &Source) -> Result<Self, ParquetError> {
        let field = match source {
            Source::Absent => return Ok(Self::Absent),
            Source::Path(value) => return Ok(Self::Path(value.clone())),
            Source::Field(field) => *field,
        };
        let schema = group.metadata().schema_descr();
        let Some(declared) = schema.root_schema().get_fields().get(field) else { return Ok(Self::Absent) };
        let leaf = schema.columns().iter().position(|leaf| leaf.path().parts() == [declared.name().to_owned()]);
        let Some(leaf) = leaf.filter(|_| !is_repeated(declared)) else {
            let is_list = is_repeated(declared)
                || matches!(declared.get_basic_info().converted_type(), ConvertedType::LIST)
                || matches!(declared.get_basic_info().logical_type_ref(), Some(Stored::List));
            return Ok(Self::Nested(if is_list { LogicalType::Array } else { LogicalType::Object }));
        };
        let descriptor = schema.column(leaf);
        Ok(Self::Read {
            reader: Box::new(group.get_column_reader(leaf)?),
            optional: descriptor.max_def_level(),
            meaning: meaning(&descriptor),
            values: Vec::with_capacity(BATCH),
            texts: String::new(),
            garbled: false,
        })
    }

    /// Reads so many rows; how many came.
    fn read(&mut self, wanted: usize) -> Result<usize, ParquetError> {
        let Self::Read { reader, optional, meaning, values, texts, garbled } = self else { return Ok(wanted) };
        values.clear();
        texts.clear();
        let (optional, meaning) = (*optional, *meaning);
        match reader.as_mut() {
            ColumnReader::BoolColumnReader(reader) => batch(reader, wanted, optional, values, Value::Truth),
            ColumnReader::Int32ColumnReader(reader) => batch(reader, wanted, optional, values, |number| {
                let plain = i128::from(number);
                whole(meaning, plain, i128::from(number.cast_unsigned()))
            }),
            ColumnReader::Int64ColumnReader(reader) => batch(reader, wanted, optional, values, |number| {
                whole(meaning, i128::from(number), i128::from(number.cast_unsigned()))
            }),
            ColumnReader::FloatColumnReader(reader) => batch(reader, wanted, optional, values, |number| {
                // The decimal that the shorter number is written as, rather than the digits of its binary fraction.
                Value::Float(if number.is_finite() {
                    number.to_string().parse().unwrap_or(f64::from(number))
                } else {
                    f64::from(number)
                })
            }),
            ColumnReader::DoubleColumnReader(reader) => batch(reader, wanted, optional, values, Value::Float),
            ColumnReader::ByteArrayColumnReader(reader) => {
                batch(reader, wanted, optional, values, |bytes: ByteArray| match meaning {
                    Meaning::Decimal(scale) => decimal(bytes.data(), scale),
                    Meaning::Bytes => Value::Bytes,
                    _ => match std::str::from_utf8(bytes.data()) {
                        Ok(text) => {
                            let start = texts.len();
                            texts.push_str(text);
                            Value::Text(start, texts.len())
                        }
                        Err(_) => {
                            *garbled = true;
                            Value::Garbled
                        }
                    },
                })
            }
            ColumnReader::FixedLenByteArrayColumnReader(reader) => {
                batch(reader, wanted, optional, values, |bytes: FixedLenByteArray| match meaning {
                    Meaning::Decimal(scale) => decimal(bytes.data(), scale),
                    _ => Value::Bytes,
                })
            }
            ColumnReader::Int96ColumnReader(reader) => batch(reader, wanted, optional, values, |moment: Int96| {
                let [low, high, day] = moment.data() else { return Value::Bytes };
                let of_day = i128::from(*low) | i128::from(*high) << 32;
                Value::Moment(LogicalType::Timestamp, (i128::from(*day) - EPOCH) * DAY + of_day)
            }),
        }?;
        Ok(values.len())
    }

    fn is_garbled(&self, index: usize) -> bool {
        let Self::Read { values, garbled: true, .. } = self else { return false };
        matches!(values.get(index), Some(Value::Garbled))
    }

    fn cell(&self, index: usize) -> Option<Cell<'_>> {
        match self {
            Self::Absent => None,
            Self::Path(value) => Some(value.as_deref().map_or(Cell::Null, Cell::Raw)),
            Self::Nested(kind) => Some(Cell::Nested(*kind)),
            Self::Read { values, texts, .. } => Some(match values.get(index)? {
                Value::Null => Cell::Null,
                Value::Text(start, end) => Cell::Text(texts.get(*start..*end).unwrap_or_default()),
                Value::Bytes | Value::Garbled => Cell::Nested(LogicalType::String),
                Value::Whole(number) => Cell::Whole(*number),
                Value::Float(number) => Cell::Float(*number),
                Value::Decimal(unscaled, scale) => Cell::Decimal(*unscaled, *scale),
                Value::Truth(truth) => Cell::Truth(*truth),
                Value::Moment(kind, nanoseconds) => Cell::Moment(*kind, *nanoseconds),
            }),
        }
    }
}

fn meaning(column: &ColumnDescriptor) -> Meaning {
    let of_unit = |unit: &TimeUnit| match unit {
        TimeUnit::MILLIS => 1_000_000,
        TimeUnit::MICROS => 1000,
        TimeUnit::NANOS => 1,
    };
    let scale = || u32::try_from(column.type_scale()).unwrap_or_default();
    match column.logical_type_ref() {
        Some(Stored::Date) => Meaning::Date,
        Some(Stored::Decimal(_)) => Meaning::Decimal(scale()),
        Some(Stored::Integer(kind)) if !kind.is_signed => Meaning::Unsigned,
        Some(Stored::Time(time)) => Meaning::Time(of_unit(&time.unit)),
        Some(Stored::Timestamp(timestamp)) => Meaning::Timestamp(of_unit(&timestamp.unit)),
        Some(_) => Meaning::Plain,
        None => match column.converted_type() {
            ConvertedType::DATE => Meaning::Date,
            ConvertedType::DECIMAL => Meaning::Decimal(scale()),
            ConvertedType::TIME_MILLIS => Meaning::Time(1_000_000),
            ConvertedType::TIME_MICROS => Meaning::Time(1000),
            ConvertedType::TIMESTAMP_MILLIS => Meaning::Timestamp(1_000_000),
            ConvertedType::TIMESTAMP_MICROS => Meaning::Timestamp(1000),
            ConvertedType::UINT_8 | ConvertedType::UINT_16 | ConvertedType::UINT_32 | ConvertedType::UINT_64 => {
                Meaning::Unsigned
            }
            // Writers older than the annotation leave texts without one: bytes that are UTF-8 are taken for text.
            _ if column.physical_type() == Type::FIXED_LEN_BYTE_ARRAY => Meaning::Bytes,
            _ => Meaning::Plain,
        },
    }
}

const fn whole(meaning: Meaning, number: i128, unsigned: i128) -> Value {
    match meaning {
        Meaning::Plain | Meaning::Bytes => Value::Whole(number),
        Meaning::Unsigned => Value::Whole(unsigned),
        Meaning::Decimal(scale) => Value::Decimal(number, scale),
        Meaning::Date => Value::Moment(LogicalType::Date, number * DAY),
        Meaning::Time(unit) => Value::Moment(LogicalType::Time, number * unit),
        Meaning::Timestamp(unit) => Value::Moment(LogicalType::Timestamp, number * unit),
    }
}

/// A number of two's complement, the first byte first.
fn decimal(bytes: &[u8], scale: u32) -> Value {
    if bytes.len() > 16 {
        return Value::Bytes;
    }
    let negative = bytes.first().is_some_and(|first| *first >= 0x80);
    let start = if negative { -1_i128 } else { 0 };
    Value::Decimal(bytes.iter().fold(start, |number, byte| number << 8 | i128::from(*byte)), scale)
}

/// Reads rows; nulls, for which the file has definition levels alone, get their places.
fn batch<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    wanted: usize,
    optional: i16,
    into: &mut Vec<Value>,
    mut value: impl FnMut(T::T) -> Value,
) -> Result<(), ParquetError> {
    let (mut levels, mut decoded) = (Vec::new(), Vec::new());
    let mut total = 0;
    while total < wanted {
        let levels = (optional > 0).then_some(&mut levels);
        let (records, ..) = reader.read_records(wanted - total, levels, None, &mut decoded)?;
        if records == 0 {
            break;
        }
        total += records;
    }
    if optional == 0 {
        into.extend(decoded.into_iter().map(&mut value));
        return Ok(());
    }
    let mut decoded = decoded.into_iter();
    for level in levels {
        let there = if level == optional { decoded.next() } else { None };
        into.push(there.map_or(Value::Null, &mut value));
    }
    Ok(())
}

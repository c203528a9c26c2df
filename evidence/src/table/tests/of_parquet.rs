//! Reading tables of Parquet.

use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, FloatType, Int32Type, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use proptest::prelude::*;

use super::{read, unusable};
use crate::problem::Problem;

/// Writes the next column of a row group; nulls by definition levels of 0.
fn column<T: parquet::data_type::DataType>(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    values: &[T::T],
    levels: Option<&[i16]>,
) {
    let mut writer = group.next_column().unwrap().unwrap();
    writer.typed::<T>().write_batch(values, levels, None).unwrap();
    writer.close().unwrap();
}

/// A file of row groups, each filled by the same function.
fn file(
    schema: &str,
    compression: Compression,
    groups: usize,
    fill: impl Fn(&mut SerializedRowGroupWriter<'_, Vec<u8>>),
) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(&format!("message table {{ {schema} }}")).unwrap());
    let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, properties).unwrap();
    for _ in 0..groups {
        let mut group = writer.next_row_group().unwrap();
        fill(&mut group);
        group.close().unwrap();
    }
    writer.into_inner().unwrap()
}

fn texts(texts: &[&str]) -> Vec<ByteArray> {
    texts.iter().map(|text| ByteArray::from(*text)).collect()
}

/// Two row groups of a text and an optional number.
fn plain(compression: Compression) -> Vec<u8> {
    file("required binary a (STRING); optional double b;", compression, 2, |group| {
        column::<ByteArrayType>(group, &texts(&["x", "ü", "z"]), None);
        column::<DoubleType>(group, &[0.5, 2.0], Some(&[1, 0, 1]));
    })
}

fn compressions() -> [Compression; 5] {
    let zstd = Compression::ZSTD(ZstdLevel::default());
    let gzip = Compression::GZIP(parquet::basic::GzipLevel::default());
    [Compression::UNCOMPRESSED, Compression::SNAPPY, gzip, zstd, Compression::LZ4_RAW]
}

#[test]
fn columns_are_read_whatever_compresses_them() {
    for compression in compressions() {
        let rows = read(&plain(compression)).unwrap();
        let group = [["x", "Number(0.5)"], ["ü", "Missing"], ["z", "Number(2.0)"]];
        assert_eq!(rows, [group, group].concat(), "{compression}");
    }
}

#[test]
fn every_simple_type_is_read() {
    let content = file("optional int32 b; required int64 c; required boolean a;", Compression::SNAPPY, 1, |group| {
        column::<Int32Type>(group, &[-7], Some(&[1]));
        column::<Int64Type>(group, &[1], None);
        column::<BoolType>(group, &[true], None);
    });
    assert_eq!(read(&content).unwrap(), [["Truth(true)", "Whole(-7)"]]);
    let schema = "required int64 a (INTEGER(64, false)); required float b;";
    let content = file(schema, Compression::SNAPPY, 1, |group| {
        column::<Int64Type>(group, &[-1], None);
        column::<FloatType>(group, &[0.1], None);
    });
    assert_eq!(read(&content).unwrap(), [["Whole(18446744073709551615)", "Number(0.10000000149011612)"]]);
}

#[test]
fn batches_and_pages_keep_rows_together() {
    let numbers: Vec<i64> = (0..10_000).collect();
    let levels: Vec<i16> = (0..10_000).map(|row| i16::from(row % 3 != 0)).collect();
    let present: Vec<i64> = (0..10_000).filter(|row| row % 3 != 0).collect();
    let content = file("required int64 a; optional int64 b;", Compression::SNAPPY, 3, |group| {
        column::<Int64Type>(group, &numbers, None);
        column::<Int64Type>(group, &present, Some(&levels));
    });
    let rows = read(&content).unwrap();
    assert_eq!(rows.len(), 30_000);
    for (number, row) in rows.iter().enumerate() {
        let whole = format!("Whole({})", number % 10_000);
        let second = if number % 10_000 % 3 == 0 { "Missing" } else { &whole };
        assert_eq!(row.as_slice(), [whole.as_str(), second]);
    }
}

#[test]
fn other_types_are_refused_by_name() {
    for (schema, said) in [
        ("required int64 a (TIMESTAMP(MICROS, true)); required double b;", "type Timestamp"),
        ("required int32 a (DATE); required double b;", "type Date"),
        ("required int32 a (DECIMAL(9, 2)); required double b;", "type Decimal"),
        ("required group a { required double x; } required double b;", "a list or a structure"),
        ("required double c; required double b;", "no column a; their columns are \"c\", \"b\""),
    ] {
        let why = unusable(&file(schema, Compression::SNAPPY, 0, |_| ()));
        assert!(why.contains(said), "{schema}: {why}");
    }
    let content = file("required binary a; required double b;", Compression::SNAPPY, 1, |group| {
        column::<ByteArrayType>(group, &[ByteArray::from(vec![0xff])], None);
        column::<DoubleType>(group, &[0.5], None);
    });
    assert!(unusable(&content).contains("column \"a\" in row 1 of the table is not UTF-8"));
}

#[test]
fn truncated_parquet_is_damaged() {
    let whole = plain(Compression::SNAPPY);
    for length in [4, 8, 20, whole.len() / 2, whole.len() - 1] {
        let why = unusable(&whole[..length]);
        assert!(why.contains("damaged") && why.contains("write the file again"), "{length}: {why}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    // What a decoder does about a bit that changed is its own: read something, or refuse. The child process is for the
    // rest.
    #[test]
    fn garbled_parquet_is_never_called_a_failure(
        compression in prop::sample::select(compressions().to_vec()),
        place in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let mut content = plain(compression);
        let place = place.index(content.len());
        content[place] ^= 1_u8 << bit;
        if let Ok(Err(Problem::Failed(why))) = std::panic::catch_unwind(|| read(&content)) {
            prop_assert!(false, "{why}");
        }
    }
}

//! Reading tables: formats, compression, and errors with their row.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::{Cell, Table};
use crate::problem::Problem;

/// The values of the columns `a` and `b`, by row.
fn read(content: &[u8]) -> Result<Vec<Vec<String>>, Problem> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), content).unwrap();
    let table = Table::open("the table", file.path())?;
    let mut rows = Vec::new();
    table.each(&["a", "b"], &mut |_, cells| {
        rows.push(
            cells
                .iter()
                .map(|cell| match cell {
                    Cell::Text(text) => (*text).to_owned(),
                    other => format!("{other:?}"),
                })
                .collect(),
        );
        Ok(())
    })?;
    Ok(rows)
}

fn unusable(content: &[u8]) -> String {
    match read(content) {
        Err(Problem::Unusable(why)) => why,
        other => panic!("{}: {other:?}", String::from_utf8_lossy(content)),
    }
}

fn compressed(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn csv_is_read_by_the_standard() {
    let two = vec![vec!["1".to_owned(), "2".to_owned()]];
    for content in [
        "a,b\n1,2\n",
        "a,b\r\n1,2\r\n",
        "a,b\n1,2",
        "\u{feff}a,b\n1,2\n",
        "\u{feff}\"a\",\"b\"\n\"1\",\"2\"\n",
        "b,c,a\n2,3,1\n\n",
        "a,b\n\r\n1,\"2\"\r\n",
    ] {
        assert_eq!(read(content.as_bytes()), Ok(two.clone()), "{content:?}");
        assert_eq!(read(&compressed(content.as_bytes())), Ok(two.clone()), "{content:?}");
    }
    let rows = read("a,b\n\"x,\"\"y\"\"\n\",ü\n\"\",\n".as_bytes()).unwrap();
    assert_eq!(rows, [["x,\"y\"\n", "ü"], ["", ""]]);
    // Members of gzip that follow each other are one content.
    let parts = [compressed(b"a,b\n1,"), compressed(b"2\n")].concat();
    assert_eq!(read(&parts), Ok(two));
    // Records that lie across the ends of buffers.
    let many = "a,b\n".to_owned() + &"\"1\r\"\"\",22\r\n".repeat(200_000);
    let rows = read(many.as_bytes()).unwrap();
    assert!(rows.len() == 200_000 && rows.iter().all(|row| *row == ["1\r\"", "22"]));
}

#[test]
fn broken_csv_is_refused_with_its_place() {
    for (content, said) in [
        ("", "empty"),
        ("\n\n", "neither header nor rows"),
        ("a,c\n1,2\n", "no column b; their columns are \"a\", \"c\""),
        ("a;b\n1;2\n", "separate the fields by commas"),
        ("a,b,a\n1,2,3\n", "the column \"a\" 2 times"),
        ("a,b\n1,2\n1\n", "row 2 of the table has 1 fields, the header 2"),
        ("a,b\n1,2,3\n", "row 1 of the table has 3 fields"),
        ("a,b\n1,\"2\n", "row 1 of the table opens a quote"),
        ("a,b\n1,\"2\"x\n", "text behind a closing quote"),
        ("a,b\n1,x\"2\"\n", "a quote within a field"),
        ("\"a,b\n", "the header of the table opens a quote"),
    ] {
        let why = unusable(content.as_bytes());
        assert!(why.contains(said), "{content:?}: {why}");
    }
    assert!(unusable(b"a,b\n1,\xff\n").contains("column \"b\" in row 1"));
    assert!(unusable(b"a,\xff\n1,2\n").contains("header"));
    assert!(unusable(b"\xff\xfea\0,\0b\0\n\0").contains("UTF-16"));
}

#[test]
fn what_is_without_end_is_refused() {
    let field = format!("a,b\n1,{}\n", "x".repeat((1 << 20) + 1));
    assert!(unusable(field.as_bytes()).contains("more than 1 MiB"));
    assert!(unusable(&compressed(field.as_bytes())).contains("more than 1 MiB"));
    let row = format!("a,b\n{}\n", format!("{},", "x".repeat(1 << 19)).repeat(40));
    assert!(unusable(row.as_bytes()).contains("longer than 16 MiB"));
    let fields = format!("a,b\n{}\n", ",".repeat(600_000));
    assert!(unusable(fields.as_bytes()).contains("more than 10000 fields"));
}

#[test]
fn a_truncated_or_garbled_gzip_is_damaged() {
    let whole = compressed("a,b\n1,2\n".repeat(1000).as_bytes());
    for length in [3, 12, whole.len() / 2, whole.len() - 1] {
        assert!(unusable(&whole[..length]).contains("damaged"), "{length}");
    }
    let mut garbled = whole;
    let end = garbled.len() - 6;
    garbled[end] ^= 1;
    assert!(unusable(&garbled).contains("damaged"));
}

/// A field in quotes.
fn written(field: &str) -> String {
    format!("\"{}\"", field.replace('"', "\"\""))
}

proptest! {
    #[test]
    fn what_is_quoted_is_read_as_it_was(rows in prop::collection::vec((any::<String>(), any::<String>()), 0..8)) {
        let mut table = "a,b\r\n".to_owned();
        for (one, other) in &rows {
            table.push_str(&format!("{},{}\r\n", written(one), written(other)));
        }
        let expected: Vec<_> = rows.into_iter().map(|(one, other)| vec![one, other]).collect();
        prop_assert_eq!(read(table.as_bytes()), Ok(expected));
    }

    // Bytes of the kind that states of the reader change at: something is read or refused, compressed or not.
    #[test]
    fn broken_csv_is_never_called_a_failure(
        bytes in prop::collection::vec(prop::sample::select(b"ab1,,\"\"\n\r \0\xc3\xbc\xff\x1f".as_slice()), 0..64)
    ) {
        let content = [b"a,b\n".as_slice(), &bytes].concat();
        let found = read(&content);
        prop_assert!(!matches!(found, Err(Problem::Failed(_))), "{found:?}");
        prop_assert_eq!(read(&compressed(&content)), found);
    }
}

mod of_parquet;

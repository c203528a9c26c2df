//! How files are written, and what is wrong with them.

use std::sync::Arc;

use ::parquet::basic::Compression;
use ::parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int32Type, Int64Type};
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::parser::parse_message_type;
use RuleOutcome::{Broken, Held, NotChecked};
use flate2::write::GzEncoder;

use super::*;

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn columns() -> Value {
    json!([
        {"name": "id", "logicalType": "integer", "shown": true},
        {"name": "price", "logicalType": "number", "shown": true},
        {"name": "day", "logicalType": "date", "shown": true},
    ])
}

/// Types of all columns, unique ids, and no nulls in prices.
fn rules() -> Value {
    json!({
        "id": {"type": "type", "column": "id"},
        "price": {"type": "type", "column": "price"},
        "day": {"type": "type", "column": "day"},
        "unique": {"type": "unique", "column": "id"},
        "positive": {"type": "values", "column": "price", "test": {"type": "minimum", "value": "0"}},
        "nulls": {"type": "nullValues", "column": "price", "is": {"mustBe": "0"}},
    })
}

fn passes(files: &[(&str, &[u8])], more: &Value, rows: u64) {
    let report = check(files, &columns(), &rules(), more);
    assert_eq!((report.verdict, report.rows), (CheckVerdict::Passed, rows), "{report:?}");
}

/// The sentence about data that cannot be read.
fn refused(content: &[u8], more: &Value) -> String {
    let report = check(&[("x", content)], &columns(), &rules(), more);
    assert_eq!(report.verdict, CheckVerdict::Failed, "{report:?}");
    assert!(report.rules.iter().all(|rule| rule.outcome == RuleOutcome::Inconclusive), "{report:?}");
    report.sentence
}

const PLAIN: &str = "id,price,day\n1,2.50,2026-01-31\n2,3,2026-02-01\n";

#[test]
fn csv_is_read_in_its_dialect() {
    passes(&[("x", PLAIN.as_bytes())], &json!({}), 2);
    passes(&[("x", format!("\u{feff}{PLAIN}").as_bytes())], &json!({}), 2);
    passes(&[("x", PLAIN.replace('\n', "\r\n").as_bytes())], &json!({}), 2);
    passes(&[("x", PLAIN.trim_end().as_bytes())], &json!({}), 2);
    passes(&[("x", b"\n\"id\",\"price\",day\n\"1\",\"2\",\"2026-01-31\"\n\n")], &json!({}), 1);
    let german = "id;price;day\n1;'2,50';31.01.2026\n2;-;01.02.2026\n";
    let dialect = json!({"csv": {"separator": ";", "quote": "'", "decimal": ",", "nullValues": ["-"], "dateFormat": "dd.MM.yyyy"}});
    let report = check(&[("x", german.as_bytes())], &columns(), &rules(), &dialect);
    let expected =
        [("id", Held), ("price", Held), ("day", Held), ("unique", Held), ("positive", Held), ("nulls", Broken)];
    assert_eq!(outcomes(&report), BTreeMap::from(expected), "{report:?}");
    let tabs = json!({"csv": {"separator": "\t", "header": false}});
    passes(&[("x", b"1\t2\t2026-01-31\n")], &tabs, 1);
    let quoted = "id,price,day\n1,2,2026-01-31\n\"x\"\"y\n,z\",3,2026-01-31\n4,5,2026-01-31\n6,x,2026-01-31\n";
    let report = check(&[("x", quoted.as_bytes())], &columns(), &rules(), &json!({}));
    assert_eq!(rule(&report, "id").positions[0].value.as_deref(), Some("x\"y\n,z"));
    assert_eq!(rule(&report, "price").positions[0].row, 4, "rows are counted, not lines");
}

#[test]
fn files_may_be_compressed_and_many() {
    let zstd = zstd::encode_all(PLAIN.as_bytes(), 0).unwrap();
    passes(&[("x.gz", &gzip(PLAIN.as_bytes()))], &json!({}), 2);
    passes(&[("x.zst", &zstd)], &json!({}), 2);
    let lines =
        b"{\"id\": 3, \"price\": 1.5, \"day\": \"2026-01-01\"}\n\n{\"id\": 4, \"price\": 2, \"day\": \"2026-01-01\"}";
    passes(&[("a.jsonl.gz", &gzip(lines))], &json!({"format": "JsonLines"}), 2);
    passes(&[("a.jsonl", lines)], &json!({}), 2);
    passes(
        &[
            ("a/x.csv", PLAIN.as_bytes()),
            ("b.csv", b"id,price,day\n7,1,2026-01-01\n"),
            (".hidden", b"x"),
            ("_SUCCESS", b""),
        ],
        &json!({}),
        3,
    );
    // A column that the folders' names say.
    let half = b"id,price\n1,2\n";
    passes(&[("day=2026-01-01/x", half), ("day=2026-01-02/x", b"id,price\n2,2\n")], &json!({}), 2);
    let report = check(&[("day=2026-01-01/x", half), ("day=soon/x", half)], &columns(), &rules(), &json!({}));
    assert_eq!((rule(&report, "day").matched, rule(&report, "unique").matched), (Some(1), Some(1)));
    assert_eq!(rule(&report, "day").positions[0].file.as_deref(), Some("day=soon/x"));
    assert!(
        rule(&report, "unique").sentence.contains("row 1 of \"day=soon/x\""),
        "{}",
        rule(&report, "unique").sentence
    );
}

#[test]
fn json_has_types_of_its_own() {
    let lines = "{\"id\": \"1\", \"price\": 1, \"day\": \"2026-01-01\"}\n{\"id\": 2, \"day\": 5}\n{\"id\": 3.5, \"price\": true}\n";
    let report = check(&[("x", lines.as_bytes())], &columns(), &rules(), &json!({"format": "JsonLines"}));
    let matched = |name| rule(&report, name).matched;
    assert_eq!(
        (matched("id"), matched("price"), matched("day"), matched("nulls")),
        (Some(2), Some(1), Some(1), Some(1))
    );
}

#[test]
fn broken_files_are_refused_with_their_place() {
    for (content, said) in [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("id,price,day\n1,2,2026-01-01\n1,2\n", "row 2 of \"x\" has 2 fields, the header 3"),
        ("id,price,day\n1,\"2,2026-01-01\n", "row 1 of \"x\" opens a quote that is never closed"),
        ("id,price,day\n1,\"2\"x,2026-01-01\n", "text behind a closing quote"),
        ("id,price,day\n1,2\"3\",2026-01-01\n", "a quote within a field"),
        ("{\"id\": 1}\n{\"id\": }\n", "row 2 of \"x\" is no JSON"),
        ("{\"id\": 1}\n[1]\n", "row 2 of \"x\" is no JSON object"),
    ] {
        let why = refused(content.as_bytes(), &json!({}));
        assert!(why.contains(said), "{content:?}: {why}");
    }
    let deep = format!("{{\"id\": {}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(refused(deep.as_bytes(), &json!({})).contains("is no JSON: recursion limit"));
    let mixed = b"id,price,day\n1,2,2026-01-01\n1,2,\xe4\n";
    assert!(refused(mixed, &json!({})).contains("row 2 of \"x\" is not UTF-8"));
    assert!(refused(b"\xff\xfei\0d\0", &json!({})).contains("UTF-16"));
    let whole = gzip(PLAIN.repeat(1000).as_bytes());
    assert!(refused(&whole[..whole.len() / 2], &json!({})).contains("damaged"));
    assert!(refused(b"PAR1nonsense", &json!({})).contains("damaged"));
    assert!(refused(b"id\n", &json!({"format": "Parquet"})).contains("is no Parquet"));
}

#[test]
fn what_is_without_end_is_refused_soon() {
    let long = format!("id,price,day\n{}\n", "1,".repeat(9 << 20));
    assert!(refused(&gzip(long.as_bytes()), &json!({})).contains("row 1 of \"x\" has more than 10000 fields"));
    let long = format!("{{\"id\": \"{}\"}}", "1".repeat(17 << 20));
    assert!(refused(&gzip(long.as_bytes()), &json!({})).contains("longer than 16 MiB"));
    let field = format!("id,price,day\n{},1,1\n", "1".repeat((1 << 20) + 1));
    assert!(refused(field.as_bytes(), &json!({})).contains("more than 1 MiB"));
    let wide = format!("id,price,day\n{}\n", ",".repeat(20_000));
    assert!(refused(wide.as_bytes(), &json!({})).contains("more than 10000 fields"));
    let open = format!("id,price,day\n1,\"{}", "x\n".repeat(9 << 20));
    assert!(refused(open.as_bytes(), &json!({})).contains("row 1 of \"x\" opens a quote that is never closed"));
    let stray = format!("id,price,day\n1,1,1\n2,5\" pipe,1\n{}", "3,1,1\n".repeat(3 << 20));
    assert!(refused(stray.as_bytes(), &json!({})).contains("row 2 of \"x\" has a quote within a field"));
}

/// A Parquet of ids, prices and days, in row groups.
fn parquet(groups: &[&[(i64, Option<f64>, i32)]]) -> Vec<u8> {
    let schema = "message t { required int64 id; optional double price; required int32 day (DATE); optional group l (LIST) { repeated group list { required int32 element; } } }";
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut writer =
        SerializedFileWriter::new(Vec::new(), Arc::new(parse_message_type(schema).unwrap()), Arc::new(properties))
            .unwrap();
    for rows in groups {
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let ids: Vec<i64> = rows.iter().map(|row| row.0).collect();
        column.typed::<Int64Type>().write_batch(&ids, None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let prices: Vec<f64> = rows.iter().filter_map(|row| row.1).collect();
        let levels: Vec<i16> = rows.iter().map(|row| i16::from(row.1.is_some())).collect();
        column.typed::<DoubleType>().write_batch(&prices, Some(&levels), None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let days: Vec<i32> = rows.iter().map(|row| row.2).collect();
        column.typed::<Int32Type>().write_batch(&days, None, None).unwrap();
        column.close().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let none = vec![0; rows.len()];
        column.typed::<Int32Type>().write_batch(&[], Some(&none), Some(&none)).unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    writer.into_inner().unwrap()
}

#[test]
fn parquet_is_read_by_its_types() {
    passes(&[("x", &parquet(&[&[(1, Some(0.5), 20_000)], &[(2, Some(1.5), 20_001)]]))], &json!({}), 2);
    let bad = parquet(&[&[(1, Some(0.5), 1), (2, None, 1)], &[(2, Some(-0.1), 1)]]);
    let report = check(&[("x", &bad)], &columns(), &rules(), &json!({}));
    let found = |name| (rule(&report, name).outcome, rule(&report, name).positions.first().map(|at| at.row));
    assert_eq!(found("unique"), (Broken, Some(3)));
    assert_eq!(found("positive"), (Broken, Some(3)));
    assert_eq!(found("nulls"), (Broken, Some(2)));
    assert_eq!(found("day"), (Held, None));
    // Other types than agreed, and a list that is not looked into.
    let other = json!([
        {"name": "id", "logicalType": "string"}, {"name": "price", "logicalType": "integer"},
        {"name": "day", "logicalType": "timestamp"}, {"name": "l", "logicalType": "array"}, {"name": "none", "logicalType": "string"},
    ]);
    let mut types: serde_json::Map<String, Value> = ["id", "price", "day", "l"]
        .map(|name| (name.to_owned(), json!({"type": "type", "column": name})))
        .into_iter()
        .collect();
    types.insert("items".into(), json!({"type": "values", "column": "l", "test": {"type": "minItems", "value": 1}}));
    types.insert("none".into(), json!({"type": "present", "column": "none"}));
    let report = check(&[("x", &bad)], &other, &Value::Object(types), &json!({}));
    let expected =
        [("id", Broken), ("price", Broken), ("day", Broken), ("l", Held), ("items", NotChecked), ("none", Broken)];
    assert_eq!(outcomes(&report), BTreeMap::from(expected), "{report:?}");
}

#[test]
fn texts_and_decimals_of_parquet_are_values() {
    let schema = "message t { required binary a (STRING); required int32 d (DECIMAL(9, 2)); }";
    let mut writer =
        SerializedFileWriter::new(Vec::new(), Arc::new(parse_message_type(schema).unwrap()), Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<ByteArrayType>().write_batch(&[ByteArray::from("x"), ByteArray::from("ü")], None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<Int32Type>().write_batch(&[250, -5], None, None).unwrap();
    column.close().unwrap();
    group.close().unwrap();
    let content = writer.into_inner().unwrap();
    let columns =
        json!([{"name": "a", "logicalType": "string"}, {"name": "d", "logicalType": "number", "shown": true}]);
    let rules = json!({
        "length": {"type": "values", "column": "a", "test": {"type": "maxLength", "value": 1}},
        "least": {"type": "values", "column": "d", "test": {"type": "minimum", "value": "-0.04"}},
    });
    let report = check(&[("x", &content)], &columns, &rules, &json!({}));
    assert_eq!((rule(&report, "length").outcome, rule(&report, "least").outcome), (Held, Broken));
    assert_eq!(rule(&report, "least").positions[0].value.as_deref(), Some("-0.05"));
}

/// Rows of a table with everything that rules count.
fn rows() -> impl Strategy<Value = Vec<(u8, u8, bool)>> {
    prop::collection::vec((0_u8..40, 0_u8..12, any::<bool>()), 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    // The same rows in one file or many, read by one thread or several.
    #[test]
    fn neither_threads_nor_files_change_a_count(rows in rows(), cuts in 1_usize..7) {
        let line = |(id, price, text): &(u8, u8, bool)| match (*price, *text) {
            (0, _) => format!("{id},,2026-01-01\n"),
            (price, true) => format!("{id},{price}.5,2026-01-{price:02}\n"),
            (price, false) => format!("x{id},-{price},2026-02-{}\n", u32::from(price) * 4),
        };
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, rows: &[(u8, u8, bool)]| {
            let content: String = rows.iter().map(line).collect();
            std::fs::write(folder.path().join(name), format!("id,price,day\n{content}")).unwrap();
        };
        write("all.csv", &rows);
        std::fs::create_dir(folder.path().join("parts")).unwrap();
        for (number, part) in rows.chunks(rows.len().div_ceil(cuts)).enumerate() {
            write(&format!("parts/{number}.csv"), part);
        }
        let mut whole = config(&folder.path().join("all.csv"), &columns(), &rules(), &json!({}));
        let parts = config(&folder.path().join("parts"), &columns(), &rules(), &json!({}));
        let counts = |report: &CheckReport| -> Vec<_> {
            report.rules.iter().map(|rule| (rule.outcome, rule.matched, rule.of)).collect()
        };
        let two = report(&whole);
        prop_assert_eq!(two.rows, rows.len() as u64);
        prop_assert_eq!(counts(&report(&parts)), counts(&two));
        for threads in [1, 3, 8] {
            whole.limits.threads = Some(threads);
            prop_assert_eq!(report(&whole).to_json(), two.to_json());
        }
    }

    // Bytes at which the reader's states change: always a verdict, never an error of the machine.
    #[test]
    fn broken_csv_has_a_verdict(bytes in prop::collection::vec(prop::sample::select(b"ab1,,\"\"\n\r \0\xc3\xbc\xff{}:".as_slice()), 0..64)) {
        let content = [b"id,price,day\n".as_slice(), &bytes].concat();
        let report = check(&[("x", &content)], &columns(), &rules(), &json!({}));
        prop_assert!(report.verdict != CheckVerdict::Error, "{report:?}");
    }

    #[test]
    fn garbled_parquet_has_a_verdict(place in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let mut content = parquet(&[&[(1, Some(0.5), 1), (2, None, 1)], &[(2, Some(-0.1), 1)]]);
        let place = place.index(content.len());
        content[place] ^= 1 << bit;
        let report = std::panic::catch_unwind(|| check(&[("x", &content)], &columns(), &rules(), &json!({})));
        // A decoder that panics ends the child, which the parent reports.
        if let Ok(report) = report {
            let crashed = report.sentence.contains("a thread of the check crashed");
            prop_assert!(crashed || report.verdict != CheckVerdict::Error, "{report:?}");
        }
    }
}

#[test]
fn blocks_end_where_rows_do() {
    // More than one block of a mebibyte, with quotes and line ends in fields.
    let mut content = "id,price,day\n".to_owned();
    for row in 0..120_000 {
        let _ = writeln!(content, "{row},\"{}\",2026-01-01", if row == 100_000 { "a\n\"\"b" } else { "1.5" });
    }
    let report = check(&[("x", content.as_bytes())], &columns(), &rules(), &json!({}));
    assert_eq!(report.rows, 120_000);
    let found = rule(&report, "price");
    assert_eq!(
        (found.matched, found.positions[0].row, found.positions[0].value.as_deref()),
        (Some(1), 100_001, Some("a\n\"b"))
    );
    assert_eq!(rule(&report, "unique").outcome, Held);
}

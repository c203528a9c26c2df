//! Formats of a check: what is written is read again, and every report fits into its bounds.

use seatrial_crds::limits;

use super::super::Digest;
use super::*;

fn result(severity: Severity, outcome: RuleOutcome) -> RuleResult {
    RuleResult {
        rule: "age.minimum".into(),
        severity,
        concern: Concern::Values,
        dimension: None,
        outcome,
        expected: "at least 0".into(),
        found: "3 of 10 rows".into(),
        matched: Some(3),
        of: Some(10),
        positions: vec![Position { file: None, row: 7, value: Some("-1".into()) }],
        sentence: "age is below 0 in 3 of 10 rows, first in row 7".into(),
    }
}

fn report(rules: Vec<RuleResult>) -> CheckReport {
    CheckReport {
        version: CHECK_VERSION,
        input: "data".into(),
        contract: "payments/churn".into(),
        revision: "sha256:1".into(),
        verdict: CheckReport::verdict_of(&rules),
        sentence: "a rule is broken".into(),
        rows: 10,
        files: 1,
        rules,
        not_checked: vec![],
        profile: vec![ColumnProfile { column: "age".into(), rows: 10, ..ColumnProfile::default() }],
    }
}

#[test]
fn a_config_is_plain_json() {
    let json = r#"{"version":1,"reports":"/reports","inputs":[{"input":"data","contract":"a/b","revision":"r",
        "path":"/in","csv":{"separator":";","decimal":","},"columns":[{"name":"age","logicalType":"integer"}],
        "rules":[
            {"name":"one","severity":"error","check":{"type":"values","column":"age","test":{"type":"minimum","value":"0"}}},
            {"name":"two","severity":"warning","dimension":"completeness","check":{"type":"nullValues","column":"age",
                "is":{"mustBeBetween":["0","5"]},"unit":"percent"}},
            {"name":"three","severity":"error","check":{"type":"values","column":"age","test":{"type":"uniqueItems"}}},
            {"name":"four","severity":"error","check":{"type":"rowCount","is":{"mustBe":"3"}}}]}]}"#;
    let config: CheckConfig = serde_json::from_str(json).unwrap();
    let input = &config.inputs[0];
    assert_eq!((input.format, input.csv.separator, input.csv.quote), (DataFormat::Auto, ';', '"'));
    assert!(input.csv.header && input.csv.null_values == [""] && !input.columns[0].shown);
    assert_eq!(input.rules[0].check.columns(), ["age"]);
    let back: CheckConfig = serde_json::from_str(&config.to_json().unwrap()).unwrap();
    assert_eq!(back, config);
    assert!(serde_json::from_str::<CheckConfig>(&json.replace("dimension", "dimensions")).is_err());
}

#[test]
fn a_config_that_no_environment_holds_is_refused() {
    let values = vec!["x".repeat(1000); 100];
    let rule = Rule {
        name: "one".into(),
        severity: Severity::Error,
        dimension: None,
        check: RuleKind::Values { column: "a".into(), test: ValueTest::OneOf(values) },
    };
    let input = InputCheck {
        input: "data".into(),
        contract: "a/b".into(),
        revision: "r".into(),
        table: None,
        path: "/in".into(),
        format: DataFormat::Auto,
        csv: CsvDialect::default(),
        columns: vec![],
        rules: vec![rule],
        not_checked: vec![],
    };
    let config = CheckConfig {
        version: CHECK_VERSION,
        inputs: vec![input],
        reports: "/reports".into(),
        limits: CheckLimits::default(),
        unless: None,
    };
    assert!(config.to_json().unwrap_err().contains("divide the inputs"));
}

#[test]
fn counts_and_shares_are_compared_exactly() {
    use Comparison::*;
    let text = str::to_owned;
    for (comparison, matched, rows, unit, holds) in [
        (MustBe(text("0")), 0, 10, Unit::Rows, Some(true)),
        (MustBe(text("0")), 1, 10, Unit::Rows, Some(false)),
        (MustNotBe(text("1")), 1, 10, Unit::Rows, Some(false)),
        (MustNotBe(text("1")), 2, 10, Unit::Rows, Some(true)),
        (MustBeGreaterThan(text("5")), 5, 10, Unit::Rows, Some(false)),
        (MustBeGreaterThan(text("5")), 6, 10, Unit::Rows, Some(true)),
        (MustBeGreaterOrEqualTo(text("5")), 5, 10, Unit::Rows, Some(true)),
        (MustBeGreaterOrEqualTo(text("5")), 4, 10, Unit::Rows, Some(false)),
        (MustBeLessThan(text("5")), 5, 10, Unit::Rows, Some(false)),
        (MustBeLessThan(text("5")), 4, 10, Unit::Rows, Some(true)),
        (MustBeLessOrEqualTo(text("5")), 5, 10, Unit::Rows, Some(true)),
        (MustBeLessOrEqualTo(text("5")), 6, 10, Unit::Rows, Some(false)),
        (MustBeBetween(text("2"), text("4")), 2, 10, Unit::Rows, Some(true)),
        (MustBeBetween(text("2"), text("4")), 4, 10, Unit::Rows, Some(true)),
        (MustBeBetween(text("2"), text("4")), 5, 10, Unit::Rows, Some(false)),
        (MustBeBetween(text("2"), text("4")), 1, 10, Unit::Rows, Some(false)),
        (MustNotBeBetween(text("2"), text("4")), 4, 10, Unit::Rows, Some(false)),
        (MustNotBeBetween(text("2"), text("4")), 5, 10, Unit::Rows, Some(true)),
        (MustBe(text("33.3")), 1, 3, Unit::Percent, Some(false)),
        (MustBeLessThan(text("33.333333333333333334")), 1, 3, Unit::Percent, Some(true)),
        (MustBeLessThan(text("33.333333333333333333")), 1, 3, Unit::Percent, Some(false)),
        (MustBe(text("0")), 0, 0, Unit::Percent, None),
        (MustBe(text("many")), 0, 1, Unit::Rows, None),
    ] {
        assert_eq!(comparison.holds(matched, rows, unit), holds, "{comparison:?} {matched} of {rows} {unit:?}");
    }
    assert_eq!(MustBeLessThan(text("1e3")).holds_for("999.5"), Some(true));
    assert_eq!(MustBe(text("1")).holds_for("NaN"), None);
    assert_eq!(MustBeBetween(text("0"), text("5")).to_string(), "from 0 to 5");
}

#[test]
fn an_error_outweighs_what_could_not_be_decided() {
    use RuleOutcome::*;
    let of = |rules: &[(Severity, RuleOutcome)]| {
        let rules: Vec<RuleResult> = rules.iter().map(|(severity, outcome)| result(*severity, *outcome)).collect();
        CheckReport::verdict_of(&rules)
    };
    let (error, warning) = (Severity::Error, Severity::Warning);
    assert_eq!(of(&[]), CheckVerdict::Passed);
    assert_eq!(
        of(&[(error, Held), (warning, Broken), (warning, Inconclusive), (error, NotChecked)]),
        CheckVerdict::Passed
    );
    assert_eq!(of(&[(error, Held), (error, Inconclusive)]), CheckVerdict::Inconclusive);
    assert_eq!(of(&[(error, Inconclusive), (error, Broken)]), CheckVerdict::Failed);
}

#[test]
fn a_report_stays_within_its_bound() {
    let mut rule = result(Severity::Error, RuleOutcome::Broken);
    rule.sentence = "ä".repeat(2000);
    let whole = report(vec![rule; MAX_RULES]);
    let json = whole.to_json();
    assert!(json.len() <= MAX_CHECK_REPORT_BYTES);
    let back: CheckReport = serde_json::from_str(&json).unwrap();
    assert_eq!((back.rules.len(), back.verdict, back.rules[9].matched), (MAX_RULES, CheckVerdict::Failed, Some(3)));
    let small = report(vec![result(Severity::Error, RuleOutcome::Broken)]);
    assert_eq!(serde_json::from_str::<CheckReport>(&small.to_json()).unwrap(), small);
}

#[test]
fn a_summary_names_errors_before_warnings() {
    let mut rules = vec![result(Severity::Warning, RuleOutcome::Broken); 3];
    rules.push(result(Severity::Error, RuleOutcome::Broken));
    rules.push(result(Severity::Error, RuleOutcome::NotChecked));
    let summary = report(rules).summary();
    assert_eq!((summary.errors, summary.warnings, summary.not_checked, summary.rules), (1, 3, 1, 5));
    assert_eq!(summary.broken.len(), 3);
    assert_eq!(summary.broken[0].severity, Severity::Error);
}

#[test]
fn a_message_comes_back_and_has_every_verdict() {
    let mut summary = report(vec![result(Severity::Error, RuleOutcome::Broken); 3]).summary();
    summary.report = Some(Digest::of(b"report"));
    let message = CheckMessage { checks: vec![summary.clone()], failure: None };
    assert_eq!(CheckMessage::parse(&message.to_json()).unwrap(), message);

    summary.sentence = "\u{1b}\"".repeat(500);
    summary.rows = u64::MAX;
    summary.input = "x".repeat(63);
    for rule in &mut summary.broken {
        rule.sentence = "ä".repeat(1000);
    }
    let checks = vec![summary; limits::INPUTS];
    let message = CheckMessage { checks, failure: Some("why".repeat(1000)) };
    let json = message.to_json();
    assert!(json.len() <= MAX_CHECK_MESSAGE_BYTES, "{}", json.len());
    let back = CheckMessage::parse(&json).unwrap();
    assert_eq!(back.checks.len(), limits::INPUTS);
    assert!(back.checks.iter().all(|check| check.verdict == CheckVerdict::Failed && check.rows == u64::MAX));
    assert!(!json.contains("\\u001b"));

    assert!(matches!(CheckMessage::parse("{"), Err(CheckMessageError::Malformed(_))));
    assert_eq!(CheckMessage::parse(r#"{"v":9}"#), Err(CheckMessageError::OtherVersion(9)));
}

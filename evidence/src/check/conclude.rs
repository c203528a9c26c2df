//! What the counts say about the rules.

use seatrial_core::contract::check::{
    CHECK_VERSION, CheckReport, CheckVerdict, InputCheck, Position, Rule, RuleKind, RuleOutcome, RuleResult, Severity,
    Unit,
};

use super::files::DataFile;
use super::plan::{Decision, Plan};
use super::sql::Answer;
use super::tally::{Hits, Place};
use super::words::{counted_rows, expected, failing, overall, plural, rows_with, sentence};
use super::work::Outcome;
use crate::problem::quoted;

/// What was counted of the data as a whole.
struct Counted<'a> {
    input: &'a InputCheck,
    plan: &'a Plan,
    files: &'a [DataFile],
    outcome: &'a Outcome<'a>,
    rows: u64,
    /// Whether the contract allows that there are no rows.
    none_allowed: bool,
}

/// What came of a rule, without what is the same for all.
struct Concluded {
    outcome: RuleOutcome,
    found: String,
    matched: Option<u64>,
    of: Option<u64>,
    positions: Vec<Position>,
}

impl Concluded {
    fn new(outcome: RuleOutcome, found: impl Into<String>) -> Self {
        Self { outcome, found: found.into(), matched: None, of: None, positions: Vec::new() }
    }
}

/// The report about an input.
pub(super) fn report(input: &InputCheck, plan: &Plan, files: &[DataFile], outcome: &Outcome<'_>) -> CheckReport {
    let rows = outcome.tallies.parts.iter().map(|part| u64::from(part.rows)).sum();
    let counted = Counted { input, plan, files, outcome, rows, none_allowed: none_allowed(&input.rules) };
    let broken = counted.broken();
    let rules: Vec<RuleResult> = input
        .rules
        .iter()
        .zip(&plan.decisions)
        .map(|(rule, decision)| {
            let concluded = match (decision, &broken) {
                (Decision::NotChecked(why), _) => Concluded::new(RuleOutcome::NotChecked, why.clone()),
                (_, Some(_)) => Concluded::new(RuleOutcome::Inconclusive, "the data cannot be read"),
                _ => counted.conclude(rule, decision),
            };
            result(input, rule, concluded)
        })
        .collect();
    let (verdict, sentence) = match broken {
        Some(why) => (CheckVerdict::Failed, format!("the data cannot be read: {why}")),
        None => {
            let verdict = CheckReport::verdict_of(&rules);
            match counted.failed(&rules) {
                // What is broken is broken, whatever could not be asked.
                Some(why) if verdict != CheckVerdict::Failed => (CheckVerdict::Error, why),
                _ => (verdict, overall(verdict, &rules, rows)),
            }
        }
    };
    let rows = if outcome.tallies.broken.is_some() { 0 } else { rows };
    let mut report = whole(input, verdict, sentence, (rows, files.len() as u64), rules);
    if outcome.tallies.broken.is_none() && outcome.headers.any {
        let columns = plan.columns.iter().zip(&outcome.tallies.sketches);
        let profile = columns.map(|(column, sketch)| {
            let hits = |number: usize| outcome.tallies.hits.get(number).map(|hits| hits.count).unwrap_or_default();
            sketch.profile(column, hits(column.nulls), hits(column.mistyped))
        });
        report.profile = profile.collect();
    }
    report
}

/// Whether the contract allows that there are no rows: it has rules of severity error about their number, and each holds for 0.
fn none_allowed(rules: &[Rule]) -> bool {
    let mut holds = rules.iter().filter(|rule| rule.severity == Severity::Error).filter_map(|rule| match &rule.check {
        RuleKind::RowCount { is } => Some(is.holds(0, 0, Unit::Rows) == Some(true)),
        _ => None,
    });
    holds.next().is_some_and(|first| first && holds.all(|holds| holds))
}

/// A report with this verdict and these rules, and without a profile: all that there is where no rule was decided.
pub(super) fn whole(
    input: &InputCheck,
    verdict: CheckVerdict,
    sentence: String,
    (rows, files): (u64, u64),
    rules: Vec<RuleResult>,
) -> CheckReport {
    CheckReport {
        version: CHECK_VERSION,
        input: input.input.clone(),
        contract: input.contract.clone(),
        revision: input.revision.clone(),
        verdict,
        sentence,
        rows,
        files,
        rules,
        not_checked: input.not_checked.clone(),
        profile: vec![],
    }
}

fn result(input: &InputCheck, rule: &Rule, concluded: Concluded) -> RuleResult {
    let Concluded { outcome, found, matched, of, positions } = concluded;
    let columns = rule.check.columns();
    let column = input.columns.iter().find(|column| columns.first() == Some(&column.name.as_str()));
    let expected = expected(&rule.check, column.and_then(|column| column.logical_type));
    let sentence = sentence(rule, outcome, &found, &expected, positions.first());
    RuleResult {
        rule: rule.name.clone(),
        severity: rule.severity,
        concern: rule.check.concern(),
        dimension: rule.dimension.clone(),
        outcome,
        expected,
        found,
        matched,
        of,
        positions,
        sentence,
    }
}

impl Counted<'_> {
    /// Why the data cannot be read, where they cannot.
    fn broken(&self) -> Option<String> {
        let broken = self.outcome.tallies.broken.as_ref()?;
        let file = self.files.get(broken.file as usize).map(|file| file.shown.as_str()).unwrap_or_default();
        let named = if file.is_empty() { "the file".to_owned() } else { quoted(file) };
        Some(match broken.row {
            Some(row) => {
                format!("row {} of {named} {}", self.row_in_file(broken.file, (broken.part, row)), broken.what)
            }
            None => format!("{named} {}", broken.what),
        })
    }

    /// The number of a row in its file, from 1.
    fn row_in_file(&self, file: u32, (part, row): Place) -> u64 {
        let before = self.outcome.tallies.parts.iter().filter(|other| other.file == file && other.number < part);
        before.map(|part| u64::from(part.rows)).sum::<u64>() + u64::from(row) + 1
    }

    fn position(&self, place: Place, value: Option<String>) -> Position {
        let parts = &self.outcome.tallies.parts;
        let part = parts.binary_search_by_key(&place.0, |part| part.number).ok().and_then(|at| parts.get(at));
        let file = part.map(|part| part.file).unwrap_or_default();
        let shown = self.files.get(file as usize).map(|file| file.shown.clone()).filter(|shown| !shown.is_empty());
        Position { file: shown, row: self.row_in_file(file, place), value }
    }

    fn hits(&self, number: usize) -> Hits {
        self.outcome.tallies.hits.get(number).cloned().unwrap_or_default()
    }

    fn positions(&self, hits: &Hits) -> Vec<Position> {
        hits.first.iter().map(|(place, value)| self.position(*place, value.clone())).collect()
    }

    /// What keeps a column's rules from being decided: it is absent, or several.
    fn lacking(&self, column: usize) -> Option<String> {
        let headers = &self.outcome.headers;
        let file = |number: u32| match self.files.get(number as usize).map(|file| file.shown.as_str()) {
            Some(shown) if !shown.is_empty() => format!(" in {}", quoted(shown)),
            _ => String::new(),
        };
        if let Some(number) = headers.repeated.get(column).copied().flatten() {
            return Some(format!("there are several of this name{}", file(number)));
        }
        let name = self.plan.columns.get(column).map(|column| column.name.as_str()).unwrap_or_default();
        let hint = headers.alike(name).map(|other| format!("; there is {}", quoted(other))).unwrap_or_default();
        if let Some(number) = headers.absent.get(column).copied().flatten() {
            return Some(format!("it is missing{}{hint}", file(number)));
        }
        let unseen = |seen: &Vec<bool>| seen.get(column) == Some(&false) && self.only_null(column) && self.rows > 0;
        self.outcome.seen.as_ref().filter(|seen| unseen(seen)).map(|_| format!("it is missing: no line has it{hint}"))
    }

    /// Whether a column has no value that is not null.
    fn only_null(&self, column: usize) -> bool {
        let nulls = self.plan.columns.get(column).map(|column| self.hits(column.nulls).count).unwrap_or_default();
        nulls == self.rows
    }

    /// Whether the contract says how many nulls a column may have.
    fn says_nulls(&self, column: usize) -> bool {
        let name = self.plan.columns.get(column).map(|column| column.name.as_str());
        self.input.rules.iter().any(|rule| match &rule.check {
            RuleKind::NullValues { column, .. } => Some(column.as_str()) == name,
            RuleKind::MissingValues { column, null, .. } => *null && Some(column.as_str()) == name,
            _ => false,
        })
    }

    fn conclude(&self, rule: &Rule, decision: &Decision) -> Concluded {
        let columns: Vec<usize> = match decision {
            Decision::Present(column)
            | Decision::None(_, column)
            | Decision::NoNull(column)
            | Decision::Compare(_, column) => vec![*column],
            Decision::Key { key, .. } => self.plan.keys.get(*key).cloned().unwrap_or_default(),
            Decision::Query(number) => {
                self.plan.queries.list.get(*number).map(|query| query.columns.clone()).unwrap_or_default()
            }
            Decision::Rows | Decision::NotChecked(_) => vec![],
        };
        let lacking = columns.iter().find_map(|column| {
            let why = self.lacking(*column)?;
            let name = self.plan.columns.get(*column).filter(|_| matches!(decision, Decision::Query(_)));
            // The sentence about a query names no column.
            Some(name.map_or(why.clone(), |column| format!("of column {} {why}", quoted(&column.name))))
        });
        match (decision, lacking) {
            (Decision::Present(_), _) if !self.outcome.headers.any => self.nothing("there are no files"),
            (Decision::Present(_), None) if self.rows == 0 && self.outcome.seen.is_some() => {
                self.nothing("there are no rows, which have the columns' names in JSON lines")
            }
            (Decision::Present(_) | Decision::NoNull(_), Some(why)) => Concluded::new(RuleOutcome::Broken, why),
            (Decision::Present(_), None) => Concluded::new(RuleOutcome::Held, "it is there"),
            (Decision::Rows, _) => self.row_count(rule),
            (_, Some(why)) => Concluded::new(RuleOutcome::Inconclusive, why),
            // What a query says of no rows is an answer, where there may be none.
            (Decision::Query(number), None) if self.rows == 0 && self.none_allowed => self.answer(rule, *number),
            _ if self.rows == 0 => self.nothing("there are no rows"),
            _ => {
                let is_nested = |column: &usize| self.outcome.headers.nested.get(*column) == Some(&true);
                let looks_in = !matches!(rule.check, RuleKind::Type { .. });
                if looks_in && columns.iter().any(is_nested) {
                    let why = "lists and structures of Parquet are not looked into";
                    return Concluded::new(RuleOutcome::NotChecked, why);
                }
                self.decide(rule, decision)
            }
        }
    }

    /// There is nothing to decide by.
    fn nothing(&self, why: &str) -> Concluded {
        if self.none_allowed && self.rows == 0 {
            Concluded::new(RuleOutcome::Held, format!("{why}, as the contract allows"))
        } else {
            Concluded::new(RuleOutcome::Inconclusive, why)
        }
    }

    fn row_count(&self, rule: &Rule) -> Concluded {
        let RuleKind::RowCount { is } = &rule.check else { return self.nothing("the rule is none about rows") };
        let found = plural(self.rows, "row", "rows");
        let outcome = outcome(is.holds(self.rows, self.rows, Unit::Rows));
        Concluded { matched: Some(self.rows), of: Some(self.rows), ..Concluded::new(outcome, found) }
    }

    fn decide(&self, rule: &Rule, decision: &Decision) -> Concluded {
        match decision {
            Decision::NoNull(column) => {
                let nulls = self.plan.columns.get(*column).map(|column| self.hits(column.nulls)).unwrap_or_default();
                self.none_of(&nulls, self.rows, "null")
            }
            Decision::None(number, column) => {
                let nulls = self.plan.columns.get(*column).map(|column| self.hits(column.nulls).count);
                if self.only_null(*column) {
                    return self.only_nulls(&[*column]);
                }
                let of = self.rows - nulls.unwrap_or_default();
                let what = match (&rule.check, self.plan.columns.get(*column).and_then(|column| column.reader.kind)) {
                    (RuleKind::Type { .. }, Some(kind)) => format!("no {}", kind.name()),
                    (RuleKind::Values { test, .. }, _) => failing(test),
                    _ => "another value".to_owned(),
                };
                self.none_of(&self.hits(*number), of, &what)
            }
            Decision::Compare(number, column) => {
                if matches!(rule.check, RuleKind::InvalidValues { .. }) && self.only_null(*column) {
                    return self.only_nulls(&[*column]);
                }
                let hits = self.hits(*number);
                self.compare(rule, hits.count, self.rows, self.positions(&hits))
            }
            Decision::Key { key, primary, compare } => self.key(rule, *key, *primary, *compare),
            Decision::Query(number) => self.answer(rule, *number),
            Decision::Present(_) | Decision::Rows | Decision::NotChecked(_) => {
                self.nothing("there is nothing to decide")
            }
        }
    }

    /// What a query's answer says.
    fn answer(&self, rule: &Rule, query: usize) -> Concluded {
        let RuleKind::Sql { is, .. } = &rule.check else { return self.nothing("the rule has no query") };
        match self.outcome.answers.get(query) {
            Some(Answer::Number(number)) => match is.holds_for(number) {
                Some(holds) => Concluded::new(outcome(Some(holds)), number.clone()),
                None => {
                    Concluded::new(RuleOutcome::NotChecked, format!("{is} cannot be compared with the number {number}"))
                }
            },
            // A rule that only warns keeps no data back, whatever becomes of it.
            Some(Answer::Failed(why)) if rule.severity == Severity::Warning => {
                Concluded::new(RuleOutcome::NotChecked, why.clone())
            }
            Some(Answer::Nothing(why) | Answer::Failed(why)) => Concluded::new(RuleOutcome::Inconclusive, why.clone()),
            None => self.nothing("the query was not run"),
        }
    }

    /// Why a rule of severity error could not be decided by this machine, where there is one.
    fn failed(&self, rules: &[RuleResult]) -> Option<String> {
        let mut all = self.input.rules.iter().zip(&self.plan.decisions).zip(rules);
        all.find_map(|((rule, decision), result)| match decision {
            Decision::Query(number)
                if result.outcome == RuleOutcome::Inconclusive && rule.severity == Severity::Error =>
            {
                let failed = matches!(self.outcome.answers.get(*number), Some(Answer::Failed(_)));
                failed.then(|| format!("a rule could not be checked: {}: {}", rule.name, result.sentence))
            }
            _ => None,
        })
    }

    fn only_nulls(&self, columns: &[usize]) -> Concluded {
        if columns.iter().all(|column| self.says_nulls(*column)) {
            Concluded::new(RuleOutcome::Held, "all values are null, and the contract says how many may be")
        } else {
            Concluded::new(RuleOutcome::Inconclusive, "all values are null")
        }
    }

    /// No row may be such.
    fn none_of(&self, hits: &Hits, of: u64, what: &str) -> Concluded {
        let outcome = outcome(Some(hits.count == 0));
        let found = rows_with(hits.count, of, what);
        Concluded {
            matched: Some(hits.count),
            of: Some(of),
            positions: self.positions(hits),
            ..Concluded::new(outcome, found)
        }
    }

    fn compare(&self, rule: &Rule, matched: u64, of: u64, positions: Vec<Position>) -> Concluded {
        let (is, unit) = match &rule.check {
            RuleKind::NullValues { is, unit, .. }
            | RuleKind::MissingValues { is, unit, .. }
            | RuleKind::InvalidValues { is, unit, .. }
            | RuleKind::DuplicateValues { is, unit, .. } => (is, *unit),
            _ => return self.nothing("the rule compares nothing"),
        };
        let found = counted_rows(&rule.check, matched, of);
        let Some(holds) = is.holds(matched, of, unit) else {
            return Concluded::new(RuleOutcome::NotChecked, format!("{is} cannot be compared with a number of rows"));
        };
        Concluded { matched: Some(matched), of: Some(of), positions, ..Concluded::new(outcome(Some(holds)), found) }
    }

    fn key(&self, rule: &Rule, key: usize, primary: bool, compare: bool) -> Concluded {
        let columns = self.plan.keys.get(key).cloned().unwrap_or_default();
        let repeated = self.outcome.repeated.get(key).cloned().unwrap_or_default();
        let positions: Vec<Position> = repeated.first.iter().map(|(place, _)| self.position(*place, None)).collect();
        if primary {
            let nulls = |column: &usize| {
                self.plan.columns.get(*column).map(|column| self.hits(column.nulls)).filter(|hits| hits.count > 0)
            };
            if let Some(hits) = columns.iter().find_map(nulls) {
                return self.none_of(&hits, self.rows, "null in a column of the key");
            }
        }
        if repeated.rows == 0 {
            return self.only_nulls(&columns);
        }
        if compare {
            return self.compare(rule, repeated.surplus, self.rows, positions);
        }
        let repeats = repeated.first.first().map(|(_, first)| self.position(*first, None).row);
        let repeats = repeats.map(|row| format!(", as row {row} does first")).unwrap_or_default();
        let what = format!("the value of an earlier one{repeats}");
        let found = rows_with(repeated.surplus, repeated.rows, &what);
        Concluded {
            matched: Some(repeated.surplus),
            of: Some(repeated.rows),
            positions,
            ..Concluded::new(outcome(Some(repeated.surplus == 0)), found)
        }
    }
}

const fn outcome(holds: Option<bool>) -> RuleOutcome {
    match holds {
        Some(true) => RuleOutcome::Held,
        Some(false) => RuleOutcome::Broken,
        None => RuleOutcome::NotChecked,
    }
}

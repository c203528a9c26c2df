//! What came of checking data.

use seatrial_crds::limits;
use serde::{Deserialize, Serialize};

use super::super::Digest;
use super::{CHECK_VERSION, ColumnProfile, Concern, NotChecked, Severity};

/// The size in bytes that a report in JSON stays within.
pub const MAX_CHECK_REPORT_BYTES: usize = 1 << 20;
/// The size in bytes that a check's termination message stays within, as [`super::super::MAX_MESSAGE_BYTES`] and for its
/// reasons.
pub const MAX_CHECK_MESSAGE_BYTES: usize = 2048;
/// The most rows that a report names for a rule.
pub const MAX_POSITIONS: usize = 5;
/// The most broken rules that a summary names.
const MAX_BROKEN: usize = 3;

/// What is said of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckVerdict {
    /// No rule of severity `error` is broken, and each could be decided.
    Passed,
    /// A rule of severity `error` is broken, or the data cannot be read.
    Failed,
    /// The data prove nothing: there are no rows, or only nulls.
    Inconclusive,
    /// Something else went wrong, and nothing is known of the data.
    Error,
}

impl From<CheckVerdict> for seatrial_crds::CheckVerdict {
    fn from(verdict: CheckVerdict) -> Self {
        match verdict {
            CheckVerdict::Passed => Self::Passed,
            CheckVerdict::Failed => Self::Failed,
            CheckVerdict::Inconclusive => Self::Inconclusive,
            CheckVerdict::Error => Self::Error,
        }
    }
}

/// What came of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RuleOutcome {
    /// The data keep it.
    Held,
    /// They do not.
    Broken,
    /// There was nothing to decide it by.
    Inconclusive,
    /// It is not checked, and the sentence says why.
    NotChecked,
}

/// The whole report about one input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckReport {
    /// [`CHECK_VERSION`].
    pub version: u32,
    /// The input's name.
    pub input: String,
    /// The contract, `namespace/name`.
    pub contract: String,
    /// The digest of its document.
    pub revision: String,
    /// What is said of the data.
    pub verdict: CheckVerdict,
    /// The same in one sentence, for people.
    pub sentence: String,
    /// How many rows there are.
    pub rows: u64,
    /// How many files.
    pub files: u64,
    /// The rules, in the config's order.
    pub rules: Vec<RuleResult>,
    /// What the contract says and is not checked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_checked: Vec<NotChecked>,
    /// What the columns' values are like.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profile: Vec<ColumnProfile>,
}

/// What came of one rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleResult {
    /// The rule's name.
    pub rule: String,
    /// What its breach means.
    pub severity: Severity,
    /// What it is about.
    #[serde(default)]
    pub concern: Concern,
    /// The dimension of quality that the contract gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dimension: Option<String>,
    /// What came of it.
    pub outcome: RuleOutcome,
    /// What the rule demands, for people.
    pub expected: String,
    /// What the data are, for people.
    pub found: String,
    /// How many rows the rule counted: those that break it, or those that its metric counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matched: Option<u64>,
    /// Of how many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<u64>,
    /// The first of them, at most [`MAX_POSITIONS`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub positions: Vec<Position>,
    /// All of it in one sentence.
    pub sentence: String,
}

/// A row that a rule counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Position {
    /// The file, relative to the input; absent where the input is one file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The row's number in its file, from 1, without the header.
    pub row: u64,
    /// The value, cut; absent where the contract does not say that the column's values may be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

impl CheckReport {
    /// What the rules' outcomes say of the data together.
    pub fn verdict_of(rules: &[RuleResult]) -> CheckVerdict {
        let any = |outcome| rules.iter().any(|rule| rule.severity == Severity::Error && rule.outcome == outcome);
        if any(RuleOutcome::Broken) {
            CheckVerdict::Failed
        } else if any(RuleOutcome::Inconclusive) {
            CheckVerdict::Inconclusive
        } else {
            CheckVerdict::Passed
        }
    }

    /// The broken rules of a severity, those that matter most first: by what they are about, then by how many rows break them.
    pub fn broken(rules: &[RuleResult], severity: Severity) -> Vec<&RuleResult> {
        let is_broken = |rule: &&RuleResult| rule.severity == severity && rule.outcome == RuleOutcome::Broken;
        let mut broken: Vec<&RuleResult> = rules.iter().filter(is_broken).collect();
        broken.sort_by_key(|rule| (rule.concern, std::cmp::Reverse(rule.matched)));
        broken
    }

    /// The report in JSON, within [`MAX_CHECK_REPORT_BYTES`]: where it is longer, the profile and positions are left out
    /// first, then long texts are cut.
    pub fn to_json(&self) -> String {
        let json = |report: &Self| serde_json::to_string(report).unwrap_or_default();
        let whole = json(self);
        if whole.len() <= MAX_CHECK_REPORT_BYTES {
            return whole;
        }
        let mut short = Self { profile: vec![], ..self.clone() };
        for rule in &mut short.rules {
            rule.positions.clear();
        }
        for bytes in [512, 128, 32] {
            let shorten = |text: &mut String| crate::text::truncate(text, bytes);
            shorten(&mut short.sentence);
            for rule in &mut short.rules {
                [&mut rule.expected, &mut rule.found, &mut rule.sentence].into_iter().for_each(shorten);
            }
            for one in &mut short.not_checked {
                [&mut one.name, &mut one.reason].into_iter().for_each(shorten);
            }
            let shorter = json(&short);
            if shorter.len() <= MAX_CHECK_REPORT_BYTES {
                return shorter;
            }
        }
        short.not_checked.truncate(super::MAX_RULES);
        json(&short)
    }

    /// What a status has room for.
    pub fn summary(&self) -> CheckSummary {
        let errors = Self::broken(&self.rules, Severity::Error);
        let warnings = Self::broken(&self.rules, Severity::Warning);
        CheckSummary {
            input: self.input.clone(),
            verdict: self.verdict,
            sentence: self.sentence.clone(),
            rows: self.rows,
            rules: self.rules.len() as u64,
            errors: errors.len() as u64,
            warnings: warnings.len() as u64,
            not_checked: (self.not_checked.len()
                + self.rules.iter().filter(|rule| rule.outcome == RuleOutcome::NotChecked).count())
                as u64,
            broken: errors
                .into_iter()
                .chain(warnings)
                .take(MAX_BROKEN)
                .map(|rule| BrokenRule {
                    rule: rule.rule.clone(),
                    severity: rule.severity,
                    sentence: rule.sentence.clone(),
                })
                .collect(),
            report: None,
        }
    }
}

/// A report in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CheckSummary {
    /// The input's name.
    pub input: String,
    /// What is said of the data.
    pub verdict: CheckVerdict,
    /// The same in one sentence, for people.
    pub sentence: String,
    /// How many rows there are.
    pub rows: u64,
    /// How many rules were looked at.
    pub rules: u64,
    /// How many of severity `error` are broken.
    pub errors: u64,
    /// How many of severity `warning` are broken.
    pub warnings: u64,
    /// How many things of the contract are not checked.
    pub not_checked: u64,
    /// Some of the broken rules: those of severity `error` first, and of these the ones that matter most.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub broken: Vec<BrokenRule>,
    /// The digest of the whole report in the store, once it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Digest>,
}

/// A broken rule in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BrokenRule {
    /// Its name.
    pub rule: String,
    /// What its breach means.
    pub severity: Severity,
    /// What the data are, for people.
    pub sentence: String,
}

/// What a container says of the checks of a pod's inputs when it ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckMessage {
    /// The reports in short, in the config's order.
    pub checks: Vec<CheckSummary>,
    /// Why there are none, or not all.
    pub failure: Option<String>,
}

/// A message that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckMessageError {
    /// It is no JSON of the expected form.
    #[error("the message about the checks is malformed: {0}")]
    Malformed(String),
    /// It is of another version.
    #[error("the message about the checks is of version {0}, expected {CHECK_VERSION}")]
    OtherVersion(u32),
}

/// A summary as it is written, in the order of its fields: names would take what sentences need.
#[derive(Clone, Serialize, Deserialize)]
struct WireCheck(String, CheckVerdict, String, [u64; 5], Vec<(String, Severity, String)>, Option<String>);

/// A message as it is written.
#[derive(Serialize, Deserialize)]
struct Wire {
    v: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    c: Vec<WireCheck>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
}

impl WireCheck {
    fn new(check: &CheckSummary) -> Self {
        let plain = |text: &String| crate::text::plain(text);
        let broken = check.broken.iter().map(|rule| (plain(&rule.rule), rule.severity, plain(&rule.sentence)));
        let counts = [check.rows, check.rules, check.errors, check.warnings, check.not_checked];
        let report = check.report.as_ref().map(Digest::short);
        Self(check.input.clone(), check.verdict, plain(&check.sentence), counts, broken.collect(), report)
    }

    fn summary(self) -> Result<CheckSummary, CheckMessageError> {
        let Self(input, verdict, sentence, [rows, rules, errors, warnings, not_checked], broken, report) = self;
        let broken = broken.into_iter().map(|(rule, severity, sentence)| BrokenRule { rule, severity, sentence });
        let digest = |text: String| {
            Digest::from_short(&text).ok_or_else(|| CheckMessageError::Malformed(format!("{text:?} is no digest")))
        };
        let (broken, report) = (broken.collect(), report.map(digest).transpose()?);
        Ok(CheckSummary { input, verdict, sentence, rows, rules, errors, warnings, not_checked, broken, report })
    }

    /// Leaves no more broken rules, and no longer texts.
    fn shorten(&mut self, broken: usize, bytes: usize) {
        crate::text::truncate(&mut self.2, bytes);
        self.4.truncate(broken);
        for (rule, _, sentence) in &mut self.4 {
            crate::text::truncate(rule, 64);
            crate::text::truncate(sentence, bytes);
        }
    }
}

impl CheckMessage {
    /// The JSON that is written, within [`MAX_CHECK_MESSAGE_BYTES`] for as many inputs as a step may have: texts are cut and
    /// broken rules left out until it is, and the digests of reports last. Inputs and verdicts are always there.
    pub fn to_json(&self) -> String {
        let checks = self.checks.iter().map(WireCheck::new).collect();
        let mut wire = Wire { v: CHECK_VERSION, c: checks, failure: self.failure.as_deref().map(crate::text::plain) };
        let mut json = String::new();
        for (broken, bytes) in [(MAX_BROKEN, limits::SENTENCE), (2, 256), (1, 160), (1, 96), (0, 96), (0, 32), (0, 0)] {
            wire.c.iter_mut().for_each(|check| check.shorten(broken, bytes));
            wire.failure.iter_mut().for_each(|text| crate::text::truncate(text, bytes.max(96)));
            json = serde_json::to_string(&wire).unwrap_or_default();
            if json.len() <= MAX_CHECK_MESSAGE_BYTES {
                return json;
            }
        }
        wire.c.iter_mut().for_each(|check| check.5 = None);
        serde_json::to_string(&wire).unwrap_or(json)
    }

    /// Reads a termination message.
    ///
    /// # Errors
    /// Anything but JSON of this version.
    pub fn parse(text: &str) -> Result<Self, CheckMessageError> {
        #[derive(Deserialize)]
        struct Version {
            v: u32,
        }
        let malformed = |error: serde_json::Error| CheckMessageError::Malformed(error.to_string());
        let Version { v } = serde_json::from_str(text).map_err(malformed)?;
        if v != CHECK_VERSION {
            return Err(CheckMessageError::OtherVersion(v));
        }
        let wire: Wire = serde_json::from_str(text).map_err(malformed)?;
        let checks = wire.c.into_iter().map(WireCheck::summary).collect::<Result<_, _>>()?;
        Ok(Self { checks, failure: wire.failure })
    }
}

//! What became of each rule of a schema object: one change for each that moved, however it did.

use super::implies::implies;
use super::moved::{is_about_the_same, moved};
use super::{Change, Effect, change};
use crate::contract::check::{Rule, RuleKind, Severity};
use crate::data_contract::{Schema, describe};

/// Which rule of the newer schema object each rule of the older one became, by their numbers.
struct Pairs {
    /// For each of the older.
    of_old: Vec<Option<usize>>,
    /// Whether a rule of the newer one is taken.
    taken: Vec<bool>,
}

impl Pairs {
    /// Pairs those that are left, in their order, where both agree.
    fn pair(&mut self, old: &[&Rule], new: &[&Rule], agree: impl Fn(&RuleKind, &RuleKind) -> bool) {
        for (one, pair) in old.iter().zip(&mut self.of_old).filter(|(_, pair)| pair.is_none()) {
            let found = new.iter().zip(&mut self.taken).enumerate();
            let mut free = found.filter(|(_, (other, taken))| !**taken && agree(&one.check, &other.check));
            if let Some((number, (_, taken))) = free.next() {
                (*pair, *taken) = (Some(number), true);
            }
        }
    }
}

/// Adds what changed. A rule of the older schema object is the same, moved, met by another rule, or gone; one of the newer is
/// new only where no older rule ruled out as much.
pub(super) fn compare(old: &Schema, new: &Schema, changes: &mut Vec<Change>) {
    let (older, newer) = (beside(old, new), beside(new, old));
    let mut pairs = Pairs { of_old: vec![None; older.len()], taken: vec![false; newer.len()] };
    pairs.pair(&older, &newer, |one, other| one == other);
    pairs.pair(&older, &newer, |one, other| implies(one, other) && implies(other, one));
    pairs.pair(&older, &newer, |one, other| {
        is_about_the_same(one, other) && (implies(one, other) || implies(other, one))
    });
    pairs.pair(&older, &newer, is_about_the_same);
    pairs.pair(&older, &newer, implies);
    let Pairs { of_old, mut taken } = pairs;
    for (rule, pair) in older.iter().zip(of_old) {
        let place = place(old, &rule.check);
        let met = pair.or_else(|| met(rule, &newer));
        match met.and_then(|number| Some((newer.get(number)?, taken.get_mut(number)?))) {
            Some((met, taken)) => {
                *taken = true;
                became(&place, rule, met, changes);
            }
            None => {
                let what = format!("it is no longer promised that {}", describe(&rule.check));
                changes.push(change(&place, what, Effect::Breaks));
            }
        }
    }
    for (rule, _) in newer.iter().zip(taken).filter(|(_, taken)| !taken) {
        // What only warned kept no data back.
        let kept = |other: &&Rule| other.severity == Severity::Error || rule.severity == Severity::Warning;
        if !older.iter().copied().filter(kept).any(|other| implies(&other.check, &rule.check)) {
            let what = format!("it is new that {}", describe(&rule.check));
            changes.push(change(&place(new, &rule.check), what, stops(rule)));
        }
    }
}

/// The rules of a schema object about columns that the other has as well. What says which columns there are, and of which
/// types, is said of the columns.
fn beside<'a>(schema: &'a Schema, other: &Schema) -> Vec<&'a Rule> {
    let is_there = |name: &str| other.columns.iter().any(|column| column.name == name);
    let is_compared = |rule: &&Rule| {
        let is_of_columns = matches!(rule.check, RuleKind::Type { .. } | RuleKind::Present { .. });
        !is_of_columns && rule.check.columns().into_iter().all(is_there)
    };
    schema.rules.iter().filter(is_compared).collect()
}

/// The number of a newer rule that rules out at least as much as an older one, of one that stops rather than one that warns.
fn met(rule: &Rule, newer: &[&Rule]) -> Option<usize> {
    let met = || newer.iter().enumerate().filter(|(_, other)| implies(&other.check, &rule.check));
    let stops = met().find(|(_, other)| other.severity == Severity::Error);
    stops.or_else(|| met().next()).map(|(number, _)| number)
}

/// Adds what it means that one rule became another.
fn became(place: &str, old: &Rule, new: &Rule, changes: &mut Vec<Change>) {
    let is_stricter = implies(&new.check, &old.check);
    let is_looser = implies(&old.check, &new.check);
    if !(is_stricter && is_looser) {
        let effect = if is_stricter { stops(new) } else { Effect::Breaks };
        changes.push(change(place, moved(&old.check, &new.check), effect));
    }
    severities(place, &describe(&new.check), old, new, changes);
}

/// What a rule means that data did not have to keep before.
const fn stops(rule: &Rule) -> Effect {
    match rule.severity {
        Severity::Error => Effect::MayStop,
        Severity::Warning => Effect::Harmless,
    }
}

fn place(schema: &Schema, rule: &RuleKind) -> String {
    match rule.columns().as_slice() {
        [column] => format!("{}.{column}", schema.name),
        _ => schema.name.clone(),
    }
}

fn severities(place: &str, demand: &str, old: &Rule, new: &Rule, changes: &mut Vec<Change>) {
    match (old.severity, new.severity) {
        (Severity::Error, Severity::Warning) => {
            changes.push(change(place, format!("it only warns from now on where not {demand}"), Effect::Breaks));
        }
        (Severity::Warning, Severity::Error) => {
            changes.push(change(place, format!("a step stops from now on where not {demand}"), Effect::MayStop));
        }
        _ => {}
    }
}

//! Many evaluations by chance: what intervals promise, they hold.

use seatrial_crds::{FlaggedCounts, Fold};
use serde_json::json;

use super::fixture::{decided, flagged, judged, measurement, model, point, rows};
use super::intervals::{Interval, Proportion, difference, ratio, z};
use super::paired::{self, Paired};
use super::*;

/// A generator of numbers for what follows (Steele's splitmix64): the same ones each time.
struct Chance(u64);

impl Chance {
    fn number(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        #[expect(clippy::cast_precision_loss, reason = "53 bits are chance enough")]
        let number = (mixed >> 11) as f64 / (1_u64 << 53) as f64;
        number
    }

    fn happens(&mut self, probability: f64) -> bool {
        self.number() < probability
    }

    fn count(&mut self, of: i64, probability: f64) -> i64 {
        (0..of).filter(|_| self.happens(probability)).count().try_into().unwrap_or(0)
    }
}

/// A thousand evaluations of one model: the cost's interval holds the true cost in at least 93 % of them, and a model that
/// is worth nothing passes no more often than its level allows.
#[test]
fn intervals_hold_what_they_promise_and_noise_does_not_pass() {
    let mut chance = Chance(0x5ea7_41a1);
    // True rates: 15 % missed, 12 % flagged; the true cost is 1.4 * 0.15 + 0.93 * 0.12 = 0.3216.
    let held = (0..1000)
        .filter(|_| {
            let measured =
                decided(&[("all", rows(150, 850), flagged(chance.count(150, 0.85), chance.count(850, 0.12)))]);
            let at = |max: &str| {
                let gate =
                    json!([{"name": "cheap", "type": "Cost", "cost": {"maxPerPrediction": max, "confidence": "0.95"}}]);
                judged(&model(|spec| spec["gates"] = gate), &measured, "cheap").verdict
            };
            // The interval holds the true cost where neither side of it is decided.
            at("0.3216") == Verdict::Inconclusive
        })
        .count();
    assert!((930..=985).contains(&held), "{held}");
    // Flags at random: it saves 1.4 - (1.4 * 0.6 + 0.6 * 0.4) = 0 where a false alarm costs 0.56/0.372.
    let spec = model(|spec| {
        spec["errorCosts"]["falsePositive"] = "1.505376344086021505".into();
        spec["fairness"] =
            json!({"rules": [{"name": "same", "slice": "black", "metric": "FalsePositiveRate", "maxGap": "0.1"}]});
    });
    let (mut saves, mut alike) = (0, 0);
    for _ in 0..1000 {
        let measured = decided(&[
            ("no", rows(75, 425), flagged(chance.count(75, 0.4), chance.count(425, 0.35))),
            // Ten points more: the rule is just broken.
            ("yes", rows(75, 425), flagged(chance.count(75, 0.4), chance.count(425, 0.45))),
        ]);
        saves += usize::from(judged(&spec, &measured, "errorCosts").verdict == Verdict::Passed);
        alike += usize::from(judged(&spec, &measured, "fairness.same").verdict == Verdict::Passed);
    }
    assert!(saves <= 40 && alike <= 40, "{saves} {alike}");
}

/// Groups whose rates are known: the gap's interval and the ratio's hold the true ones.
#[test]
fn intervals_of_groups_hold_what_they_promise() {
    let mut chance = Chance(0x0dd5);
    let (mut gaps, mut ratios) = (0, 0);
    for _ in 0..1000 {
        let part = |chance: &mut Chance, of, rate| Proportion { part: chance.count(of, rate), whole: of };
        let (one, other) = (part(&mut chance, 120, 0.06), part(&mut chance, 400, 0.12));
        let holds = |range: Interval, truth: f64| usize::from(range.low <= truth && truth <= range.high);
        gaps += holds(difference(other, one, z(0.95, 1)), 0.06);
        ratios += holds(ratio(one, other, z(0.95, 1)), 0.5);
    }
    assert!((930..=985).contains(&gaps) && (930..=985).contains(&ratios), "{gaps} {ratios}");
}

/// So many rows that two decide rightly so often, alike in this part of them: both right, the first alone, the second alone,
/// neither.
fn paired(chance: &mut Chance, of: i64, (first, second): (f64, f64), alike: f64) -> Paired {
    let mut found = Paired::default();
    for _ in 0..of {
        // Where they are alike, one draw decides for both.
        let draw = chance.number();
        let other = if chance.happens(alike) { draw } else { chance.number() };
        let cell = match (draw < first, other < second) {
            (true, true) => &mut found.both,
            (true, false) => &mut found.first,
            (false, true) => &mut found.second,
            (false, false) => &mut found.neither,
        };
        *cell += 1;
    }
    found
}

/// Two versions on the same rows, alike in most: the gain's interval holds the true gain, by costs and by single rates, and one
/// that is no better passes no more often than its level allows.
#[test]
fn intervals_of_duels_hold_what_they_promise_and_an_equal_does_not_pass() {
    let mut chance = Chance(0xd0e1);
    let z = z(0.95, 1);
    let holds = |range: Interval, truth: f64| usize::from(range.low <= truth && truth <= range.high);
    for (positives, negatives, alike) in [(150, 850, 0.9), (60, 200, 0.5), (400, 4000, 0.97)] {
        let (mut costs, mut rates, mut passes) = (0, 0, 0);
        for _ in 0..1000 {
            let found = paired(&mut chance, positives, (0.85, 0.82), alike);
            let spared = paired(&mut chance, negatives, (0.9, 0.91), alike);
            // 1.4 * 0.03 - 0.93 * 0.01.
            costs += holds(paired::weighted_sum(1.4, found, 0.93, spared, z), 0.0327);
            rates += holds(found.interval(z), 0.03);
            let equal = [positives, negatives].map(|of| paired(&mut chance, of, (0.85, 0.85), alike));
            passes += usize::from(paired::weighted_sum(1.4, equal[0], 0.93, equal[1], z).low > 0.0);
        }
        assert!((930..=995).contains(&costs) && (930..=995).contains(&rates), "{positives}: {costs} {rates}");
        assert!(passes <= 40, "{positives}: {passes}");
    }
}

/// A row: whether it is positive, and its score.
type Row = (bool, f64);

/// So many rows, whose scores are a little higher for positives: by `lift`.
fn scored(chance: &mut Chance, positives: usize, negatives: usize, lift: f64) -> Vec<Row> {
    // The sum of four numbers is nearly normal.
    let mut bell = |shift: f64| (0..4).map(|_| chance.number()).sum::<f64>() + shift;
    let rows = (0..positives + negatives).map(|number| number < positives);
    rows.map(|is_positive| (is_positive, bell(if is_positive { lift } else { 0.0 }))).collect()
}

fn flagged_from(rows: &[Row], threshold: f64) -> FlaggedCounts {
    let of = |class| rows.iter().filter(|(is_positive, score)| *is_positive == class && *score >= threshold).count();
    flagged(of(true).try_into().unwrap(), of(false).try_into().unwrap())
}

/// Each row by turns in one of two folds, and thresholds between the lowest and the highest score.
fn cross_fitted(scores: &[Row]) -> Measurement {
    let part = |number: usize| scores.iter().skip(number).step_by(2).copied().collect::<Vec<Row>>();
    let parts = [part(0), part(1)];
    let thresholds: Vec<f64> = (0..=20).rev().map(|number| f64::from(number) / 4.0).collect();
    let fold = |own: &[Row], other: &[Row]| {
        let positives = own.iter().filter(|(is_positive, _)| *is_positive).count();
        let counts = rows(positives.try_into().unwrap(), (own.len() - positives).try_into().unwrap());
        let at = |t: &f64| point(&t.to_string(), flagged_from(other, *t), flagged_from(own, *t), vec![]);
        Fold { rows: counts, groups: vec![], points: thresholds.iter().map(at).collect() }
    };
    measurement(vec![fold(&parts[0], &parts[1]), fold(&parts[1], &parts[0])], &[])
}

/// Scores that say nothing, on few rows, with a threshold chosen from many: the version that flatters itself most. Counted on
/// the rows that chose, noise saves something far too often; counted on the others, no more often than its level.
#[test]
fn a_threshold_that_noise_chose_saves_nothing() {
    let mut chance = Chance(0xbad_cafe);
    // To flag nobody costs 0.5 * 1; so does to flag everybody. Noise saves nothing at any threshold.
    let even = model(|spec| {
        spec["errorCosts"]["falseNegative"] = "1".into();
        spec["errorCosts"]["prevalence"] = "0.5".into();
    });
    let (mut passed, mut flattered) = (0, 0);
    for number in 0..1000 {
        let measured = cross_fitted(&scored(&mut chance, 40, 40, 0.0));
        passed += usize::from(judged(&even, &measured, "errorCosts").verdict == Verdict::Passed);
        if number >= 200 {
            continue;
        }
        let mut cheat = measured;
        for (own, other) in [(0, 1), (1, 0)] {
            let counts: Vec<FlaggedCounts> = cheat.folds[other].points.iter().map(|point| point.choosing).collect();
            cheat.folds[own].points.iter_mut().zip(counts).for_each(|(point, count)| point.counted = count);
            for point in &mut cheat.folds[own].points {
                point.choosing = point.counted;
            }
        }
        flattered += usize::from(judged(&even, &cheat, "errorCosts").verdict == Verdict::Passed);
    }
    // The halves choose for each other, which ties their counts together a little: 3.6 % in truth, of the 5 that are allowed.
    assert!(passed <= 50, "{passed}");
    assert!(flattered > 20, "the test would not notice: {flattered}");
}

/// The area under the curve and its error by DeLong's formula, pair by pair.
fn auc(scores: &[Row]) -> (f64, f64) {
    let of = |class: bool| scores.iter().filter(move |(is_positive, _)| *is_positive == class).map(|(_, score)| *score);
    let (positives, negatives): (Vec<f64>, Vec<f64>) = (of(true).collect(), of(false).collect());
    #[expect(clippy::cast_precision_loss, reason = "there are few")]
    let mean = |numbers: &[f64]| numbers.iter().sum::<f64>() / numbers.len() as f64;
    let beaten = |own: &[f64], theirs: &[f64], sign: f64| -> Vec<f64> {
        let wins = |one: &f64| theirs.iter().map(|other| f64::from((one - other) * sign > 0.0)).collect::<Vec<f64>>();
        own.iter().map(|one| mean(&wins(one))).collect()
    };
    let parts = [beaten(&positives, &negatives, 1.0), beaten(&negatives, &positives, -1.0)];
    let area = mean(&parts[0]);
    let variance = parts.iter().map(|part| {
        let squares: Vec<f64> = part.iter().map(|one| (one - area).powi(2)).collect();
        #[expect(clippy::cast_precision_loss, reason = "there are few")]
        let rows = part.len() as f64;
        mean(&squares) / (rows - 1.0)
    });
    (area, variance.sum::<f64>().sqrt())
}

/// The area of these scores is 0.9: its interval holds that, on few rows as well.
#[test]
fn intervals_of_areas_hold_what_they_promise() {
    let mut chance = Chance(0xa12ea);
    let lift = 1.0562;
    let beaten = scored(&mut chance, 50_000, 50_000, lift);
    let (positives, negatives) = beaten.split_at(50_000);
    let won = positives.iter().zip(negatives).filter(|(positive, negative)| positive.1 > negative.1).count();
    assert!((44_700..=45_300).contains(&won), "{won}");
    let held = (0..1000)
        .filter(|_| {
            let (area, error) = auc(&scored(&mut chance, 20, 40, lift));
            let range = intervals::area(area, error, 20, z(0.95, 1));
            range.low <= 0.9 && 0.9 <= range.high
        })
        .count();
    assert!((930..=985).contains(&held), "{held}");
}

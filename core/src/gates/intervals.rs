//! Intervals of confidence, each by a method that has a name and a source. They are computed in floating-point numbers: what
//! they decide is uncertain by far more than these round.

use crate::rational::{self, Rational};

/// An interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Interval {
    /// Its lower end.
    pub(super) low: f64,
    /// Its upper end.
    pub(super) high: f64,
}

/// Some of a number of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Proportion {
    /// How many are counted.
    pub(super) part: i64,
    /// Of how many.
    pub(super) whole: i64,
}

impl Proportion {
    /// The point estimate; 0 of nothing.
    pub(super) fn rate(self) -> f64 {
        if self.whole > 0 { float(self.part) / float(self.whole) } else { 0.0 }
    }

    /// The same without rounding.
    pub(super) fn exact(self) -> Rational {
        rational::of(self.part, self.whole)
    }

    /// Those that are not counted.
    pub(super) fn complement(self) -> Self {
        Self { part: self.whole.saturating_sub(self.part), whole: self.whole }
    }

    /// Wilson's score interval (Wilson 1927, Journal of the American Statistical Association 22). From 0 to 1 where nothing
    /// was counted.
    pub(super) fn wilson(self, z: f64) -> Interval {
        if self.whole <= 0 {
            return Interval { low: 0.0, high: 1.0 };
        }
        let score = score(self.rate(), float(self.whole), z);
        // At the ends the interval reaches the end, but for what rounding leaves.
        let low = if self.part <= 0 { 0.0 } else { score.low };
        let high = if self.part >= self.whole { 1.0 } else { score.high };
        Interval { low, high }
    }
}

fn score(p: f64, n: f64, z: f64) -> Interval {
    let scale = 1.0 + z * z / n;
    let center = (p + z * z / (2.0 * n)) / scale;
    let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt() / scale;
    Interval { low: (center - half).max(0.0), high: (center + half).min(1.0) }
}

/// The interval of an area under the ROC curve, on the scale of its logit (Pepe 2003, The Statistical Evaluation of Medical
/// Tests, section 5.2), so that it stays between 0 and 1. An area without error, such as that of classes wholly apart, has
/// Wilson's interval of as many rows as the smaller class has: a few rows that are wholly apart by chance prove little.
pub(super) fn area(area: f64, error: f64, smaller_class: i64, z: f64) -> Interval {
    let rest = area * (1.0 - area);
    if !(rest > 0.0 && error > 0.0) {
        return score(area.clamp(0.0, 1.0), float(smaller_class.max(1)), z);
    }
    let (middle, half) = ((area / (1.0 - area)).ln(), z * error / rest);
    let back = |logit: f64| 1.0 / (1.0 + (-logit).exp());
    Interval { low: back(middle - half), high: back(middle + half) }
}

#[expect(clippy::cast_precision_loss, reason = "counts beyond 2^53 change no interval")]
pub(super) const fn float(count: i64) -> f64 {
    count as f64
}

/// `a` times one rate plus `b` times another, of rows that are independent; neither factor is negative. The method of
/// variance estimates recovery (Zou and Donner 2008, Statistics in Medicine 27) from the rates' own intervals, which is
/// Newcombe's square-and-add for sums.
pub(super) fn weighted_sum(a: f64, first: Proportion, b: f64, second: Proportion, z: f64) -> Interval {
    let (one, other) = (first.wilson(z), second.wilson(z));
    let (p, q) = (first.rate(), second.rate());
    let estimate = a * p + b * q;
    let below = (a * (p - one.low)).hypot(b * (q - other.low));
    let above = (a * (one.high - p)).hypot(b * (other.high - q));
    Interval { low: estimate - below, high: estimate + above }
}

/// The first rate less the second (Newcombe 1998, Statistics in Medicine 17, method 10).
pub(super) fn difference(first: Proportion, second: Proportion, z: f64) -> Interval {
    let (one, other) = (first.wilson(z), second.wilson(z));
    let (p, q) = (first.rate(), second.rate());
    let below = (p - one.low).hypot(other.high - q);
    let above = (one.high - p).hypot(q - other.low);
    Interval { low: p - q - below, high: p - q + above }
}

/// The first rate over the second (Donner and Zou 2012, Statistical Methods in Medical Research 21, MOVER-R). Without a
/// bound above where the second may be 0.
pub(super) fn ratio(first: Proportion, second: Proportion, z: f64) -> Interval {
    let (one, other) = (first.wilson(z), second.wilson(z));
    let (p, q) = (first.rate(), second.rate());
    let root =
        |own: f64, theirs: f64| ((p * q).powi(2) - own * theirs * (2.0 * p - own) * (2.0 * q - theirs)).max(0.0).sqrt();
    let below = other.high * (2.0 * q - other.high);
    let above = other.low * (2.0 * q - other.low);
    let low = if below > 0.0 { (p * q - root(one.low, other.high)) / below } else { 0.0 };
    let high = if above > 0.0 { (p * q + root(one.high, other.low)) / above } else { f64::INFINITY };
    Interval { low: low.max(0.0), high }
}

/// The `z` of a two-sided interval of this level, shared among so many comparisons (Bonferroni): 1.96 for 0.95 and one.
pub(super) fn z(level: f64, comparisons: usize) -> f64 {
    let comparisons = i64::try_from(comparisons.max(1)).unwrap_or(i64::MAX);
    -normal_quantile((1.0 - level) / 2.0 / float(comparisons))
}

/// The quantile of the normal distribution: Acklam's rational approximation, whose relative error is below 1.2e-9.
fn normal_quantile(p: f64) -> f64 {
    let poly = |coefficients: &[f64], x: f64| coefficients.iter().fold(0.0, |sum, c| sum * x + c);
    let tail = |p: f64| {
        let q = (-2.0 * p.ln()).sqrt();
        poly(
            &[
                -7.784_894_002_430_293e-3,
                -3.223_964_580_411_365e-1,
                -2.400_758_277_161_838,
                -2.549_732_539_343_734,
                4.374_664_141_464_968,
                2.938_163_982_698_783,
            ],
            q,
        ) / poly(
            &[7.784_695_709_041_462e-3, 3.224_671_290_700_398e-1, 2.445_134_137_142_996, 3.754_408_661_907_416, 1.0],
            q,
        )
    };
    if p <= 0.0 {
        return f64::NEG_INFINITY;
    }
    if p >= 1.0 {
        return f64::INFINITY;
    }
    if p < 0.024_25 {
        return tail(p);
    }
    if p > 1.0 - 0.024_25 {
        return -tail(1.0 - p);
    }
    let q = p - 0.5;
    let r = q * q;
    q * poly(
        &[
            -3.969_683_028_665_376e1,
            2.209_460_984_245_205e2,
            -2.759_285_104_469_687e2,
            1.383_577_518_672_69e2,
            -3.066_479_806_614_716e1,
            2.506_628_277_459_239,
        ],
        r,
    ) / poly(
        &[
            -5.447_609_879_822_406e1,
            1.615_858_368_580_409e2,
            -1.556_989_798_598_866e2,
            6.680_131_188_771_972e1,
            -1.328_068_155_288_572e1,
            1.0,
        ],
        r,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 5e-5, "{found} is not {expected}");
    }

    #[test]
    fn quantiles_are_those_of_the_tables() {
        for (level, comparisons, expected) in
            [(0.95, 1, 1.959_964), (0.99, 1, 2.575_829), (0.9, 1, 1.644_854), (0.95, 10, 2.807_034), (0.5, 1, 0.674_49)]
        {
            near(z(level, comparisons), expected);
        }
    }

    /// The examples of Newcombe's two papers of 1998: 81 of 263, and 56 of 70 less 48 of 80.
    #[test]
    fn intervals_are_those_of_their_papers() {
        let wilson = Proportion { part: 81, whole: 263 }.wilson(z(0.95, 1));
        near(wilson.low, 0.2553);
        near(wilson.high, 0.3662);
        let wilson = Proportion { part: 0, whole: 20 }.wilson(z(0.95, 1));
        near(wilson.low, 0.0);
        near(wilson.high, 0.1611);
        let difference = difference(Proportion { part: 56, whole: 70 }, Proportion { part: 48, whole: 80 }, z(0.95, 1));
        near(difference.low, 0.0524);
        near(difference.high, 0.3339);
    }

    /// The area of Hanley and McNeil 1982, 0.893 with an error of 0.032, by hand: logit 2.1218, half 1.96 * 0.032 / 0.09555.
    #[test]
    fn an_area_stays_between_its_ends() {
        let found = area(0.893, 0.032, 51, z(0.95, 1));
        near(found.low, 0.8124);
        near(found.high, 0.9415);
        // Wholly apart: 10 / (10 + 1.96²).
        near(area(1.0, 0.0, 10, z(0.95, 1)).low, 0.7225);
        near(area(1.0, 0.0, 10, z(0.95, 1)).high, 1.0);
        near(area(0.0, 0.0, 10, z(0.95, 1)).high, 0.2775);
        assert!(area(0.5, 0.0, 0, 1.96).low < 0.2);
    }

    #[test]
    fn a_sum_is_the_difference_of_the_complement() {
        let (first, second) = (Proportion { part: 56, whole: 70 }, Proportion { part: 48, whole: 80 });
        let sum = weighted_sum(1.0, first, 1.0, second.complement(), z(0.95, 1));
        near(sum.low, 1.0524);
        near(sum.high, 1.3339);
    }

    #[test]
    fn a_ratio_of_equals_holds_one_and_nothing_is_divided_by_zero() {
        let some = Proportion { part: 30, whole: 100 };
        let equal = ratio(some, some, z(0.95, 1));
        assert!(equal.low < 1.0 && 1.0 < equal.high && equal.low > 0.6 && equal.high < 1.6, "{equal:?}");
        let none = Proportion { part: 0, whole: 100 };
        assert_eq!(ratio(some, none, 1.96).high, f64::INFINITY);
        assert_eq!(ratio(none, some, 1.96).low, 0.0);
        assert!(ratio(none, Proportion::default(), 1.96).low >= 0.0);
    }
}

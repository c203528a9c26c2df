//! The counts of a measurement in as few bits as they take: each is written with as many bits as the largest value needs
//! that it can have by what was written before it. The groups of a slice share the rows of their fold, and a point adds to
//! the one before it; so counts of 64 groups have room where they would not as text.
//!
//! Writing and reading go the same way, step by step: whoever reads gives nothing, and gets what was written.

use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use seatrial_crds::{ClassCounts, CurvePoint, FlaggedCounts, Fold, FoldPoint, MeasuredGroup, limits};

use crate::decimal;

/// What is counted: folds, and the curve of all rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Counts {
    pub(super) folds: Vec<Fold>,
    pub(super) curve: Vec<CurvePoint>,
}

impl Counts {
    /// The text of counts of so many rows in these groups; `None` where they do not fit each other.
    pub(super) fn pack(&self, rows: i64, groups: &[MeasuredGroup]) -> Option<String> {
        let has_all = |fold: &Fold| {
            let of_points = fold.points.iter().map(|point| point.groups.len());
            of_points.chain([fold.groups.len()]).all(|length| length == groups.len())
        };
        if !self.folds.iter().all(has_all) {
            return None;
        }
        let mut writer = Writer::default();
        code(&mut writer, u64::try_from(rows).ok()?, groups, self)?;
        Some(URL_SAFE_NO_PAD.encode(writer.bytes))
    }

    /// Reads a text; `None` where it is none of counts of so many rows in these groups.
    pub(super) fn unpack(text: &str, rows: i64, groups: &[MeasuredGroup]) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        code(&mut Reader { bytes: &bytes, place: 0 }, u64::try_from(rows).ok()?, groups, &Self::default())
    }
}

/// Writes numbers, or reads others in their place.
trait Coder {
    /// A number of at most `bound`; `None` where it is larger, or where nothing is left to read.
    fn number(&mut self, number: u64, bound: u64) -> Option<u64>;

    /// A number that can only be this one: it takes no bit. `None` where another is to be written.
    fn known(&self, number: u64, known: u64) -> Option<u64>;
}

/// How many bits the numbers up to a bound take.
const fn bits(bound: u64) -> u32 {
    u64::BITS - bound.leading_zeros()
}

/// Writes bits, the highest of each number first.
#[derive(Default)]
struct Writer {
    bytes: Vec<u8>,
    /// How many bits of the last byte are taken; 0 where all are.
    taken: u32,
}

impl Coder for Writer {
    fn number(&mut self, number: u64, bound: u64) -> Option<u64> {
        if number > bound {
            return None;
        }
        for place in (0..bits(bound)).rev() {
            if self.taken == 0 {
                self.bytes.push(0);
            }
            let is_set = (number >> place) & 1 == 1;
            if let Some(last) = self.bytes.last_mut().filter(|_| is_set) {
                *last |= 1 << (7 - self.taken);
            }
            self.taken = (self.taken + 1) % 8;
        }
        Some(number)
    }

    fn known(&self, number: u64, known: u64) -> Option<u64> {
        (number == known).then_some(known)
    }
}

/// Reads them again.
struct Reader<'a> {
    bytes: &'a [u8],
    place: usize,
}

impl Coder for Reader<'_> {
    fn number(&mut self, _: u64, bound: u64) -> Option<u64> {
        let mut number = 0;
        for _ in 0..bits(bound) {
            let byte = self.bytes.get(self.place / 8)?;
            number = (number << 1) | u64::from((byte >> (7 - self.place % 8)) & 1);
            self.place += 1;
        }
        (number <= bound).then_some(number)
    }

    fn known(&self, _: u64, known: u64) -> Option<u64> {
        Some(known)
    }
}

/// Of two classes: positives and negatives, or the true and the false of those taken for positive.
type Pair = [u64; 2];

const NONE: Pair = [0, 0];

fn pair(one: i64, other: i64) -> Option<Pair> {
    Some([u64::try_from(one).ok()?, u64::try_from(other).ok()?])
}

fn of_class(counts: &ClassCounts) -> Option<Pair> {
    pair(counts.positives, counts.negatives)
}

fn of_flagged(counts: &FlaggedCounts) -> Option<Pair> {
    pair(counts.true_positives, counts.false_positives)
}

fn class(pair: Pair) -> Option<ClassCounts> {
    let [positives, negatives] = pair.map(|count| i64::try_from(count).ok());
    Some(ClassCounts { positives: positives?, negatives: negatives? })
}

fn flagged(pair: Pair) -> Option<FlaggedCounts> {
    let [true_positives, false_positives] = pair.map(|count| i64::try_from(count).ok());
    Some(FlaggedCounts { true_positives: true_positives?, false_positives: false_positives? })
}

/// `f` of both classes.
fn both(one: Pair, other: Pair, f: impl Fn(u64, u64) -> Option<u64>) -> Option<Pair> {
    let ([a, b], [c, d]) = (one, other);
    Some([f(a, c)?, f(b, d)?])
}

fn minus(one: Pair, other: Pair) -> Option<Pair> {
    both(one, other, u64::checked_sub)
}

fn plus(one: Pair, other: Pair) -> Option<Pair> {
    both(one, other, u64::checked_add)
}

fn code_pair(coder: &mut impl Coder, [a, b]: Pair, [most_a, most_b]: Pair) -> Option<Pair> {
    Some([coder.number(a, most_a)?, coder.number(b, most_b)?])
}

/// How many of a list there are, of which at most so many are possible.
fn code_length(coder: &mut impl Coder, length: usize, most: usize) -> Option<usize> {
    usize::try_from(coder.number(u64::try_from(length).ok()?, u64::try_from(most).ok()?)?).ok()
}

/// A decimal that is a floating-point number to the digit.
fn code_threshold(coder: &mut impl Coder, threshold: Option<&str>) -> Option<String> {
    let given = match threshold {
        Some(text) => text.parse::<f64>().ok().filter(|number| decimal::exact(*number) == text)?.to_bits(),
        None => 0,
    };
    Some(decimal::exact(f64::from_bits(coder.number(given, u64::MAX)?)))
}

/// The groups' parts of a whole, each at most so many. The groups of a slice share it: the last has what is left, and where
/// all that they can have is asked for, each has that.
fn code_parts(
    coder: &mut impl Coder,
    slices: &[Range<usize>],
    whole: Pair,
    given: &[Pair],
    most: Option<&[Pair]>,
) -> Option<Vec<Pair>> {
    let most_of = |place: usize| most.map_or(Some(whole), |most| most.get(place).copied());
    let mut parts = vec![];
    for slice in slices {
        let all = slice.clone().try_fold(NONE, |sum, place| plus(sum, most_of(place)?))?;
        let mut rest = whole;
        for place in slice.clone() {
            let given = given.get(place).copied().unwrap_or(NONE);
            let most = most_of(place)?;
            let part = if all == whole {
                both(given, most, |given, most| coder.known(given, most))?
            } else if place + 1 == slice.end {
                both(given, rest, |given, rest| coder.known(given, rest))?
            } else {
                code_pair(coder, given, both(rest, most, |rest, most| Some(rest.min(most)))?)?
            };
            minus(most, part)?;
            rest = minus(rest, part)?;
            parts.push(part);
        }
    }
    Some(parts)
}

/// Points that add to each other: what each adds of a whole.
fn code_added(coder: &mut impl Coder, given: Option<Pair>, before: Pair, whole: Pair) -> Option<Pair> {
    let added = minus(given.unwrap_or(before), before)?;
    code_pair(coder, added, minus(whole, before)?)
}

fn code(coder: &mut impl Coder, rows: u64, groups: &[MeasuredGroup], given: &Counts) -> Option<Counts> {
    let slices = slices(groups);
    let number = code_length(coder, given.folds.len(), 2)?;
    // The rows of all folds come first: those of one bound the points of the other.
    let mut known = vec![];
    for place in 0..number {
        let fold = given.folds.get(place);
        let all = code_pair(coder, fold.map_or(Some(NONE), |fold| of_class(&fold.rows))?, [rows, rows])?;
        let of_groups: Option<Vec<Pair>> = fold.iter().flat_map(|fold| &fold.groups).map(of_class).collect();
        let of_groups = code_parts(coder, &slices, all, &of_groups?, None)?;
        known.push((all, of_groups));
    }
    let mut folds = vec![];
    for (place, (all, of_groups)) in known.iter().enumerate() {
        let other = 1_usize.checked_sub(place).and_then(|other| known.get(other)).map_or(NONE, |(rows, _)| *rows);
        let points = given.folds.get(place).map(|fold| fold.points.as_slice()).unwrap_or_default();
        folds.push(Fold {
            rows: class(*all)?,
            groups: of_groups.iter().map(|pair| class(*pair)).collect::<Option<_>>()?,
            points: code_points(coder, &slices, (*all, of_groups, other), points)?,
        });
    }
    let all = known.iter().try_fold(NONE, |sum, (rows, _)| plus(sum, *rows))?;
    let (mut curve, mut before) = (vec![], NONE);
    for place in 0..code_length(coder, given.curve.len(), limits::CURVE_POINTS)? {
        let point = given.curve.get(place);
        let threshold = code_threshold(coder, point.map(|point| point.threshold.as_str()))?;
        let counts = point.map(|point| of_flagged(&point.flagged)).map_or(Some(None), |counts| counts.map(Some))?;
        before = plus(before, code_added(coder, counts, before, all)?)?;
        curve.push(CurvePoint { threshold, flagged: flagged(before)? });
    }
    Some(Counts { folds, curve })
}

/// The points of a fold, of which the rows, those of its groups, and the rows of the other fold are known.
fn code_points(
    coder: &mut impl Coder,
    slices: &[Range<usize>],
    (rows, of_groups, other): (Pair, &[Pair], Pair),
    given: &[FoldPoint],
) -> Option<Vec<FoldPoint>> {
    let mut points = vec![];
    let (mut choosing, mut counted, mut groups) = (NONE, NONE, vec![NONE; of_groups.len()]);
    for place in 0..code_length(coder, given.len(), limits::CURVE_POINTS)? {
        let point = given.get(place);
        let is_scored = point.is_some_and(|point| point.threshold.is_some());
        let threshold = match coder.number(u64::from(is_scored), 1)? {
            0 => None,
            _ => Some(code_threshold(coder, point.and_then(|point| point.threshold.as_deref()))?),
        };
        let of = |counts: fn(&FoldPoint) -> &FlaggedCounts| {
            point.map(|point| of_flagged(counts(point))).map_or(Some(None), |counts| counts.map(Some))
        };
        choosing = plus(choosing, code_added(coder, of(|point| &point.choosing)?, choosing, other)?)?;
        let added = code_added(coder, of(|point| &point.counted)?, counted, rows)?;
        counted = plus(counted, added)?;
        let mut given_parts = vec![];
        for (flagged, before) in point.iter().flat_map(|point| &point.groups).zip(&groups) {
            given_parts.push(minus(of_flagged(flagged)?, *before)?);
        }
        let most: Option<Vec<Pair>> = of_groups.iter().zip(&groups).map(|(all, before)| minus(*all, *before)).collect();
        let parts = code_parts(coder, slices, added, &given_parts, Some(&most?))?;
        groups = groups.iter().zip(&parts).map(|(before, part)| plus(*before, *part)).collect::<Option<_>>()?;
        points.push(FoldPoint {
            threshold,
            choosing: flagged(choosing)?,
            counted: flagged(counted)?,
            groups: groups.iter().map(|pair| flagged(*pair)).collect::<Option<_>>()?,
        });
    }
    Some(points)
}

/// Where the groups of each slice stand, one after the other.
fn slices(groups: &[MeasuredGroup]) -> Vec<Range<usize>> {
    let mut from = 0;
    let end = |same: &[MeasuredGroup]| {
        from += same.len();
        from - same.len()..from
    };
    groups.chunk_by(|one, next| one.slice == next.slice).map(end).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Rows of people: their fold, class, score, and their group of each of two slices.
    type Person = (bool, bool, u8, u8, u8);

    fn groups() -> Vec<MeasuredGroup> {
        let group = |slice: &str, value: String| MeasuredGroup { slice: slice.into(), value };
        let first = (0..3).map(|value| group("a", value.to_string()));
        first.chain((0..2).map(|value| group("b", value.to_string()))).collect()
    }

    fn of(people: &[Person], counts: impl Fn(&Person) -> bool) -> Pair {
        let class = |positive| people.iter().filter(|person| person.1 == positive && counts(person)).count() as u64;
        [class(true), class(false)]
    }

    fn of_each_group(people: &[Person], counts: impl Fn(&Person) -> bool) -> Vec<Pair> {
        let first = (0..3).map(|group| of(people, |person| person.3 == group && counts(person)));
        let second = (0..2).map(|group| of(people, |person| person.4 == group && counts(person)));
        first.chain(second).collect()
    }

    fn counted(people: &[Person]) -> Counts {
        let fold = |number: bool| {
            let point = |score: u8| FoldPoint {
                threshold: Some(decimal::exact(f64::from(score) / 7.0)),
                choosing: flagged(of(people, |p| p.0 != number && p.2 >= score)).unwrap(),
                counted: flagged(of(people, |p| p.0 == number && p.2 >= score)).unwrap(),
                groups: of_each_group(people, |p| p.0 == number && p.2 >= score)
                    .into_iter()
                    .map(|pair| flagged(pair).unwrap())
                    .collect(),
            };
            Fold {
                rows: class(of(people, |p| p.0 == number)).unwrap(),
                groups: of_each_group(people, |p| p.0 == number).into_iter().map(|pair| class(pair).unwrap()).collect(),
                points: [8, 6, 3, 0].map(point).to_vec(),
            }
        };
        let point = |score: u8| CurvePoint {
            threshold: decimal::exact(f64::from(score) / 7.0),
            flagged: flagged(of(people, |p| p.2 >= score)).unwrap(),
        };
        Counts { folds: vec![fold(false), fold(true)], curve: [9, 5, 0].map(point).to_vec() }
    }

    proptest! {
        #[test]
        fn counts_come_back(people in prop::collection::vec((any::<bool>(), any::<bool>(), 0_u8..8, 0_u8..3, 0_u8..2), 0..200)) {
            let (counts, rows) = (counted(&people), i64::try_from(people.len()).unwrap());
            let text = counts.pack(rows, &groups()).unwrap();
            prop_assert_eq!(Counts::unpack(&text, rows, &groups()), Some(counts));
        }

        /// Whoever writes the message cannot make a reader fail, or take memory.
        #[test]
        fn whatever_is_read_has_counts_within_their_bounds(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            if let Some(counts) = Counts::unpack(&URL_SAFE_NO_PAD.encode(bytes), 1000, &groups()) {
                prop_assert!(counts.folds.iter().all(|fold| fold.rows.positives <= 1000 && fold.points.len() <= limits::CURVE_POINTS));
            }
        }
    }

    #[test]
    fn counts_that_do_not_fit_each_other_are_not_written() {
        let people: Vec<Person> = (0..40).map(|n| (n % 2 == 0, n % 3 == 0, n % 8, n % 3, n % 2)).collect();
        let changes: [fn(&mut Counts); 8] = [
            |c| c.folds[0].rows.positives = -1,
            |c| c.folds[0].rows.negatives = 41,
            |c| c.folds[0].groups[0].positives = 99,
            |c| c.folds[1].points[1].counted.true_positives = 99,
            |c| c.folds[1].points[3].counted.true_positives = 0,
            |c| c.folds[1].points[2].groups[0].false_positives = 99,
            |c| c.folds[0].points[0].threshold = Some("high".into()),
            |c| c.curve[1].flagged.false_positives = 99,
        ];
        assert!(counted(&people).pack(40, &groups()).is_some());
        for (number, change) in changes.into_iter().enumerate() {
            let mut counts = counted(&people);
            change(&mut counts);
            assert_eq!(counts.pack(40, &groups()), None, "{number}");
        }
        for text in ["", "!", "A"] {
            assert_eq!(Counts::unpack(text, 40, &groups()), None, "{text:?}");
        }
    }
}

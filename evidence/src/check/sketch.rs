//! What a column's values are like: bounded, and the same in whatever order parts are added.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use seatrial_core::contract::check::{BINS, ColumnProfile, MAX_DISTINCT, MAX_FREQUENT, QUANTILES};
use seatrial_core::decimal::twelve_digits;

use super::column::ColumnPlan;
use super::moment;
use super::value::{Cell, Typed, shown};

/// Bytes of a value that is counted by itself.
const MAX_VALUE: usize = 64;
/// Bits of a floating-point number that a bucket leaves out: its ends are less than 1.6 % apart.
const LEFT_OUT: u32 = 46;

/// A quick hash for maps of bounded size, whose order nobody sees: multiplication by the golden ratio, eight bytes at a time.
/// Whoever makes values collide slows at most a thousand entries.
#[derive(Clone, Debug, Default)]
struct Multiply(u64);

type Quick = BuildHasherDefault<Multiply>;

impl Hasher for Multiply {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.write_u64(u64::from_le_bytes(*word)));
        let mut last = [0; 8];
        last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        self.write_u64(u64::from_le_bytes(last));
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(u64::from(byte));
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(23) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        // Tables look at the lowest and the highest bits.
        self.0 ^ self.0 >> 32
    }
}

/// The values of a column, in short. Numbers are counted in buckets whose ends are equally far apart in proportion, as
/// DDSketch has them (Masson, Rim and Lee 2019): where a number belongs does not depend on those that came before.
#[derive(Clone, Debug, Default)]
pub(super) struct Sketch {
    pub(super) rows: u64,
    /// By bucket, once there are too many numbers.
    buckets: HashMap<u32, u64, Quick>,
    /// By number, as long as they are few; empty once there are too many.
    few: HashMap<u64, u64, Quick>,
    many: bool,
    numbers: Option<(f64, f64)>,
    moments: Option<(i128, i128)>,
    /// By value; none once there are too many.
    values: Values,
}

#[derive(Clone, Debug)]
struct Values(Option<HashMap<String, u64, Quick>>);

impl Default for Values {
    fn default() -> Self {
        Self(Some(HashMap::default()))
    }
}

impl Values {
    fn add(&mut self, value: &str, count: u64) {
        let Some(values) = &mut self.0 else { return };
        if let Some(counted) = values.get_mut(value) {
            *counted += count;
        } else if values.len() < MAX_DISTINCT && value.len() <= MAX_VALUE {
            values.insert(value.to_owned(), count);
        } else {
            self.0 = None;
        }
    }
}

impl Sketch {
    /// Adds a value of the column's type.
    pub(super) fn add(&mut self, cell: Cell<'_>, value: &Typed<'_>) {
        match value {
            Typed::Number(number) => {
                let number = number.near + 0.0;
                self.count(number, 1);
                let (least, most) = self.numbers.unwrap_or((number, number));
                self.numbers = Some((least.min(number), most.max(number)));
                return;
            }
            Typed::Moment(moment) => {
                let (least, most) = self.moments.unwrap_or((*moment, *moment));
                self.moments = Some((least.min(*moment), most.max(*moment)));
            }
            Typed::Text(_) | Typed::Truth(_) => {}
            Typed::Array(_) | Typed::Object(_) | Typed::Nested => self.values.0 = None,
        }
        match cell {
            _ if self.values.0.is_none() => {}
            Cell::Raw(text) | Cell::Text(text) => self.values.add(text, 1),
            other => self.values.add(&shown(other), 1),
        }
    }

    /// Adds a number so often.
    fn count(&mut self, number: f64, times: u64) {
        if self.many {
            *self.buckets.entry(bucket(number)).or_default() += times;
        } else if let Some(counted) = self.few.get_mut(&number.to_bits()) {
            *counted += times;
        } else if self.few.len() < MAX_DISTINCT {
            self.few.insert(number.to_bits(), times);
        } else {
            self.spread();
            self.count(number, times);
        }
    }

    /// Counts the few numbers in buckets from here on.
    fn spread(&mut self) {
        self.many = true;
        for (bits, times) in std::mem::take(&mut self.few) {
            self.count(f64::from_bits(bits), times);
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.rows += other.rows;
        if other.many && !self.many {
            self.spread();
        }
        for (bits, times) in other.few {
            self.count(f64::from_bits(bits), times);
        }
        for (bucket, count) in other.buckets {
            *self.buckets.entry(bucket).or_default() += count;
        }
        let wider = |one: (f64, f64), other: (f64, f64)| (one.0.min(other.0), one.1.max(other.1));
        self.numbers = self.numbers.map(|one| other.numbers.map_or(one, |other| wider(one, other))).or(other.numbers);
        let wider = |one: (i128, i128), other: (i128, i128)| (one.0.min(other.0), one.1.max(other.1));
        self.moments = self.moments.map(|one| other.moments.map_or(one, |other| wider(one, other))).or(other.moments);
        match other.values.0 {
            Some(values) => values.iter().for_each(|(value, count)| self.values.add(value, *count)),
            None => self.values.0 = None,
        }
    }

    /// How many different values there are, where they were counted one by one.
    fn distinct(&self) -> Option<u64> {
        let texts = self.values.0.as_ref()?.len();
        (!self.many).then_some((texts + self.few.len()) as u64)
    }

    /// The profile of the column.
    pub(super) fn profile(&self, column: &ColumnPlan, nulls: u64, mistyped: u64) -> ColumnProfile {
        let mut profile = ColumnProfile {
            column: column.name.clone(),
            rows: self.rows,
            nulls,
            mistyped,
            distinct: self.distinct(),
            ..ColumnProfile::default()
        };
        if !column.shown {
            return profile;
        }
        if let (Some((least, most)), Some(kind)) = (self.moments, column.reader.kind) {
            profile.least = Some(moment::written(kind, least));
            profile.most = Some(moment::written(kind, most));
        }
        if let Some((least, most)) = self.numbers {
            profile.least = Some(twelve_digits(least));
            profile.most = Some(twelve_digits(most));
            let buckets: Vec<(f64, u64)> = if self.many {
                let ordered: BTreeMap<u32, u64> =
                    self.buckets.iter().map(|(bucket, count)| (*bucket, *count)).collect();
                ordered.into_iter().map(|(bucket, count)| (middle(bucket).clamp(least, most), count)).collect()
            } else {
                let few = self.few.iter().map(|(bits, count)| (f64::from_bits(*bits), *count));
                let mut few: Vec<(f64, u64)> = few.collect();
                few.sort_by(|one, other| one.0.total_cmp(&other.0));
                few
            };
            profile.quantiles = quantiles(&buckets);
            profile.histogram = histogram(&buckets, least, most);
        }
        if profile.distinct.is_some() {
            let texts = self.values.0.iter().flatten().map(|(value, count)| (value.clone(), *count));
            let numbers = self.few.iter().map(|(bits, count)| (twelve_digits(f64::from_bits(*bits)), *count));
            let mut frequent: Vec<(String, u64)> = texts.chain(numbers).collect();
            frequent.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
            frequent.truncate(MAX_FREQUENT);
            profile.frequent = frequent;
        }
        profile
    }
}

/// The bucket of a number: its first bits, so that larger numbers have larger ones.
const fn bucket(number: f64) -> u32 {
    let bits = number.to_bits();
    let ordered = if bits >> 63 == 0 { bits | 1 << 63 } else { !bits };
    (ordered >> LEFT_OUT) as u32
}

/// The number in the middle of a bucket.
const fn middle(bucket: u32) -> f64 {
    let ordered = ((bucket as u64) << LEFT_OUT) | 1 << (LEFT_OUT - 1);
    f64::from_bits(if ordered >> 63 == 1 { ordered & !(1 << 63) } else { !ordered })
}

/// The nearest-rank quantiles.
fn quantiles(buckets: &[(f64, u64)]) -> Vec<String> {
    let total: u64 = buckets.iter().map(|(_, count)| count).sum();
    let at = |hundredths: u8| {
        let rank = (u128::from(total) * u128::from(hundredths)).div_ceil(100).max(1);
        let mut before = 0_u128;
        let found = buckets.iter().find(|(_, count)| {
            before += u128::from(*count);
            before >= rank
        });
        found.map(|(number, _)| twelve_digits(*number)).unwrap_or_default()
    };
    QUANTILES.into_iter().map(at).collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a place among a few bins"
)]
fn histogram(buckets: &[(f64, u64)], least: f64, most: f64) -> Vec<u64> {
    let mut bins = vec![0; BINS];
    for (number, count) in buckets {
        // Halves do not overflow where the whole range would.
        let share = (number / 2.0 - least / 2.0) / (most / 2.0 - least / 2.0);
        let place = if share.is_finite() { ((share * BINS as f64) as usize).min(BINS - 1) } else { 0 };
        if let Some(bin) = bins.get_mut(place) {
            *bin += count;
        }
    }
    bins
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn buckets_keep_the_order_and_the_number(one in -1e12_f64..1e12, other in -1e12_f64..1e12) {
            prop_assert_eq!(one <= other || bucket(one) >= bucket(other), true);
            prop_assert!((middle(bucket(one)) - one).abs() <= one.abs() * 0.01 + f64::MIN_POSITIVE);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

        #[test]
        fn neither_order_nor_division_changes_what_is_counted(numbers in 900_u32..1100, cut in 0_u32..1100) {
            let sketch = |range: &mut dyn Iterator<Item = u32>| {
                let mut sketch = Sketch::default();
                range.for_each(|number| sketch.count(f64::from(number), 1));
                sketch
            };
            let said = |sketch: &Sketch| (sketch.distinct(), BTreeMap::from_iter(sketch.buckets.clone()), BTreeMap::from_iter(sketch.few.clone()));
            let whole = sketch(&mut (0..numbers));
            let mut parts = sketch(&mut (cut.min(numbers)..numbers).rev());
            parts.merge(sketch(&mut (0..cut.min(numbers))));
            prop_assert_eq!(said(&parts), said(&whole));
            prop_assert_eq!(whole.distinct().is_some(), numbers <= 1000);
        }
    }

    #[test]
    fn many_values_are_not_counted_one_by_one() {
        let mut few = Values::default();
        (0..MAX_DISTINCT).for_each(|number| few.add(&number.to_string(), 2));
        assert_eq!(few.0.as_ref().map(HashMap::len), Some(MAX_DISTINCT));
        few.add("0", 1);
        assert_eq!(few.0.as_ref().and_then(|values| values.get("0")), Some(&3));
        few.add("one more", 1);
        assert!(few.0.is_none());
    }
}

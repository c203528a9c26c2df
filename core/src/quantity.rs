//! Kubernetes' quantities, as far as sizes need them.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// The suffixes and what they multiply by, as in
/// <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>.
const SUFFIXES: [(&str, u64); 12] = [
    ("Ki", 1 << 10),
    ("Mi", 1 << 20),
    ("Gi", 1 << 30),
    ("Ti", 1 << 40),
    ("Pi", 1 << 50),
    ("Ei", 1 << 60),
    ("k", 1_000),
    ("M", 1_000_000),
    ("G", 1_000_000_000),
    ("T", 1_000_000_000_000),
    ("P", 1_000_000_000_000_000),
    ("E", 1_000_000_000_000_000_000),
];

/// A size in bytes, rounded up; `None` for what is no size, is negative, or does not fit.
pub fn bytes(quantity: &Quantity) -> Option<u64> {
    let text = quantity.0.trim();
    let found = SUFFIXES.iter().find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, *factor)));
    let (number, factor) = found.unwrap_or((text, 1));
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor);
    }
    let number: f64 = number.parse().ok().filter(|number: &f64| number.is_finite() && *number >= 0.0)?;
    #[expect(clippy::cast_precision_loss, reason = "a fraction of a unit needs no more than 52 bits")]
    let product = (number * factor as f64).ceil();
    #[expect(clippy::cast_precision_loss, clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "checked")]
    (product < u64::MAX as f64).then_some(product as u64)
}

/// The value, near enough to compare two; `None` for what is no quantity.
pub fn value(quantity: &Quantity) -> Option<f64> {
    let text = quantity.0.trim();
    let small = [("n", 1e-9), ("u", 1e-6), ("m", 1e-3)];
    #[expect(clippy::cast_precision_loss, reason = "powers of two and of ten, rounded alike on both sides")]
    let large = SUFFIXES.iter().map(|(suffix, factor)| (*suffix, *factor as f64));
    let found = large.chain(small).find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, factor)));
    let (number, factor) = found.unwrap_or((text, 1.0));
    let number: f64 = number.parse().ok().filter(|number: &f64| number.is_finite())?;
    Some(number * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_of_all_kinds_compare() {
        let value = |text: &str| value(&Quantity(text.into()));
        assert!(value("100m") < value("1") && value("1") < value("1k") && value("1k") < value("1Ki"));
        assert_eq!(value("1000m"), value("1"));
        assert_eq!((value("8GB"), value("")), (None, None));
    }

    #[test]
    fn sizes_are_read_as_kubernetes_writes_them() {
        for (text, expected) in [
            ("0", Some(0)),
            ("200Mi", Some(200 << 20)),
            ("1.5Gi", Some(3 << 29)),
            ("2k", Some(2000)),
            ("1e3", Some(1000)),
            ("16Ei", None),
            ("-1", None),
            ("", None),
            ("ten", None),
            ("NaN", None),
        ] {
            assert_eq!(bytes(&Quantity(text.into())), expected, "{text}");
        }
    }
}

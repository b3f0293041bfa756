//! Quantities: what `250m` or `1Gi` amounts to, and how the server writes it.

use serde_json::Value;

/// Units of the decimal system from the smallest, as powers of ten.
const DECIMAL: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];
/// Units of the binary system from the largest, as powers of two.
const BINARY: [(&str, u32); 6] = [("Ei", 60), ("Pi", 50), ("Ti", 40), ("Gi", 30), ("Mi", 20), ("Ki", 10)];

/// What a quantity amounts to.
pub(super) fn amount(value: &Value) -> Option<f64> {
    let words = match value {
        Value::String(words) => words.clone(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let (digits, unit) = parts(&words);
    let number: f64 = digits.parse().ok()?;
    if let Some((_, power)) = BINARY.iter().find(|(name, _)| *name == unit) {
        return Some(number * 2_f64.powi(i32::try_from(*power).ok()?));
    }
    DECIMAL.iter().find(|(name, _)| *name == unit).map(|(_, power)| number * 10_f64.powi(*power))
}

/// A quantity as the server writes it: without a fraction, in the largest unit that leaves none. Only whole numbers of
/// their units and decimal fractions are read; others stay as they are.
pub(super) fn written(words: &str) -> Option<String> {
    let (digits, unit) = parts(words);
    if let Some((_, power)) = BINARY.iter().find(|(name, _)| *name == unit) {
        let bytes = digits.parse::<u128>().ok()?.checked_shl(*power)?;
        let fits = |(_, power): &&(&str, u32)| bytes > 0 && bytes % (1 << power) == 0;
        return Some(match BINARY.iter().find(fits) {
            Some((name, power)) => format!("{}{name}", bytes >> power),
            None => bytes.to_string(),
        });
    }
    let (_, power) = DECIMAL.iter().find(|(name, _)| *name == unit)?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let nanos = format!("{whole}{fraction}").parse::<u128>().ok()?;
    let shift = u32::try_from(power + 9 - i32::try_from(fraction.len()).ok()?).ok()?;
    let nanos = nanos.checked_mul(10_u128.checked_pow(shift)?)?;
    if nanos == 0 {
        return Some("0".into());
    }
    let fits = |(_, power): &&(&str, i32)| {
        u32::try_from(power + 9).is_ok_and(|power| nanos.is_multiple_of(10_u128.pow(power)))
    };
    let (name, power) = DECIMAL.iter().rev().find(fits)?;
    Some(format!("{}{name}", nanos / 10_u128.pow(u32::try_from(power + 9).ok()?)))
}

fn parts(words: &str) -> (&str, &str) {
    let end = words.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '-').unwrap_or(words.len());
    words.split_at(end)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_server_writes_the_largest_unit_without_a_fraction() {
        for (words, expected) in [
            ("2048Mi", "2Gi"),
            ("1536Mi", "1536Mi"),
            ("1000m", "1"),
            ("0.5", "500m"),
            ("1500m", "1500m"),
            ("1000", "1k"),
            ("0", "0"),
            ("100Mi", "100Mi"),
            ("0Mi", "0"),
            ("1.5G", "1500M"),
        ] {
            assert_eq!(written(words).as_deref(), Some(expected), "{words}");
        }
        assert_eq!(written("much"), None);
    }

    #[test]
    fn units_are_told_apart() {
        for (words, expected) in [("250m", 0.25), ("1Ki", 1024.0), ("2k", 2000.0), ("3", 3.0)] {
            let found = amount(&json!(words)).expect("a quantity");
            assert!((found - expected).abs() < 1e-9, "{words}: {found}");
        }
        assert_eq!(amount(&json!("2 apples")), None);
    }
}

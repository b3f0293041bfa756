//! Quantities: the numbers of Kubernetes, such as `500m`, `1.5Gi` or `1e3`, made comparable.
//!
//! The grammar is that of the API (resource.Quantity): a decimal number with one suffix, binary (`Ki` to `Ei`), decimal
//! (`n` to `E`) or an exponent. Values are kept in billionths, which is the smallest suffix there is, so that nothing
//! is rounded that people write.

use std::fmt;

use crate::domain::timeline::one_line;

/// Billionths in one.
const NANOS: i128 = 1_000_000_000;

/// Longest text that is read: longer ones are no numbers that people mean.
const TEXT_BYTES_MAX: usize = 40;

/// An amount of something: cores, bytes, counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount {
    nanos: i128,
}

/// A text that is no quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no quantity: write a number with a suffix, such as `500m`, `2` or `1500Mi`")]
pub struct QuantityError(String);

impl Amount {
    /// Reads a quantity.
    ///
    /// # Errors
    /// Where the text is none, or is too large for any cluster.
    pub fn parse(text: &str) -> Result<Self, QuantityError> {
        let error = || QuantityError(one_line(text, TEXT_BYTES_MAX));
        if text.len() > TEXT_BYTES_MAX {
            return Err(error());
        }
        let end = text.find(|c: char| !(c.is_ascii_digit() || "+-.".contains(c))).unwrap_or(text.len());
        let (number, suffix) = text.split_at(end);
        let (numerator, denominator) = factor(suffix).ok_or_else(error)?;
        let (negative, digits) = match number.as_bytes().first() {
            Some(b'-') => (true, &number[1..]),
            Some(b'+') => (false, &number[1..]),
            _ => (false, number),
        };
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.len() + part.len() == 0 || !is_number(whole) || !is_number(part) {
            return Err(error());
        }
        let scale = 10_i128.checked_pow(u32::try_from(part.len()).map_err(|_| error())?).ok_or_else(error)?;
        let value: i128 = format!("{whole}{part}").parse().map_err(|_| error())?;
        let scaled = value.checked_mul(NANOS).and_then(|v| v.checked_mul(numerator)).ok_or_else(error)?;
        let divisor = scale.checked_mul(denominator).ok_or_else(error)?;
        // Rounded up, as the API does with what is smaller than a billionth.
        let nanos = scaled.checked_add(divisor - 1).ok_or_else(error)? / divisor;
        Ok(Self { nanos: if negative { -nanos } else { nanos } })
    }

    /// The amount as a number, for findings and shares.
    #[allow(clippy::cast_precision_loss, reason = "a share or a chart needs no more digits")]
    pub fn to_f64(self) -> f64 {
        self.nanos as f64 / NANOS as f64
    }

    /// So many hundredths of it, rounded up to a whole thousandth, or to a whole one from ten on.
    pub fn percent(self, percent: u32) -> Self {
        let exact = self.nanos.saturating_mul(i128::from(percent)) / 100;
        let unit = if exact >= 10 * NANOS { NANOS } else { NANOS / 1_000 };
        Self { nanos: exact.saturating_add(unit - 1) / unit * unit }
    }

    /// Whether it is more than nothing.
    pub fn is_positive(self) -> bool {
        self.nanos > 0
    }
}

impl fmt::Display for Amount {
    /// In the shortest form that the API reads back as the same.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nanos % NANOS != 0 {
            return match self.nanos {
                nanos if nanos % 1_000_000 == 0 => write!(f, "{}m", nanos / 1_000_000),
                nanos if nanos % 1_000 == 0 => write!(f, "{}u", nanos / 1_000),
                nanos => write!(f, "{nanos}n"),
            };
        }
        let whole = self.nanos / NANOS;
        let binary = [("Gi", 30), ("Mi", 20), ("Ki", 10)];
        let fits = |shift: &u32| whole != 0 && whole % (1_i128 << shift) == 0;
        match binary.iter().find(|(_, shift)| fits(shift)) {
            Some((suffix, shift)) => write!(f, "{}{suffix}", whole >> shift),
            None => write!(f, "{whole}"),
        }
    }
}

/// What a suffix multiplies with, as a fraction.
fn factor(suffix: &str) -> Option<(i128, i128)> {
    let binary = |shift: u32| Some((1_i128 << shift, 1));
    match suffix {
        "" => Some((1, 1)),
        "n" => Some((1, NANOS)),
        "u" => Some((1, 1_000_000)),
        "m" => Some((1, 1_000)),
        "k" => Some((1_000, 1)),
        "M" => Some((1_000_000, 1)),
        "G" => Some((NANOS, 1)),
        "T" => Some((1_000 * NANOS, 1)),
        "P" => Some((1_000_000 * NANOS, 1)),
        "E" => Some((NANOS * NANOS, 1)),
        "Ki" => binary(10),
        "Mi" => binary(20),
        "Gi" => binary(30),
        "Ti" => binary(40),
        "Pi" => binary(50),
        "Ei" => binary(60),
        _ => {
            let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            // Beyond this no cluster has anything to count.
            let power = 10_i128.checked_pow(exponent.unsigned_abs()).filter(|_| exponent.abs() <= 18)?;
            Some(if exponent < 0 { (1, power) } else { (power, 1) })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk(text: &str) -> Amount {
        Amount::parse(text).unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn what_means_the_same_is_the_same() {
        for (one, other) in [
            ("1", "1000m"),
            ("0.5", "500m"),
            (".5", "500m"),
            ("1Gi", "1024Mi"),
            ("1.5Gi", "1536Mi"),
            ("1G", "1000M"),
            ("1e3", "1k"),
            ("1E3", "1000"),
            ("2500e-3", "2.5"),
            ("1E", "1e18"),
            ("+3", "3"),
            ("0.1n", "1n"),
        ] {
            assert_eq!(mk(one), mk(other), "{one} {other}");
        }
    }

    #[test]
    fn amounts_are_ordered_across_suffixes() {
        let order =
            ["-1", "0", "1n", "1u", "1m", "999m", "1", "1k", "1Ki", "1M", "1Mi", "1500Mi", "1.5Gi", "2G"];
        for pair in order.windows(2) {
            assert!(mk(pair[0]) < mk(pair[1]), "{} < {}", pair[0], pair[1]);
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for text in [
            "",
            " ",
            "1 Gi",
            "Mi",
            "1mi",
            "1KiB",
            "--1",
            "1-",
            "1.2.3",
            "1e",
            "e3",
            "1e99",
            "NaN",
            "1,5",
            "0x10",
            "١",
            "99999999999999999999999999999999999E",
        ] {
            assert!(Amount::parse(text).is_err(), "{text}");
        }
        let error = Amount::parse("lots").expect_err("no number");
        assert!(error.to_string().contains("`lots` is no quantity"), "{error}");
    }

    #[test]
    fn amounts_are_written_so_that_they_read_back_the_same() {
        for (text, shown) in [
            ("500m", "500m"),
            ("1.5", "1500m"),
            ("1500Mi", "1500Mi"),
            ("2Gi", "2Gi"),
            ("2048Mi", "2Gi"),
            ("1G", "1000000000"),
            ("3u", "3u"),
            ("7n", "7n"),
            ("0", "0"),
            ("-2Ki", "-2Ki"),
        ] {
            assert_eq!(mk(text).to_string(), shown);
            assert_eq!(mk(shown), mk(text));
        }
    }

    #[test]
    fn a_share_is_rounded_up_to_what_people_would_write() {
        assert_eq!(mk("1Gi").percent(150), mk("1536Mi"));
        assert_eq!(mk("250m").percent(150), mk("375m"));
        assert_eq!(mk("3m").percent(150), mk("5m"));
        assert!(mk("1").is_positive() && !mk("0").is_positive() && !mk("-1").is_positive());
        assert!((mk("1500m").to_f64() - 1.5).abs() < f64::EPSILON);
    }
}

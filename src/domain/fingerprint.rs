//! The identity of an alert: Alertmanager's fingerprint of its label set.
//!
//! It is FNV-1a with 64 bits over, for each label in the byte order of the names, name, 0xFF, value, 0xFF (Prometheus'
//! `model.LabelSet.Fingerprint`), written as 16 lower-case hexadecimal digits. 0xFF never occurs in UTF-8, so labels
//! cannot run into each other. It is no cryptographic hash: whoever chooses labels can choose a fingerprint, so it must
//! never decide who may do something.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;
const SEPARATOR: u8 = 0xFF;

/// Identifies an alert by its labels; two alerts with equal labels are the same alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// The fingerprint of a label set, given in any order. Names must be distinct, as in a map. A label with an empty
    /// value counts like any other; Alertmanager drops such labels before it hashes.
    pub fn of_labels<N: AsRef<str>, V: AsRef<str>>(labels: impl IntoIterator<Item = (N, V)>) -> Self {
        let mut sorted: Vec<(N, V)> = labels.into_iter().collect();
        sorted.sort_by(|(left, _), (right, _)| left.as_ref().cmp(right.as_ref()));
        let hash = sorted.iter().fold(FNV_OFFSET, |hash, (name, value)| {
            let hash = mix(mix(hash, name.as_ref().as_bytes()), &[SEPARATOR]);
            mix(mix(hash, value.as_ref().as_bytes()), &[SEPARATOR])
        });
        Self(hash)
    }

    /// The number behind the digits, for storage.
    pub fn as_u64(self) -> u64 {
        self.0
    }
}

impl From<u64> for Fingerprint {
    fn from(number: u64) -> Self {
        Self(number)
    }
}

fn mix(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME))
}

/// A text that is no fingerprint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is 1 to 16 hexadecimal digits, such as `fac0861a85de433a`")]
pub struct FingerprintError;

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    /// Reads what Alertmanager writes, and what it reads itself: fewer digits, capitals, and blanks around.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.trim();
        // `from_str_radix` alone would take a sign.
        if digits.len() > 16 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(FingerprintError);
        }
        u64::from_str_radix(digits, 16).map(Self).map_err(|_| FingerprintError)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Digits;

        impl Visitor<'_> for Digits {
            type Value = Fingerprint;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a fingerprint as text, such as \"fac0861a85de433a\"")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Fingerprint, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Digits)
    }
}

impl JsonSchema for Fingerprint {
    fn schema_name() -> Cow<'static, str> {
        "Fingerprint".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[0-9a-f]{16}$",
            "description": "Alertmanager's fingerprint of an alert's labels.",
            "examples": ["fac0861a85de433a"],
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::vectors::{load, rows, text};

    #[test]
    fn agrees_with_prometheus() {
        let Some(table) = load("alertmanager_fingerprints.json") else { return };
        let cases = rows(&table, "cases");
        assert_eq!(cases.len(), 7);
        for case in cases {
            let labels = case["labels"].as_object().expect("labels");
            let found = Fingerprint::of_labels(labels.iter().map(|(n, v)| (n, v.as_str().expect("a value"))));
            assert_eq!(found.to_string(), text(case, "hex"), "{case}");
            if let Some(number) = case["uint64"].as_str() {
                assert_eq!(found.as_u64().to_string(), number);
            }
        }
    }

    #[test]
    fn the_order_of_labels_does_not_matter_but_their_borders_do() {
        let sorted = Fingerprint::of_labels([("a", "1"), ("b", "2")]);
        assert_eq!(Fingerprint::of_labels([("b", "2"), ("a", "1")]), sorted);
        assert_eq!(
            Fingerprint::of_labels(BTreeMap::from([
                ("a".to_owned(), "1".to_owned()),
                ("b".to_owned(), "2".to_owned())
            ])),
            sorted
        );
        assert_ne!(Fingerprint::of_labels([("a", "1b"), ("", "2")]), sorted);
        assert_ne!(Fingerprint::of_labels([("a", "1"), ("b", "")]), Fingerprint::of_labels([("a", "1")]));
        let none: [(&str, &str); 0] = [];
        assert_eq!(Fingerprint::of_labels(none).to_string(), "cbf29ce484222325");
    }

    #[test]
    fn reads_what_alertmanager_writes_and_reads() {
        let full: Fingerprint = "00c0861a85de433a".parse().expect("a fingerprint");
        for same in ["c0861a85de433a", "00C0861A85DE433A", " 00c0861a85de433a\n"] {
            assert_eq!(same.parse(), Ok(full), "{same:?}");
        }
        for bad in ["", " ", "+1", "-1", "0x1", "g", "00c0861a85de433a0"] {
            assert_eq!(bad.parse::<Fingerprint>(), Err(FingerprintError), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn text_and_json_read_back_the_same(number in any::<u64>()) {
            let fingerprint = Fingerprint::from(number);
            prop_assert_eq!(fingerprint.to_string().len(), 16);
            prop_assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
            let json = serde_json::to_string(&fingerprint).expect("serializes");
            prop_assert_eq!(serde_json::from_str::<Fingerprint>(&json).expect("reads back"), fingerprint);
        }
    }
}

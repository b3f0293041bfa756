//! The kinds of values in a webhook, and how much each of them forgives.
//!
//! They are strict only where leniency could lead to a wrong action, which is in labels: those are the alert's
//! identity and choose the rule. All of them borrow text that stands unescaped in the body.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{ALERTS_MAX, Pairs};

/// A value that should be text, whatever it is.
#[derive(Debug, Clone, Default)]
pub(super) enum Loose<'a> {
    /// Missing or null.
    #[default]
    Absent,
    /// Text.
    Text(Cow<'a, str>),
    /// A number or a boolean, as text.
    Scalar(String),
    /// A list or an object.
    Nested,
}

/// The alerts as slices of the body, not too many of them.
pub(super) struct Slices<'a>(pub(super) Vec<&'a RawValue>);

/// Text and nothing else, with every name once.
pub(super) struct Labels<'a>(pub(super) Pairs<'a>);

/// Anything; what is not text becomes text or is left out.
#[derive(Default)]
pub(super) struct Annotations<'a>(pub(super) Pairs<'a>);

impl<'a> Loose<'a> {
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Scalar(text) => Some(text),
            Self::Absent | Self::Nested => None,
        }
    }

    pub(super) fn into_text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text),
            Self::Scalar(text) => Some(Cow::Owned(text)),
            Self::Absent | Self::Nested => None,
        }
    }

    pub(super) fn or_empty(self) -> Cow<'a, str> {
        self.into_text().unwrap_or_default()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Loose<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LooseVisitor)
    }
}

struct LooseVisitor;

impl<'de> Visitor<'de> for LooseVisitor {
    type Value = Loose<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Loose<'de>, E> {
        Ok(Loose::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Loose<'de>, E> {
        Ok(Loose::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_unit<E>(self) -> Result<Loose<'de>, E> {
        Ok(Loose::Absent)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Loose<'de>, E> {
        Ok(Loose::Scalar(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Loose<'de>, E> {
        Ok(Loose::Scalar(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Loose<'de>, E> {
        Ok(Loose::Scalar(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Loose<'de>, E> {
        Ok(Loose::Scalar(value.to_string()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Loose<'de>, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Loose::Nested)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Loose<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Loose::Nested)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Slices<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(SlicesVisitor)
    }
}

struct SlicesVisitor;

impl<'de> Visitor<'de> for SlicesVisitor {
    type Value = Slices<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of alerts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Slices<'de>, A::Error> {
        let mut slices = Vec::new();
        while let Some(slice) = seq.next_element()? {
            if slices.len() == ALERTS_MAX {
                let words =
                    format_args!("more than {ALERTS_MAX} alerts; set max_alerts in Alertmanager's receiver");
                return Err(A::Error::custom(words));
            }
            slices.push(slice);
        }
        Ok(Slices(slices))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Labels<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(LabelsVisitor)
    }
}

struct LabelsVisitor;

impl<'de> Visitor<'de> for LabelsVisitor {
    type Value = Labels<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("labels, which are a JSON object of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Labels<'de>, A::Error> {
        let mut pairs: Pairs = Vec::with_capacity(map.size_hint().unwrap_or(8));
        while let Some(Loose::Text(name)) = map.next_key()? {
            match map.next_value()? {
                Loose::Text(value) => pairs.push((name, value)),
                _ => return Err(A::Error::custom(format_args!("the value of label {name:?} is not text"))),
            }
        }
        pairs.sort_unstable_by(|left, right| left.0.cmp(&right.0));
        if let Some(twice) = pairs.windows(2).find(|two| two[0].0 == two[1].0) {
            return Err(A::Error::custom(format_args!("label {:?} occurs twice", twice[0].0)));
        }
        if pairs.first().is_some_and(|(name, _)| name.is_empty()) {
            return Err(A::Error::custom("a label has no name"));
        }
        pairs.retain(|(_, value)| !value.is_empty());
        if pairs.is_empty() {
            return Err(A::Error::custom("an alert without labels has no identity"));
        }
        Ok(Labels(pairs))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Annotations<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnnotationsVisitor)
    }
}

struct AnnotationsVisitor;

impl<'de> Visitor<'de> for AnnotationsVisitor {
    type Value = Annotations<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("annotations, which are a JSON object")
    }

    fn visit_unit<E>(self) -> Result<Annotations<'de>, E> {
        Ok(Annotations::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Annotations<'de>, A::Error> {
        let mut pairs: Pairs = Vec::with_capacity(map.size_hint().unwrap_or(4));
        while let Some((Loose::Text(name), value)) = map.next_entry::<Loose, Loose>()? {
            pairs.extend(value.into_text().map(|value| (name, value)));
        }
        // The sort is stable, so after the reversal the last one written comes first, and is kept.
        pairs.reverse();
        pairs.sort_by(|left, right| left.0.cmp(&right.0));
        pairs.dedup_by(|next, kept| next.0 == kept.0);
        Ok(Annotations(pairs))
    }
}

//! Which HTTP statuses are good, as rules write it.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};

/// Which status codes are good: `200`, `2xx`, or a list of such.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statuses(Vec<StatusPattern>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StatusPattern {
    /// Exactly this code.
    Code(u16),
    /// All codes that begin with this digit.
    Class(u16),
}

impl Statuses {
    /// Whether a status is good.
    pub fn contains(&self, status: u16) -> bool {
        self.0.iter().any(|pattern| match pattern {
            StatusPattern::Code(code) => *code == status,
            StatusPattern::Class(class) => status / 100 == *class,
        })
    }
}

/// Any 2xx. A redirect is not followed and is not good by itself: it may lead to a login page.
impl Default for Statuses {
    fn default() -> Self {
        Self(vec![StatusPattern::Class(2)])
    }
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, pattern) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { " or " })?;
            match pattern {
                StatusPattern::Code(code) => write!(f, "{code}")?,
                StatusPattern::Class(class) => write!(f, "{class}xx")?,
            }
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StatusesVisitor)
    }
}

impl<'de> Deserialize<'de> for StatusPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let statuses = Statuses::deserialize(deserializer)?;
        statuses.0.first().copied().ok_or_else(|| de::Error::custom("an empty list is no status"))
    }
}

struct StatusesVisitor;

impl<'de> Visitor<'de> for StatusesVisitor {
    type Value = Statuses;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a status such as 200 or `2xx`, or a list of them")
    }

    fn visit_u64<E: de::Error>(self, code: u64) -> Result<Statuses, E> {
        match u16::try_from(code) {
            Ok(code @ 100..=599) => Ok(Statuses(vec![StatusPattern::Code(code)])),
            _ => Err(E::custom(format!("{code} is no HTTP status: use 100 to 599"))),
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Statuses, E> {
        match text.to_ascii_lowercase().as_bytes() {
            [digit @ b'1'..=b'5', b'x', b'x'] => {
                Ok(Statuses(vec![StatusPattern::Class(u16::from(digit - b'0'))]))
            }
            _ => text
                .parse()
                .map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
                .and_then(|code| self.visit_u64(code)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Statuses, A::Error> {
        let mut patterns = Vec::new();
        while let Some(pattern) = list.next_element()? {
            patterns.push(pattern);
        }
        match patterns.len() {
            1..=16 => Ok(Statuses(patterns)),
            count => Err(de::Error::invalid_length(count, &"1 to 16 statuses")),
        }
    }
}

impl JsonSchema for Statuses {
    fn schema_name() -> Cow<'static, str> {
        "Statuses".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let one = json_schema!({ "anyOf": [
            { "type": "integer", "minimum": 100, "maximum": 599 },
            { "type": "string", "pattern": "^[1-5][xX]{2}$|^[1-5][0-9]{2}$" },
        ] });
        json_schema!({
            "description": "A status such as 200 or `2xx`, or a list of them.",
            "anyOf": [one, { "type": "array", "items": one, "minItems": 1, "maxItems": 16 }],
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn statuses(value: Value) -> Result<Statuses, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn statuses_are_codes_classes_or_lists() {
        let read = |value| statuses(value).expect("statuses");
        assert!(read(json!(200)).contains(200) && !read(json!(200)).contains(204));
        assert!(read(json!("2xx")).contains(204) && read(json!("2XX")).contains(299));
        let several = read(json!([200, "503", "3xx"]));
        assert!([200, 503, 301].iter().all(|code| several.contains(*code)) && !several.contains(500));
        assert_eq!(several.to_string(), "200 or 503 or 3xx");
        assert!(Statuses::default().contains(204) && !Statuses::default().contains(302));
        for bad in
            [json!(99), json!(600), json!("6xx"), json!("ok"), json!([]), json!([[]]), json!(-1), json!(null)]
        {
            assert!(statuses(bad.clone()).is_err(), "{bad}");
        }
    }
}

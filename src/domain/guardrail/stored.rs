//! Verdicts as they are stored with an action: about twenty for each, nearly all of which allow it.
//!
//! One that allows is stored as `["pause", "not paused"]`; any other, and all that older versions wrote, as an object.

use super::{Guardrail, GuardrailVerdict};
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;

/// Writes verdicts in the short form where that says all.
///
/// # Errors
///
/// Those of the serializer.
pub fn serialize<S: Serializer>(verdicts: &[GuardrailVerdict], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(verdicts.iter().map(Written))
}

/// Reads verdicts in both forms.
///
/// # Errors
///
/// Where something is neither.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<GuardrailVerdict>, D::Error> {
    let read: Vec<Read> = Vec::deserialize(deserializer)?;
    Ok(read.into_iter().map(|read| read.0).collect())
}

struct Written<'v>(&'v GuardrailVerdict);

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            GuardrailVerdict { guardrail, allowed: true, reason, until: None } => {
                (guardrail, reason).serialize(serializer)
            }
            whole => whole.serialize(serializer),
        }
    }
}

struct Read(GuardrailVerdict);

impl<'de> Deserialize<'de> for Read {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EitherForm).map(Self)
    }
}

struct EitherForm;

impl<'de> Visitor<'de> for EitherForm {
    type Value = GuardrailVerdict;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a verdict: a guardrail with its reason, or an object")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<GuardrailVerdict, A::Error> {
        let (guardrail, reason) =
            <(Guardrail, Cow<'static, str>)>::deserialize(SeqAccessDeserializer::new(items))?;
        Ok(GuardrailVerdict { guardrail, allowed: true, reason, until: None })
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<GuardrailVerdict, A::Error> {
        GuardrailVerdict::deserialize(MapAccessDeserializer::new(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{allowed, denied};
    use super::*;
    use serde_json::json;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Holder {
        #[serde(with = "super")]
        verdicts: Vec<GuardrailVerdict>,
    }

    #[test]
    fn both_forms_are_read_back_as_they_were() {
        let until = Some("2026-02-11T07:05:00Z".parse().expect("a time"));
        let holder = Holder {
            verdicts: vec![
                allowed(Guardrail::Pause, "not paused"),
                denied(Guardrail::Cooldown, "too soon", until),
                GuardrailVerdict { until, ..allowed(Guardrail::Blind, "for a while") },
            ],
        };
        let text = serde_json::to_string(&holder).expect("JSON");
        assert!(
            text.starts_with(r#"{"verdicts":[["pause","not paused"],{"guardrail":"cooldown","#),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Holder>(&text).expect("both forms"), holder);
    }

    #[test]
    fn what_older_versions_wrote_is_read() {
        let old = json!({ "verdicts": [{ "guardrail": "pause", "allowed": true, "reason": "not paused" }] });
        let read: Holder = serde_json::from_value(old).expect("the long form");
        assert_eq!(read.verdicts, [allowed(Guardrail::Pause, "not paused")]);
    }

    #[test]
    fn what_is_neither_form_is_refused() {
        for wrong in
            [json!(["pause"]), json!(["pause", "not paused", 1]), json!("pause"), json!(["who", "x"])]
        {
            let holder = json!({ "verdicts": [wrong] });
            serde_json::from_value::<Holder>(holder).expect_err("neither form");
        }
    }
}

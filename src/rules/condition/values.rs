//! JSON to CEL values.

use cel::Value as Cel;
use serde_json::Value as Json;
use std::collections::HashMap;
use std::sync::Arc;

/// Longest list that a condition may walk over.
pub const LIST_ITEMS_MAX: usize = 1_000;

/// A JSON value for conditions. Whole numbers that fit are `int`, all others `double`. Missing values (`null`) are
/// left out of maps: naming them is then an error, as if they were not there.
pub(super) fn from_json(json: &Json) -> Cel {
    match json {
        Json::Null => Cel::Null,
        Json::Bool(value) => Cel::Bool(*value),
        Json::Number(number) => match number.as_i64() {
            Some(int) => Cel::Int(int),
            None => number.as_f64().map_or(Cel::Null, Cel::Float),
        },
        Json::String(text) => Cel::String(Arc::new(text.clone())),
        // A longer list is cut to nothing at all: half a list would let `all(…)` hold wrongly. Walking over what
        // is no list is an error, and so unknown.
        Json::Array(items) if items.len() > LIST_ITEMS_MAX => Cel::Null,
        Json::Array(items) => Cel::List(Arc::new(items.iter().map(from_json).collect())),
        Json::Object(fields) => {
            let fields: HashMap<String, Cel> = fields
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(name, value)| (name.clone(), from_json(value)))
                .collect();
            Cel::from(fields)
        }
    }
}

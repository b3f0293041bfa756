//! `SMOKEJUMPER__SECTION__KEY` from the environment, laid over what the file says.
//!
//! The `config` crate does the laying-over and turns texts into the numbers and booleans that a key wants. Values stay
//! texts until then, so a name or key made of digits is not mistaken for a number.

use std::collections::BTreeMap;
use std::path::Path;

use config::{Config, ConfigError, Source, Value as ConfigValue, ValueKind};
use serde_json::Value;

use super::{Settings, dump};
use crate::yaml::{Problem, nearest};

/// What every variable that sets a key begins with.
pub(super) const PREFIX: &str = "SMOKEJUMPER__";

/// Between the steps of a key's path.
const SEPARATOR: &str = "__";

/// The variables that set keys, by the key's path (`slack.api_url`).
#[derive(Debug, Default)]
pub(super) struct Overlay {
    by_path: BTreeMap<String, Variable>,
}

/// The value is kept out of `Debug`: somebody may have put a secret into it.
struct Variable {
    name: String,
    text: String,
}

impl std::fmt::Debug for Variable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.name)
    }
}

impl Overlay {
    /// Picks the variables that set keys. An empty one counts as absent, as compose files set them so.
    pub(super) fn of(environment: &BTreeMap<String, String>) -> Self {
        let by_path = environment
            .iter()
            .filter(|(name, text)| name.starts_with(PREFIX) && !text.is_empty())
            .map(|(name, text)| {
                let path = name[PREFIX.len()..].to_lowercase().replace(SEPARATOR, ".");
                (path, Variable { name: name.clone(), text: text.clone() })
            })
            .collect();
        Self { by_path }
    }

    /// The variable that set the value at `path`, or something in or around it.
    pub(super) fn variable_for(&self, path: &[&str]) -> Option<&str> {
        let path = path.join(".").to_lowercase();
        let related = |set: &&String| {
            **set == path || set.starts_with(&format!("{path}.")) || path.starts_with(&format!("{set}."))
        };
        self.by_path.keys().find(related).map(|set| self.by_path[set].name.as_str())
    }

    /// The settings of the file with the variables laid over them. Paths of the file start at `directory`.
    ///
    /// # Errors
    /// One problem for each variable that names no key or does not fit its key.
    pub(super) fn apply(&self, written: &Settings, directory: &Path) -> Result<Settings, Vec<Problem>> {
        let mut base = written.to_tree();
        dump::anchor_paths(&mut base, directory);
        let all: Vec<(&String, &Variable)> = self.by_path.iter().collect();
        let error = match lay_over(&base, &all) {
            Ok(settings) => return Ok(settings),
            Err(error) => error,
        };
        // All together they do not fit. Tried one by one, those that are wrong by themselves show.
        let (mut wrong, mut incomplete) = (Vec::new(), Vec::new());
        for (path, variable) in &all {
            if let Err(error) = lay_over(&base, &[(path, variable)]) {
                let problem = problem(variable, path, &error);
                if is_missing_key(&error) { incomplete.push(problem) } else { wrong.push(problem) }
            }
        }
        match (wrong.is_empty(), incomplete.is_empty()) {
            (false, _) => Err(wrong),
            (true, false) => Err(incomplete),
            (true, true) => Err(vec![Problem::in_environment(PREFIX, words_of(&error).0)]),
        }
    }
}

fn lay_over(base: &Value, variables: &[(&String, &Variable)]) -> Result<Settings, ConfigError> {
    let mut base = base.clone();
    let mut texts = config::Map::new();
    let mut builder_values = Vec::new();
    for (path, variable) in variables {
        drop_replaced_secret(&mut base, path);
        match structured(&variable.text) {
            Some(value) => builder_values.push(((*path).clone(), to_config(&value))),
            None => {
                texts.insert(variable.name.clone(), variable.text.clone());
            }
        }
    }
    let environment = config::Environment::with_prefix(PREFIX.trim_end_matches('_'))
        .prefix_separator(SEPARATOR)
        .separator(SEPARATOR)
        .source(Some(texts));
    let mut builder = Config::builder().add_source(Tree(base)).add_source(environment);
    for (path, value) in builder_values {
        builder = builder.set_override(path, value)?;
    }
    builder.build()?.try_deserialize()
}

/// A value that is spelled as a YAML list or mapping: the way to set lists from the environment.
fn structured(text: &str) -> Option<Value> {
    let text = text.trim();
    if !text.starts_with(['[', '{']) {
        return None;
    }
    serde_saphyr::from_str::<Value>(text).ok().filter(|value| value.is_array() || value.is_object())
}

/// `…__ENV` replaces a secret that the file gives as `{ file: … }`, and the other way round.
fn drop_replaced_secret(base: &mut Value, path: &str) {
    let Some((parent, "env" | "file")) = path.rsplit_once('.') else { return };
    let pointer = format!("/{}", parent.replace('.', "/"));
    if let Some(node) = base.pointer_mut(&pointer) {
        let is_reference = |node: &Value| {
            node.as_object().is_some_and(|object| object.keys().all(|key| key == "env" || key == "file"))
        };
        let is_replaced = match &*node {
            Value::Array(items) => items.iter().all(is_reference),
            other => is_reference(other),
        };
        if is_replaced {
            *node = Value::Null;
        }
    }
}

/// The settings of the file as a source of the `config` crate.
#[derive(Debug, Clone)]
struct Tree(Value);

impl Source for Tree {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<config::Map<String, ConfigValue>, ConfigError> {
        to_config(&self.0).into_table()
    }
}

fn to_config(value: &Value) -> ConfigValue {
    let kind = match value {
        Value::Null => ValueKind::Nil,
        Value::Bool(yes) => ValueKind::Boolean(*yes),
        Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(number), _, _) => ValueKind::U64(number),
            (None, Some(number), _) => ValueKind::I64(number),
            (None, None, number) => ValueKind::Float(number.unwrap_or(f64::NAN)),
        },
        Value::String(text) => ValueKind::String(text.clone()),
        Value::Array(items) => ValueKind::Array(items.iter().map(to_config).collect()),
        Value::Object(object) => {
            ValueKind::Table(object.iter().map(|(key, child)| (key.clone(), to_config(child))).collect())
        }
    };
    ConfigValue::new(None, kind)
}

fn problem(variable: &Variable, path: &str, error: &ConfigError) -> Problem {
    let (message, help) = words_of(error);
    let problem = Problem::in_environment(&variable.name, message);
    match help {
        Some(help) => problem.with_help(help),
        None => problem.with_help(format!("it sets the key `{path}`")),
    }
}

/// Our words for an error of the `config` crate, and a suggestion. Its own words quote the value, which may be a
/// secret that somebody put into the wrong variable.
fn words_of(error: &ConfigError) -> (String, Option<String>) {
    match error {
        ConfigError::At { error, .. } => words_of(error),
        ConfigError::Type { expected, .. } => {
            (format!("expected {}", expected.trim_start_matches('\u{1}')), None)
        }
        ConfigError::Message(message) => words_of_message(message),
        _ => ("the value does not fit here".to_owned(), None),
    }
}

/// Serde spells an unknown key as: unknown field `x`, expected one of `a`, `b`.
fn words_of_message(message: &str) -> (String, Option<String>) {
    let message = message.trim_start_matches('\u{1}');
    let mut quoted = message.split('`').skip(1).step_by(2);
    if let Some(word) = quoted.next().filter(|_| message.starts_with("unknown field")) {
        let known: Vec<&str> = quoted.collect();
        let help = match nearest(word, known.iter().copied()) {
            Some(close) => format!("did you mean `{}`?", close.to_uppercase()),
            None => format!("known keys here: {}", known.join(", ").to_uppercase()),
        };
        return (format!("there is no key `{word}`"), Some(help));
    }
    if message.contains("does not have variant constructor") {
        return ("the value is not one of those that this key knows".to_owned(), None);
    }
    (message.to_owned(), None)
}

fn is_missing_key(error: &ConfigError) -> bool {
    match error {
        ConfigError::At { error, .. } => is_missing_key(error),
        ConfigError::Message(message) => message.starts_with("missing field"),
        ConfigError::NotFound(_) => true,
        _ => false,
    }
}

//! What the tests of a file stand on: settings, and the rules under them. Read once for all files that share them.

use super::files::Suite;
use super::format::OneOrMany;
use crate::app::{catalog, engine_settings, kinds, known};
use crate::domain::action::Repeatability;
use crate::domain::catalog::{Catalog, EndpointOutline, Endpoints, Reference};
use crate::engine::EngineSettings;
use crate::rules::{BookSource, Known, RuleBook, RuleSet, load};
use crate::settings::{Person, Settings};
use crate::yaml::Problem;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;

/// Settings of files that name none: everything is set up, remedies may act, and one channel hears of what no policy is
/// for. Its secret is never opened.
const DEFAULTS: &str = "\
mode: enforce
slack: { bot_token: { env: SMOKEJUMPER_TEST }, default_channel: '#incidents' }
alertmanager: { url: 'http://alertmanager:9093' }
";

/// What the tests of one file stand on.
#[derive(Debug, Clone)]
pub struct Platform {
    /// The rules.
    pub book: Arc<RuleBook>,
    /// The settings, with those of the file laid over them.
    settings: Arc<Settings>,
}

/// What one test stands on.
#[derive(Debug, Clone)]
pub struct Ground {
    /// What the operator decides.
    pub engine: EngineSettings,
    /// People who may press buttons; nobody where anybody may.
    pub people: Vec<Person>,
}

/// Platforms that were read, by what they were read from.
#[derive(Debug, Default)]
pub struct Platforms {
    books: HashMap<Source, Result<Arc<RuleBook>, Vec<Problem>>>,
}

/// What a rule book is read from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Source {
    patterns: Vec<String>,
    config: Option<String>,
    /// Settings that may change what the rules may name; only together with a settings file.
    settings: String,
}

impl Platforms {
    /// What the tests of this file stand on.
    ///
    /// # Errors
    /// Every mistake in the settings or in the rules.
    pub fn of(&mut self, suite: &Suite) -> Result<Platform, Vec<Problem>> {
        let spec = &suite.document.spec;
        let config = spec.config.as_ref().map(|config| suite.folder().join(config));
        let base = match &config {
            Some(path) => Settings::load(Some(path), &BTreeMap::new()).map_err(|error| error.problems)?,
            None => from_text("settings", DEFAULTS).map_err(|error| vec![*error])?,
        };
        let settings = lay_over(&base, &spec.settings, suite, &["spec", "settings"])?;
        let source = Source {
            patterns: patterns(&suite.folder(), &spec.rules),
            config: config.map(|path| path.display().to_string()),
            settings: match spec.config {
                Some(_) => Value::Object(spec.settings.clone()).to_string(),
                None => String::new(),
            },
        };
        let read = || read_book(&source.patterns, source.config.is_some().then_some(&settings));
        let book = self.books.entry(source.clone()).or_insert_with(read).clone()?;
        Ok(Platform { book, settings: Arc::new(settings) })
    }

    /// The rules of files that no test may stand on.
    ///
    /// # Errors
    /// Every mistake in them.
    pub fn rules_of(&mut self, pattern: &str) -> Result<Arc<RuleBook>, Vec<Problem>> {
        let source = Source { patterns: vec![pattern.to_owned()], config: None, settings: String::new() };
        let read = || read_book(&source.patterns, None);
        self.books.entry(source.clone()).or_insert_with(read).clone()
    }
}

impl Platform {
    /// What one test of the file stands on.
    ///
    /// # Errors
    /// Every mistake in its settings.
    pub fn ground(&self, suite: &Suite, test: usize) -> Result<Ground, Vec<Problem>> {
        let overlay = &suite.document.spec.tests[test].settings;
        let test = test.to_string();
        let settings = match overlay.is_empty() {
            true => Arc::clone(&self.settings),
            false => {
                let path = ["spec", "tests", test.as_str(), "settings"];
                Arc::new(lay_over(&self.settings, overlay, suite, &path)?)
            }
        };
        Ok(Ground { engine: engine_settings(&settings), people: settings.people.clone() })
    }
}

/// The rules that a file in this folder is about: those that it names, or those beside it and below.
pub fn patterns(folder: &Path, rules: &OneOrMany<String>) -> Vec<String> {
    let named = &rules.0;
    let all: Vec<String> = match named.is_empty() {
        true => vec![folder.display().to_string()],
        false => named.iter().map(|name| folder.join(name).display().to_string()).collect(),
    };
    all.iter().map(|name| pattern(if name.is_empty() { "." } else { name })).collect()
}

/// A folder stands for all YAML files in it and below it.
pub fn pattern(name: &str) -> String {
    match Path::new(name).is_dir() {
        true => format!("{}/**/*.y*ml", name.trim_end_matches('/')),
        false => name.to_owned(),
    }
}

/// Settings of whoever names no file.
pub fn defaults() -> Settings {
    from_text("settings", DEFAULTS).expect("they are a constant that a test reads")
}

/// Rules under settings; without any, everything that they name is taken to exist.
///
/// # Errors
/// Every mistake in them.
pub fn read_book(patterns: &[String], settings: Option<&Settings>) -> Result<Arc<RuleBook>, Vec<Problem>> {
    let (catalog, known, default_policy) = match settings {
        Some(settings) => (catalog(settings), known(settings), settings.escalation.default_policy.clone()),
        None => (kinds(), Known::everything(), None),
    };
    let set = load(patterns, &catalog, &known).map_err(|errors| errors.errors)?;
    if set.rules().is_empty() && set.policies().is_empty() {
        let message = "there are no rules in it for the tests";
        let help = "say where they are under `spec.rules`, from the folder of the test file on";
        return Err(vec![Problem::in_file(&patterns.join(", "), message).with_help(help)]);
    }
    let catalog = match settings {
        Some(_) => catalog,
        None => {
            let endpoints = endpoints(&set, &catalog);
            catalog.with_endpoints(endpoints)
        }
    };
    let source =
        BookSource { patterns: patterns.to_vec(), catalog: Arc::new(catalog), known, default_policy };
    Ok(Arc::new(RuleBook::with_set(source, set)))
}

/// Every endpoint that rules name, as one that must not be called twice.
fn endpoints(set: &RuleSet, catalog: &Catalog) -> Endpoints {
    let mut endpoints = Endpoints::new();
    for kept in set.rules() {
        let remedies = kept.rule.remedies.iter();
        let uses = remedies.flat_map(|remedy| std::iter::once(&remedy.action).chain(&remedy.rollback));
        for action in uses.chain(&kept.rule.on_resolve) {
            let Some(kind) = catalog.action(&action.kind) else { continue };
            let Ok(checked) = (kind.check)(&action.params) else { continue };
            for reference in checked.references {
                if let Reference::Endpoint(name) = reference {
                    let method = "POST".to_owned();
                    let outline = EndpointOutline { method, repeatability: Repeatability::AtMostOnce };
                    endpoints.insert(name, outline);
                }
            }
        }
    }
    endpoints
}

fn from_text(name: &str, text: &str) -> Result<Settings, Box<Problem>> {
    let read = Settings::from_text(name, text, Path::new(""), &BTreeMap::new());
    read.map_err(|error| {
        let told = error.problems.into_iter().next();
        Box::new(told.unwrap_or_else(|| Problem::in_file(name, "the settings cannot be used")))
    })
}

/// Settings with some of them replaced; mistakes are shown at the key that holds them.
fn lay_over(
    base: &Settings,
    overlay: &Map<String, Value>,
    suite: &Suite,
    path: &[&str],
) -> Result<Settings, Vec<Problem>> {
    if overlay.is_empty() {
        return Ok(base.clone());
    }
    let mut whole = serde_json::to_value(base).expect("settings are plain values with text keys");
    merge(&mut whole, &Value::Object(overlay.clone()));
    from_text("settings", &whole.to_string()).map_err(|told| {
        let problem = suite.problem(path, format!("these settings cannot be used: {}", told.message));
        vec![match told.help {
            Some(help) => problem.with_help(help),
            None => problem,
        }]
    })
}

/// Mappings are joined key by key; everything else is replaced, and `null` takes away.
fn merge(base: &mut Value, overlay: &Value) {
    match (base, overlay) {
        (Value::Object(base), Value::Object(overlay)) => {
            for (key, value) in overlay {
                match value {
                    Value::Null => drop(base.remove(key)),
                    value => merge(base.entry(key.clone()).or_insert(Value::Null), value),
                }
            }
        }
        (base, overlay) => *base = overlay.clone(),
    }
}

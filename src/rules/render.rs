//! Renders the templates of a rule. Labels are data, never code.
//!
//! The engine (tera) puts every value between two marks that no value can contain. [`language`] then walks over
//! literal text and values, knows whether a value stands within a string, a path or bare, and escapes it for that
//! place or refuses it. Nothing here reads a file, and an undefined name is an error.

mod json;
mod language;
mod name;
mod promql;
mod selector;
mod url;

use super::scope::Scope;
use super::template::{Part, UNSAFE_FILTERS, is_template, parts};
use crate::domain::catalog::{Slot, SlotLanguage};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::{self, Write};
use tera::{Kwargs, State, Tera};

pub use name::{is_dns_label, is_dns_subdomain};
pub use url::is_link;

/// Longest raw output of one template, in bytes: a label of 64 KiB passes, a template that repeats it does not.
const RAW_BYTES_MAX: usize = 256 << 10;

/// Stands before a value in the engine's output. Private to this module; taken out of values themselves.
const VALUE_BEGINS: char = '\u{1}';
/// Stands after a value.
const VALUE_ENDS: char = '\u{2}';

/// Why a template could not be rendered. Texts quote at most a few dozen characters of a label.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// The engine refuses the template or misses a name.
    #[error("{0}")]
    Engine(String),
    /// The result is empty, which must never mean "everything".
    #[error("the result is empty")]
    Empty,
    /// A value is empty where an empty value would widen what is meant.
    #[error("a value is empty here, and an empty value would mean more than one thing")]
    EmptyValue,
    /// The result is too long.
    #[error("the result is longer than {0} bytes")]
    TooLong(usize),
    /// A value stands where it would be code.
    #[error("the value `{value}` {problem}")]
    Value {
        /// The value, shortened.
        value: String,
        /// Why it may not stand there.
        problem: &'static str,
    },
    /// The result is not what its place needs.
    #[error("{0}")]
    Result(String),
    /// Parameters do not have the text that a slot points to. A defect of the kind's check.
    #[error("there is no text at `{0}`")]
    NoSlot(String),
}

/// Why parameters could not be rendered, with the place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}`: {error}", pointer.trim_start_matches('/').replace('/', "."))]
pub struct ParamsRenderError {
    /// JSON pointer from the parameters to the text.
    pub pointer: String,
    /// Why.
    pub error: RenderError,
}

/// Compiled templates, found again by their own text.
#[derive(Debug)]
pub struct Templates {
    /// `None` where no text holds a placeholder.
    tera: Option<Tera>,
}

impl Templates {
    /// Compiles all texts that hold placeholders; plain texts need no compiling.
    ///
    /// # Errors
    /// With the first text that the engine refuses: its syntax, or an unknown filter.
    pub fn compile<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<Self, RenderError> {
        let texts: BTreeSet<&str> = texts.into_iter().filter(|text| is_template(text)).collect();
        if texts.is_empty() {
            return Ok(Self { tera: None });
        }
        let mut tera = engine();
        tera.add_raw_templates(texts.into_iter().map(|text| (text, text)))
            .map_err(|error| RenderError::Engine(describe(&error)))?;
        Ok(Self { tera: Some(tera) })
    }

    /// Compiles all texts that can be; rendering one that cannot be is an error.
    pub(super) fn compile_sound<'t>(texts: impl IntoIterator<Item = &'t str>) -> Self {
        let texts: Vec<&str> = texts.into_iter().collect();
        Self::compile(texts.iter().copied()).unwrap_or_else(|_| {
            let sound = texts.into_iter().filter(|text| Self::compile([*text]).is_ok());
            Self::compile(sound).unwrap_or(Self { tera: None })
        })
    }

    /// Renders one of the compiled texts for one place.
    ///
    /// # Errors
    /// If a name is undefined, or the result may not stand in such a place.
    pub fn render(&self, text: &str, language: SlotLanguage, scope: &Scope) -> Result<String, RenderError> {
        if !is_template(text) {
            return language::assemble(&[Piece::Literal(text)], language);
        }
        let context = tera::Context::from_serialize(scope.values())
            .map_err(|error| RenderError::Engine(describe(&error)))?;
        let Some(tera) = &self.tera else {
            return Err(RenderError::Engine("the template could not be compiled".to_owned()));
        };
        let mut raw = Limited::default();
        if let Err(error) = tera.render_to(text, &context, &mut raw) {
            let too_long = RenderError::TooLong(RAW_BYTES_MAX);
            return Err(if raw.full { too_long } else { RenderError::Engine(describe(&error)) });
        }
        let raw = String::from_utf8(raw.bytes).map_err(|error| RenderError::Engine(error.to_string()))?;
        language::assemble(&pieces(&raw), language)
    }

    /// Renders all slots of parameters and leaves everything else as it is.
    ///
    /// # Errors
    /// With the first slot that cannot be rendered.
    pub fn render_params(
        &self,
        slots: &[Slot],
        params: &Value,
        scope: &Scope,
    ) -> Result<Value, ParamsRenderError> {
        let mut rendered = params.clone();
        for slot in slots {
            let fail = |error| ParamsRenderError { pointer: slot.pointer.clone(), error };
            let no_slot = || fail(RenderError::NoSlot(slot.pointer.clone()));
            let place = rendered.pointer_mut(&slot.pointer).ok_or_else(no_slot)?;
            let text = place.as_str().ok_or_else(no_slot)?;
            let text = self.render(text, slot.language, scope).map_err(fail)?;
            *place = Value::String(text);
        }
        Ok(rendered)
    }
}

/// Judges a text before there are values: sample values stand in for its placeholders. A text with `{% if %}` is
/// not judged, since no one knows which branch will stand.
///
/// # Errors
/// If nothing that may stand in such a place can come of it.
pub fn probe(text: &str, language: SlotLanguage) -> Result<(), RenderError> {
    let mut pieces = Vec::new();
    for part in parts(text) {
        match part {
            Part::Literal(literal) => pieces.push(Piece::Literal(literal)),
            Part::Value(_) => pieces.push(Piece::Value(sample(language, pieces.last()))),
            Part::Tag(_) => return Ok(()),
        }
    }
    match language::assemble(&pieces, language) {
        Ok(_) => Ok(()),
        // The sample is nobody's value: the placeholder itself is what stands wrong.
        Err(RenderError::Value { problem, .. }) => {
            Err(RenderError::Result(format!("a placeholder here {problem}")))
        }
        Err(error) => Err(error),
    }
}

/// A value that may stand almost anywhere: a number, or a duration where PromQL wants one.
fn sample(language: SlotLanguage, before: Option<&Piece<'_>>) -> &'static str {
    let Some(Piece::Literal(before)) = before else { return "1" };
    let before = before.trim_end();
    let wants_duration = before.ends_with(['[', ':']) || before.ends_with("offset");
    if language == SlotLanguage::Promql && wants_duration { "1m" } else { "1" }
}

/// A piece of the engine's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece<'r> {
    /// Text of the rule's author.
    Literal(&'r str),
    /// A value: data from outside.
    Value(&'r str),
}

fn pieces(raw: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    for (nth, chunk) in raw.split(VALUE_BEGINS).enumerate() {
        match chunk.split_once(VALUE_ENDS) {
            Some((value, literal)) if nth > 0 => {
                pieces.push(Piece::Value(value));
                pieces.push(Piece::Literal(literal));
            }
            _ => pieces.push(Piece::Literal(chunk)),
        }
    }
    pieces.retain(|piece| *piece != Piece::Literal(""));
    pieces
}

/// An engine without templates: our filters are in, the unsafe ones are out, every value is marked.
fn engine() -> Tera {
    static PROTOTYPE: std::sync::LazyLock<Tera> = std::sync::LazyLock::new(|| {
        let mut tera = Tera::default();
        tera.autoescape_on([""]);
        tera.set_escape_fn(mark);
        for name in UNSAFE_FILTERS {
            tera.register_filter(name, |_: &tera::Value, _: Kwargs, _: &State| refuse());
        }
        tera.register_filter("percent", |ratio: f64, _: Kwargs, _: &State| percent(ratio));
        tera.register_filter("duration", |seconds: f64, _: Kwargs, _: &State| duration(seconds));
        tera
    });
    PROTOTYPE.clone()
}

fn refuse() -> tera::TeraResult<String> {
    Err(tera::Error::message("this filter is not available in rules"))
}

/// `0.0523` as `5.23 %`.
fn percent(ratio: f64) -> String {
    format!("{} %", (ratio * 10_000.0).round() / 100.0)
}

/// `5400` as `1h 30m`: seconds in the two largest units.
fn duration(seconds: f64) -> tera::TeraResult<String> {
    if !seconds.is_finite() || seconds.abs() > 1e12 {
        return Err(tera::Error::message("`duration` needs a number of seconds"));
    }
    let sign = if seconds < 0.0 { "-" } else { "" };
    // Below a minute fractions matter (latencies); above they are noise.
    let seconds = seconds.abs();
    if seconds < 60.0 {
        return Ok(format!("{sign}{}s", (seconds * 1000.0).round() / 1000.0));
    }
    let mut rest = seconds.round() as u64;
    let mut units = Vec::new();
    for (unit, length) in [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)] {
        if rest >= length {
            units.push(format!("{}{unit}", rest / length));
            rest %= length;
        }
    }
    units.truncate(2);
    Ok(format!("{sign}{}", units.join(" ")))
}

/// The engine's escape function: puts a value between its marks.
fn mark(value: &str, out: &mut dyn Write) -> io::Result<()> {
    write!(out, "{VALUE_BEGINS}")?;
    if value.contains([VALUE_BEGINS, VALUE_ENDS]) {
        out.write_all(value.replace([VALUE_BEGINS, VALUE_ENDS], "\u{fffd}").as_bytes())?;
    } else {
        out.write_all(value.as_bytes())?;
    }
    write!(out, "{VALUE_ENDS}")
}

/// A buffer that refuses to grow beyond [`RAW_BYTES_MAX`].
#[derive(Default)]
struct Limited {
    bytes: Vec<u8>,
    full: bool,
}

impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > RAW_BYTES_MAX {
            self.full = true;
            return Err(io::Error::other("full"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The engine's complaint without its drawing of the source: our own errors show the place.
fn describe(error: &tera::Error) -> String {
    match error.kind() {
        tera::ErrorKind::SyntaxError(report) | tera::ErrorKind::RenderingError(report) => {
            report.message().to_owned()
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests;

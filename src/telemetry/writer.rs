//! The end of the log queue: takes secrets out of each line, then writes it.

use std::borrow::Cow;
use std::io::{self, Write};

use serde_json::Value;
use smokejumper_domain::redact::Redactor;

use crate::secret::Keyring;

/// Writes whole lines with the secrets taken out.
pub(super) struct RedactingWriter<W> {
    output: W,
    keyring: Keyring,
}

impl<W> RedactingWriter<W> {
    pub(super) fn new(output: W, keyring: Keyring) -> Self {
        // What it looks for is compiled here: the memory that this takes for a moment is used again by the rest of the
        // start, and by nobody in the thread that writes.
        let _ = keyring.redactor().redact("");
        Self { output, keyring }
    }
}

impl<W: Write> Write for RedactingWriter<W> {
    /// Takes one line whole, as the queue hands it over.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let clean = redact_line(&self.keyring.redactor(), &text);
        self.output.write_all(clean.as_bytes())?;
        // What was masked may have gone to the very end of the line.
        if text.ends_with('\n') && !clean.ends_with('\n') {
            self.output.write_all(b"\n")?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// The line without secrets. A line of JSON stays one: where masking the line as a whole breaks it, as when a key in
/// PEM is cut off and all that follows belongs to it, each of its texts is masked by itself.
fn redact_line<'l>(redactor: &Redactor, line: &'l str) -> Cow<'l, str> {
    let masked = match redactor.redact(line) {
        Cow::Borrowed(line) => return Cow::Borrowed(line),
        Cow::Owned(masked) => masked,
    };
    if !line.starts_with('{') || is_json(&masked) {
        return Cow::Owned(masked);
    }
    match serde_json::from_str::<Value>(line) {
        Ok(mut object) => {
            redact_texts(redactor, &mut object);
            Cow::Owned(format!("{object}\n"))
        }
        // It was never JSON.
        Err(_) => Cow::Owned(masked),
    }
}

fn is_json(line: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(line).is_ok()
}

fn redact_texts(redactor: &Redactor, value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Cow::Owned(masked) = redactor.redact(text) {
                *text = masked;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| redact_texts(redactor, item)),
        Value::Object(object) => object.values_mut().for_each(|item| redact_texts(redactor, item)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

//! One mistake in a file or in the environment, and how it is shown to a person.

use std::fmt;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde::Serialize;
use smokejumper_domain::redact::Redactor;

/// Where a mistake stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// At a line and column of a file, both counted from 1, columns in characters.
    At {
        /// The file as the caller named it.
        file: String,
        /// Line, from 1.
        line: usize,
        /// Column in characters, from 1.
        column: usize,
    },
    /// Somewhere in a file: it cannot be read, or something is missing from it.
    File {
        /// The file as the caller named it.
        file: String,
    },
    /// In an environment variable.
    Environment {
        /// Name of the variable.
        variable: String,
    },
}

/// The line of the file that holds the mistake, with secrets taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    line_text: String,
    /// Byte range within `line_text` to underline.
    mark: std::ops::Range<usize>,
}

impl Excerpt {
    /// Cuts line `line` (from 1) out of `text` and marks the word that begins at `column` (from 1, in characters).
    ///
    /// With `hide_value`, everything from the column on is masked, as it is a secret in the wrong place.
    /// `None` where the text has no such line.
    pub fn cut(text: &str, line: usize, column: usize, hide_value: bool) -> Option<Self> {
        let raw = text.lines().nth(line.checked_sub(1)?)?;
        let start = raw.char_indices().nth(column.saturating_sub(1)).map_or(raw.len(), |(byte, _)| byte);
        let shown = if hide_value { format!("{}…", &raw[..start]) } else { raw.to_owned() };
        let line_text = redact(&shown);
        // What was masked before the place has moved it; the mark then goes to where the texts part.
        let unchanged = shown.bytes().zip(line_text.bytes()).take_while(|(a, b)| a == b).count();
        let start = line_text.floor_char_boundary(start.min(unchanged));
        let word = line_text[start..].split([' ', ':', ',', ']', '}']).next().unwrap_or_default();
        let mark = start..start + word.len();
        Some(Self { line_text, mark })
    }
}

/// The line without secrets. References such as `{ env: NAME }` stay: a name is what the reader has to put right, and
/// beside a key such as `Authorization` the redactor would take it for the value.
fn redact(line: &str) -> String {
    let redactor = Redactor::default();
    let (mut shown, mut rest) = (String::new(), line);
    while let Some((before, reference, after)) = split_at_reference(rest) {
        let (before, space) = before.split_at(before.trim_end().len());
        shown.push_str(&redactor.redact(before));
        shown.push_str(space);
        // By itself: a real token in the place of a name is still known by its form.
        shown.push_str(&redactor.redact(reference));
        rest = after;
    }
    shown.push_str(&redactor.redact(rest));
    shown
}

/// The first `{ env: NAME }` or `{ file: PATH }` of a line, with what stands before and after it.
fn split_at_reference(line: &str) -> Option<(&str, &str, &str)> {
    line.match_indices('{').find_map(|(open, _)| {
        let close = open + line[open..].find('}')? + 1;
        let (key, name) = line[open + 1..close - 1].split_once(':')?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
        let name = name.trim().trim_matches(['"', '\'']);
        (matches!(key.trim(), "env" | "file") && !name.is_empty() && name.chars().all(is_name))
            .then(|| (&line[..open], &line[open..close], &line[close..]))
    })
}

/// One mistake: where, what, and how to put it right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where it stands.
    pub place: Place,
    /// What is wrong, as one sentence without a full stop.
    pub message: String,
    /// How to put it right, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The offending line.
    #[serde(skip)]
    pub excerpt: Option<Excerpt>,
}

impl Problem {
    /// A problem with a file as a whole.
    pub fn in_file(file: &str, message: impl Into<String>) -> Self {
        let place = Place::File { file: file.to_owned() };
        Self { place, message: message.into(), help: None, excerpt: None }
    }

    /// A problem with the value of an environment variable.
    pub fn in_environment(variable: &str, message: impl Into<String>) -> Self {
        let place = Place::Environment { variable: variable.to_owned() };
        Self { place, message: message.into(), help: None, excerpt: None }
    }

    /// A problem at a line and column (both from 1) of `text`, which was read from `file`.
    pub fn at(file: &str, text: &str, line: usize, column: usize, message: impl Into<String>) -> Self {
        let place = Place::At { file: file.to_owned(), line, column };
        let excerpt = Excerpt::cut(text, line, column, false);
        Self { place, message: message.into(), help: None, excerpt }
    }

    /// Line and column, both from 1, to sort by; `(0, 0)` where there is none.
    pub fn position(&self) -> (usize, usize) {
        match self.place {
            Place::At { line, column, .. } => (line, column),
            Place::File { .. } | Place::Environment { .. } => (0, 0),
        }
    }

    /// Masks the value that the problem is about, as it may be a secret. `text` is the text of the file.
    pub fn hiding_value(mut self, text: &str) -> Self {
        if let Place::At { line, column, .. } = self.place {
            self.excerpt = Excerpt::cut(text, line, column, true);
        }
        self
    }

    /// Adds the way out.
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Rendered as compilers do: title, place, the line with a mark under it, and help.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(Level::ERROR))
    }
}

impl Problem {
    /// The problem as a warning: something doubtful that stops nothing.
    pub fn warning(&self) -> String {
        self.render(Level::WARNING)
    }

    fn render(&self, level: Level<'_>) -> String {
        let title = match &self.place {
            Place::At { .. } => self.message.clone(),
            Place::File { file } => format!("{file}: {}", self.message),
            Place::Environment { variable } => format!("environment variable {variable}: {}", self.message),
        };
        let mut group =
            level.primary_title(title.as_str()).elements(Vec::<annotate_snippets::Element>::new());
        if let (Place::At { file, line, .. }, Some(excerpt)) = (&self.place, &self.excerpt) {
            let mark = AnnotationKind::Primary.span(excerpt.mark.clone());
            let snippet = Snippet::source(excerpt.line_text.as_str()).line_start(*line).path(file.as_str());
            group = group.element(snippet.annotation(mark));
        } else if let Place::At { file, line, column } = &self.place {
            group = group
                .element(annotate_snippets::Origin::path(file.as_str()).line(*line).char_column(*column));
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        Renderer::plain().render(&[group]).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(line: &str) -> String {
        Problem::at("s.yaml", line, 1, 1, "x").to_string()
    }

    #[test]
    fn the_name_of_a_secret_is_shown_and_a_secret_is_not() {
        for line in [
            "bot_token: { env: SLACK_BOT_TOKEN }",
            "headers: { Authorization: { env: WAF_TOKEN } }",
            "token: [{ env: NEW_TOKEN }, { file: /run/secrets/old-token }]",
            "password: { env: 'AM_PASSWORD' }   # the one of Alertmanager",
        ] {
            assert!(shown(line).contains(line), "{}", shown(line));
        }
        let token = format!("xoxb-{}", "1234567890-abcdefghij");
        for line in [
            format!("bot_token: {token}"),
            format!("bot_token: {{ env: {token} }}"),
            format!("token: {{ evn: {token} }}"),
            "password: planted-in-clear # { env: X }".to_owned(),
        ] {
            let shown = shown(&line);
            assert!(!shown.contains("abcdefghij") && !shown.contains("planted"), "{shown}");
        }
    }
}

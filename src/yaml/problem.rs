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
        let line_text = Redactor::default().redact(&shown).into_owned();
        // What was masked before the place has moved it; the mark then goes to where the texts part.
        let unchanged = shown.bytes().zip(line_text.bytes()).take_while(|(a, b)| a == b).count();
        let start = line_text.floor_char_boundary(start.min(unchanged));
        let word = line_text[start..].split([' ', ':', ',', ']', '}']).next().unwrap_or_default();
        let mark = start..start + word.len();
        Some(Self { line_text, mark })
    }
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

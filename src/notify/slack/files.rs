//! What hangs below a card as a file: evidence that had to be cut, and charts.
//!
//! Files are an extra: where one cannot be put there, such as without the scope for it, what was said is enough, and
//! nothing is tried again, since nobody can tell whether a file is there already.

use super::SlackNotifier;
use super::card::{self, Card, Frame};
use super::reply::Reply;
use super::trace::Go;
use crate::chart::{PaintError, described, marks, svg};
use crate::clients::answer::SendError;
use crate::clients::slack::files::File;
use crate::domain::chart::in_messages;
use crate::domain::notification::MessageRef;
use crate::domain::timeline::one_line;
use crate::engine::ports::IncidentView;

/// Characters of the name of a file, without its ending.
const NAME_CHARS_MAX: usize = 60;

/// A chart that is about to be painted.
struct Drawing {
    name: String,
    words: String,
    svg: String,
}

impl SlackNotifier {
    /// Says below the card what it has no room for, where `with_words`, and puts the charts there.
    pub(super) async fn evidence(
        &self,
        card: &MessageRef,
        with_words: bool,
        view: &IncidentView,
        frame: &Frame<'_>,
        go: Go<'_>,
    ) -> Result<Option<MessageRef>, SendError> {
        match card::details(view, frame).filter(|_| with_words) {
            Some(Card { text, blocks }) => {
                let is_new = self.reply(card, view, false, Reply { text, blocks }, go).await?;
                if !is_new {
                    return Ok(None);
                }
                self.attach(card, card::document(view, frame)).await;
            }
            None if go.is_unclear() => return Ok(None),
            None => {}
        }
        self.attach_charts(card, view, frame).await;
        Ok(None)
    }

    /// Puts the whole of what was cut below the card.
    pub(super) async fn attach(&self, card: &MessageRef, document: Option<String>) {
        let Some(text) = document else { return };
        let (name, title) = ("evidence.txt".to_owned(), "Evidence, whole".to_owned());
        self.put(card, &File { name, title, bytes: text.into_bytes(), alt_text: None }).await;
    }

    /// Puts a picture below the card for each chart that belongs into messages.
    pub(super) async fn attach_charts(&self, card: &MessageRef, view: &IncidentView, frame: &Frame<'_>) {
        for Drawing { name, words, svg } in drawings(view, frame) {
            match self.paint(svg).await {
                Ok(bytes) => {
                    let alt_text = Some(format!("Chart of {name}: {words}"));
                    let file = File { name: file_name(&name), title: name, bytes, alt_text };
                    self.put(card, &file).await;
                }
                Err(error) => tracing::warn!(
                    incident.id = %view.incident.id, finding = name, error,
                    "a chart could not be painted; the message goes without it"
                ),
            }
        }
    }

    /// Painting keeps a processor busy for a moment, and other messages must not wait for it.
    async fn paint(&self, svg: String) -> Result<Vec<u8>, String> {
        let painter = self.painter.clone();
        let painted = tokio::task::spawn_blocking(move || painter.png(&svg)).await;
        let painted = painted.map_err(|error| error.to_string())?;
        painted.map_err(|error: PaintError| error.to_string())
    }

    async fn put(&self, card: &MessageRef, file: &File) {
        let uploaded = match self.client() {
            Ok(client) => client.upload(&card.channel, &card.ts, file).await,
            Err(error) => Err(error),
        };
        if let Err(error) = uploaded {
            let name = &file.name;
            tracing::info!(%error, file = name, "a file could not be put into the thread; the message is enough");
        }
    }
}

/// What belongs into messages, drawn. Names were redacted when they were stored; a secret may be known only since then.
fn drawings(view: &IncidentView, frame: &Frame<'_>) -> Vec<Drawing> {
    let marks = marks(&view.incident, &view.alerts);
    let draw = |(finding, chart): (&crate::domain::diagnosis::Finding, &crate::domain::chart::Chart)| {
        let mut chart = chart.clone();
        for line in &mut chart.lines {
            line.name = frame.redactor.redact(&line.name).into_owned();
        }
        let svg = svg(&finding.name, &chart, &marks);
        Drawing { name: finding.name.clone(), words: described(&chart), svg }
    };
    in_messages(&view.findings).into_iter().map(draw).collect()
}

/// The name of a finding is an identifier in a rule that loads, and is taken for nothing more.
fn file_name(finding: &str) -> String {
    let plain: String = one_line(finding, NAME_CHARS_MAX)
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '-' || c == '_' { c } else { '_' })
        .collect();
    format!("{plain}.png")
}

//! Forms in Slack: a modal with a few sentences and fields, within Slack's limits.
//!
//! A form is drawn from [`Form`], and what it carries along comes back as it was given. Numbers: the limits written at
//! each field of Slack's Node SDK types and on docs.slack.dev/reference/views. What a form is for is decided by who
//! draws it: `reason` asks why.

use serde_json::{Value, json};

use super::blocks::{SECTION_UNITS_MAX, plain};
use crate::notify::words::{as_it_is, cut_escaped, units};

/// UTF-16 units of the title, and of each of the two buttons.
pub(super) const TITLE_UNITS_MAX: usize = 24;
/// UTF-16 units of what a form carries along.
pub(super) const METADATA_UNITS_MAX: usize = 3_000;
/// UTF-16 units of the name of a form or a field.
const NAME_UNITS_MAX: usize = 255;
/// UTF-16 units of a field's label.
const LABEL_UNITS_MAX: usize = 2_000;
/// Characters that a field takes.
const INPUT_CHARS_MAX: u16 = 3_000;

/// A form.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Form {
    /// What it is for: comes back as `callback_id`.
    pub(super) callback_id: String,
    /// What it carries along: comes back as `private_metadata`.
    pub(super) metadata: String,
    /// The large line.
    pub(super) title: &'static str,
    /// The button that sends it off.
    pub(super) submit: &'static str,
    /// Paragraphs in plain text, cut to what Slack takes.
    pub(super) paragraphs: Vec<String>,
    /// What may be written.
    pub(super) fields: Vec<TextField>,
}

/// A field of several lines.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TextField {
    /// Comes back with what was written.
    pub(super) id: &'static str,
    /// What stands above it.
    pub(super) label: &'static str,
    /// What stands in it while it is empty.
    pub(super) placeholder: &'static str,
    /// Whether Slack sends nothing off before something stands in it.
    pub(super) is_required: bool,
    /// Characters that it takes.
    pub(super) chars_max: u16,
}

impl Form {
    /// As `views.open` takes it. `None` where it carries along more than Slack takes: half of it would be another thing.
    pub(super) fn view(&self) -> Option<Value> {
        debug_assert!([self.title, self.submit].iter().all(|text| units(text) <= TITLE_UNITS_MAX));
        if units(&self.metadata) > METADATA_UNITS_MAX || units(&self.callback_id) > NAME_UNITS_MAX {
            return None;
        }
        let paragraphs = self.paragraphs.iter().map(|text| {
            let text = cut_escaped(text, SECTION_UNITS_MAX, as_it_is);
            json!({ "type": "section", "text": plain(&text) })
        });
        let blocks: Vec<Value> = paragraphs.chain(self.fields.iter().map(TextField::block)).collect();
        Some(json!({
            "type": "modal", "callback_id": self.callback_id, "private_metadata": self.metadata,
            "title": plain(self.title), "submit": plain(self.submit), "close": plain("Back"), "blocks": blocks,
        }))
    }
}

impl TextField {
    fn block(&self) -> Value {
        debug_assert!(units(self.label) <= LABEL_UNITS_MAX && self.chars_max <= INPUT_CHARS_MAX);
        json!({
            "type": "input", "block_id": self.id, "optional": !self.is_required, "label": plain(self.label),
            "element": {
                "type": "plain_text_input", "action_id": self.id, "multiline": true,
                "max_length": self.chars_max, "placeholder": plain(self.placeholder),
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_form() -> Form {
        Form {
            callback_id: "smokejumper.reason.reject".to_owned(),
            metadata: "v1|i1-a1|ab".to_owned(),
            title: "Reject this plan",
            submit: "Reject",
            paragraphs: vec!["It is not carried out.".to_owned()],
            fields: vec![TextField {
                id: "why",
                label: "Why?",
                placeholder: "…",
                is_required: false,
                chars_max: 500,
            }],
        }
    }

    #[test]
    fn a_form_is_a_modal_with_its_words_and_fields() {
        let view = mk_form().view().expect("a view");
        assert_eq!((&view["type"], &view["title"]["text"]), (&json!("modal"), &json!("Reject this plan")));
        assert_eq!(view["private_metadata"], "v1|i1-a1|ab");
        assert_eq!(view["blocks"][0]["text"]["type"], "plain_text", "nothing in it can be markup");
        let field = &view["blocks"][1];
        assert_eq!((&field["optional"], &field["element"]["action_id"]), (&json!(true), &json!("why")));
    }

    #[test]
    fn what_is_too_long_is_cut_and_what_must_come_back_whole_is_not_sent() {
        let long = Form { paragraphs: vec!["ä".repeat(4_000)], ..mk_form() };
        let view = long.view().expect("a view");
        assert!(units(view["blocks"][0]["text"]["text"].as_str().expect("a text")) <= SECTION_UNITS_MAX);
        assert_eq!(Form { metadata: "x".repeat(3_001), ..mk_form() }.view(), None);
    }
}

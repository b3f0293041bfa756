//! The form that asks why, for presses of which people will want to know it later.
//!
//! It carries along what the button carried and where it was pressed. Both come back as they were given, and are read
//! as carefully as from a button: the plan that was shown must still be the one that stands.

use super::button::{ButtonValue, ValueError, names, parse_value, silence_length};
use super::modal::{Form, TextField};
use crate::clients::slack::interaction::ViewSubmission;
use crate::engine::ports::ClickVerb;

/// What the `callback_id`s begin with. The word of the button follows.
const PREFIX: &str = "smokejumper.reason.";
/// The one field.
const FIELD: &str = "reason";
/// Characters of a reason. The trail keeps it for good, and a card shows some of it.
const REASON_CHARS_MAX: u16 = 500;
/// Characters of a channel's id that is taken back. Slack's have about eleven.
const CHANNEL_CHARS_MAX: usize = 40;

/// What a form carries along.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Asked {
    /// What the button carried.
    pub(super) value: ButtonValue,
    /// Slack's id of the channel in which it was pressed.
    pub(super) channel: Option<String>,
}

impl Asked {
    fn write(&self) -> String {
        format!("{}\n{}", self.value.write(), self.channel.as_deref().unwrap_or_default())
    }
}

/// The form for a press. `None` for presses that need no reason. `about` is our own message, as it was pressed.
pub(super) fn form(verb: ClickVerb, asked: &Asked, about: Option<&str>) -> Option<Form> {
    let (title, what) = words(verb)?;
    let (word, label) = names(verb);
    let is_required = verb == ClickVerb::Approve;
    let about = about.map(str::to_owned).filter(|text| !text.trim().is_empty());
    let chosen = asked.value.digest.as_deref().filter(|_| verb == ClickVerb::Silence);
    let chosen = chosen.map(|choice| format!("How long: {}.", silence_length(choice)));
    Some(Form {
        callback_id: format!("{PREFIX}{word}"),
        metadata: asked.write(),
        title,
        submit: label.trim_end_matches(" …"),
        paragraphs: about.into_iter().chain(chosen).chain([what.to_owned()]).collect(),
        fields: vec![TextField {
            id: FIELD,
            label: "Why?",
            placeholder: match is_required {
                true => "For whoever approves after you, and whoever reads it later.",
                false => "For whoever reads it later. It may stay empty.",
            },
            is_required,
            chars_max: REASON_CHARS_MAX,
        }],
    })
}

/// The title, and what happens then.
fn words(verb: ClickVerb) -> Option<(&'static str, &'static str)> {
    match verb {
        ClickVerb::Approve => {
            Some(("Approve this plan?", "It is carried out once two different people have approved it."))
        }
        ClickVerb::Reject => Some(("Reject this plan?", "It will not be carried out. People go on.")),
        ClickVerb::TakeOver => Some((
            "Go on by hand?",
            "Nothing more is tried, undone or proposed in this incident. Temporary fixes are still set back when their \
             time is over.",
        )),
        ClickVerb::Resolve => Some((
            "Is it over?",
            "What waits is called off, and everybody who was told hears that it is over. Where its alerts fire \
             on, it is opened again when Alertmanager repeats them, and not before an hour has passed.",
        )),
        ClickVerb::Silence => Some((
            "Silence its alerts?",
            "Alertmanager tells nobody of them, the incident is yours, and nothing escalates or starts by itself until the \
             silence is over.",
        )),
        ClickVerb::Acknowledge | ClickVerb::Escalate | ClickVerb::Unsilence => None,
    }
}

/// What a form of this `callback_id` does; `None` for one that is not ours.
pub(super) fn verb_of(callback_id: &str) -> Option<ClickVerb> {
    let word = callback_id.strip_prefix(PREFIX)?;
    let asks = |verb: &ClickVerb| words(*verb).is_some() && names(*verb).0 == word;
    ClickVerb::ALL.into_iter().find(asks)
}

/// Reads what a form carried along.
///
/// # Errors
/// As for a button.
pub(super) fn parse_metadata(verb: ClickVerb, metadata: &str) -> Result<Asked, ValueError> {
    let (value, channel) = metadata.split_once('\n').ok_or(ValueError::Form)?;
    let value = parse_value(verb, Some(value))?;
    let is_channel = channel.len() <= CHANNEL_CHARS_MAX && channel.chars().all(|c| c.is_ascii_alphanumeric());
    if !is_channel {
        return Err(ValueError::Form);
    }
    Ok(Asked { value, channel: Some(channel.to_owned()).filter(|channel| !channel.is_empty()) })
}

/// What was written; `None` where it was left empty.
pub(super) fn given(sent: &ViewSubmission) -> Option<String> {
    let text = sent.texts.get(FIELD)?.trim();
    // Slack holds the limit in its own form; whoever can forge a form need not.
    let text: String = text.chars().take(REASON_CHARS_MAX.into()).collect();
    Some(text).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::notify::slack::modal::TITLE_UNITS_MAX;
    use crate::notify::words::units;

    fn mk_asked() -> Asked {
        let value = ButtonValue { subject: "i1-a1".to_owned(), digest: Some("ab12".to_owned()) };
        Asked { value, channel: Some("C1".to_owned()) }
    }

    #[test]
    fn what_a_form_carries_along_is_read_again() {
        let form = form(ClickVerb::Reject, &mk_asked(), Some("P1")).expect("a form");
        assert_eq!(verb_of(&form.callback_id), Some(ClickVerb::Reject));
        assert_eq!(parse_metadata(ClickVerb::Reject, &form.metadata), Ok(mk_asked()));
        assert_eq!(form.paragraphs, ["P1", "It will not be carried out. People go on."]);
    }

    #[test]
    fn whoever_approves_by_a_form_has_to_say_why() {
        let view = |verb| form(verb, &mk_asked(), None).and_then(|form| form.view()).expect("a form");
        let is_optional = |verb| view(verb)["blocks"][1]["optional"].clone();
        assert_eq!(
            (is_optional(ClickVerb::Approve), is_optional(ClickVerb::Reject)),
            (false.into(), true.into())
        );
    }

    #[test]
    fn whoever_silences_reads_for_how_long_before_they_do() {
        let value = ButtonValue { subject: "i1".to_owned(), digest: Some("4h".to_owned()) };
        let asked = Asked { value, channel: None };
        let form = form(ClickVerb::Silence, &asked, None).expect("a form");
        assert_eq!((form.submit, form.paragraphs[0].as_str()), ("Silence", "How long: 4 hours."));
        assert_eq!(parse_metadata(ClickVerb::Silence, &form.metadata), Ok(asked));
    }

    #[test]
    fn titles_and_buttons_keep_to_what_slack_takes() {
        let titles = ClickVerb::ALL.into_iter().filter_map(|verb| Some([words(verb)?.0, names(verb).1]));
        assert!(titles.flatten().all(|text| units(text) <= TITLE_UNITS_MAX));
    }

    #[test]
    fn forms_that_were_edited_are_refused() {
        for metadata in ["", "v1|i1-a1|ab12", "v1|i1-a1\nC1", "v2|i1-a1|ab12\nC1", "v1|i1-a1|ab12\nC1\nC2"] {
            assert!(parse_metadata(ClickVerb::Reject, metadata).is_err(), "{metadata}");
        }
        assert_eq!(verb_of("smokejumper.reason.acknowledge"), None, "nobody is asked why they take it");
        assert_eq!(verb_of("smokejumper.reject"), None);
    }

    #[test]
    fn an_empty_reason_is_none_and_a_long_one_is_cut() {
        let sent = |text: &str| ViewSubmission {
            team_id: None,
            user_team_id: None,
            app_id: None,
            user_id: "U1".to_owned(),
            callback_id: String::new(),
            private_metadata: String::new(),
            texts: BTreeMap::from([(FIELD.to_owned(), text.to_owned())]),
        };
        assert_eq!(given(&sent(" \n ")), None);
        assert_eq!(given(&sent(" too risky \n")).as_deref(), Some("too risky"));
        assert_eq!(given(&sent(&"ä".repeat(900))).map(|text| text.chars().count()), Some(500));
    }
}

//! Our buttons: what they are called, what they carry, and how that is read again when somebody presses one.
//!
//! A button carries the identity of an incident or an action and, for a decision, the digest of the plan that was
//! shown. Never a label, an address or a word of ours: Slack hands the value back as it is, duplicates of a message
//! must be harmless, and what a press means is decided by what is stored.

use serde_json::{Value, json};
use thiserror::Error;

use super::blocks::{CONFIRM_UNITS_MAX, mrkdwn, plain};
use crate::engine::ports::{ClickVerb, SILENCE_CHOICES};

/// What all our `action_id`s begin with.
const PREFIX: &str = "smokejumper.";
/// The form of the value. A later form gets another word, so that old messages stay understood.
const FORM: &str = "v1";
/// Between the parts of a value.
const SEPARATOR: char = '|';
/// Longest identity that is taken back. Ours have fewer than 60 characters.
const SUBJECT_CHARS_MAX: usize = 200;
/// Longest digest that is taken back: SHA-512 in hex.
const DIGEST_CHARS_MAX: usize = 128;

/// Why a button's value is not one of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ValueError {
    /// The button had no value.
    #[error("the button carries no value")]
    Missing,
    /// The value begins with another word.
    #[error("the button's value is not of the form {FORM}: it comes from another program or a later version")]
    Form,
    /// The identity is empty, too long, or has characters that ours never have.
    #[error("the button's value names no incident or action")]
    Subject,
    /// The digest is not hexadecimal, or missing where something shown is decided about.
    #[error("the button's value has no digest of what was shown")]
    Digest,
}

/// What a button carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ButtonValue {
    /// Identity of an incident, or of an action for [`ClickVerb::Approve`] and [`ClickVerb::Reject`].
    pub subject: String,
    /// Digest of what was shown and is decided about: of the plan, or of where the escalation stood.
    pub digest: Option<String>,
}

impl ButtonValue {
    /// As it stands in the button.
    pub fn write(&self) -> String {
        let Self { subject, digest } = self;
        match digest {
            None => format!("{FORM}{SEPARATOR}{subject}"),
            Some(digest) => format!("{FORM}{SEPARATOR}{subject}{SEPARATOR}{digest}"),
        }
    }
}

/// Reads the value of a button that does `verb`.
///
/// # Errors
/// Says what is wrong with it, without repeating it.
pub fn parse_value(verb: ClickVerb, value: Option<&str>) -> Result<ButtonValue, ValueError> {
    let mut parts = value.ok_or(ValueError::Missing)?.split(SEPARATOR);
    if parts.next() != Some(FORM) {
        return Err(ValueError::Form);
    }
    let subject = parts.next().filter(|subject| is_subject(subject)).ok_or(ValueError::Subject)?;
    let digest = match (verb, parts.next()) {
        (ClickVerb::Acknowledge | ClickVerb::TakeOver | ClickVerb::Resolve | ClickVerb::Unsilence, None) => {
            None
        }
        (ClickVerb::Resolve, Some(episode)) if is_digest(episode) => Some(episode.to_owned()),
        (ClickVerb::Silence, Some(word)) if SILENCE_CHOICES.iter().any(|(known, _)| *known == word) => {
            Some(word.to_owned())
        }
        (ClickVerb::Approve | ClickVerb::Reject | ClickVerb::Escalate, Some(digest)) if is_digest(digest) => {
            Some(digest.to_owned())
        }
        _ => return Err(ValueError::Digest),
    };
    if parts.next().is_some() {
        return Err(ValueError::Form);
    }
    Ok(ButtonValue { subject: subject.to_owned(), digest })
}

fn is_subject(text: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':');
    (1..=SUBJECT_CHARS_MAX).contains(&text.len()) && text.chars().all(known)
}

fn is_digest(text: &str) -> bool {
    (1..=DIGEST_CHARS_MAX).contains(&text.len()) && text.chars().all(|c| c.is_ascii_hexdigit())
}

/// The button that approves once its form was sent off.
const APPROVE_WHY: (&str, &str) = ("approve_why", "Approve …");

/// What a button of this `action_id` does; `None` for a button that is not ours.
pub fn verb_of(action_id: &str) -> Option<ClickVerb> {
    let word = action_id.strip_prefix(PREFIX)?;
    if word == APPROVE_WHY.0 {
        return Some(ClickVerb::Approve);
    }
    ClickVerb::ALL.into_iter().find(|verb| names(*verb).0 == word)
}

/// Whether a button opens a form first, where there is one for what it does.
pub(super) fn opens_a_form(verb: ClickVerb, action_id: &str) -> bool {
    verb != ClickVerb::Approve || action_id.strip_prefix(PREFIX) == Some(APPROVE_WHY.0)
}

/// Draws the button that approves and asks why first.
pub(super) fn approve_why(value: &ButtonValue) -> Option<Value> {
    let mut button = draw(ClickVerb::Approve, Some("primary"), value)?;
    button["action_id"] = json!(format!("{PREFIX}{}", APPROVE_WHY.0));
    button["text"] = plain(APPROVE_WHY.1);
    Some(button)
}

fn action_id(verb: ClickVerb) -> String {
    format!("{PREFIX}{}", names(verb).0)
}

/// What a button is called in its `action_id`, and on its face.
pub(super) fn names(verb: ClickVerb) -> (&'static str, &'static str) {
    match verb {
        ClickVerb::Acknowledge => ("acknowledge", "Acknowledge"),
        ClickVerb::Approve => ("approve", "Approve"),
        ClickVerb::Reject => ("reject", "Reject"),
        ClickVerb::TakeOver => ("take_over", "Take over"),
        ClickVerb::Escalate => ("escalate", "Escalate now"),
        ClickVerb::Resolve => ("resolve", "Resolve"),
        ClickVerb::Silence => ("silence", "Silence …"),
        ClickVerb::Unsilence => ("unsilence", "Lift the silence"),
    }
}

/// Draws a button. `None` where the identity is not one that could be read again: a button that leads nowhere is
/// worse than none.
pub(super) fn draw(verb: ClickVerb, style: Option<&str>, value: &ButtonValue) -> Option<Value> {
    let written = value.write();
    parse_value(verb, Some(&written)).ok()?;
    let label = names(verb).1;
    let mut button = json!({
        "type": "button", "action_id": action_id(verb), "text": plain(label), "value": written,
    });
    if let Some(style) = style {
        button["style"] = json!(style);
    }
    Some(button)
}

/// How long a choice of the menu of silences lasts, in words.
pub(super) fn silence_length(choice: &str) -> &'static str {
    match choice {
        "1h" => "1 hour",
        "4h" => "4 hours",
        "1d" => "1 day",
        _ => "Until it is resolved",
    }
}

/// Draws the menu with the times for which an incident may be silenced.
pub(super) fn silence_menu(subject: &str) -> Option<Value> {
    let option = |word: &str| {
        let value = ButtonValue { subject: subject.to_owned(), digest: Some(word.to_owned()) }.write();
        parse_value(ClickVerb::Silence, Some(&value)).ok()?;
        Some(json!({ "text": plain(silence_length(word)), "value": value }))
    };
    let options: Vec<Value> = SILENCE_CHOICES.iter().map(|(word, _)| option(word)).collect::<Option<_>>()?;
    Some(json!({
        "type": "static_select", "action_id": action_id(ClickVerb::Silence),
        "placeholder": plain(names(ClickVerb::Silence).1), "options": options,
    }))
}

/// Asks once more before the button counts. `text` is mrkdwn of at most [`CONFIRM_UNITS_MAX`] units.
pub(super) fn with_confirmation(mut button: Value, title: &str, text: &str, yes: &str, style: &str) -> Value {
    debug_assert!(crate::notify::words::units(text) <= CONFIRM_UNITS_MAX);
    button["confirm"] = json!({
        "title": plain(title), "text": mrkdwn(text), "confirm": plain(yes), "deny": plain("Back"), "style": style,
    });
    button
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mk_value(subject: &str, digest: Option<&str>) -> ButtonValue {
        ButtonValue { subject: subject.to_owned(), digest: digest.map(str::to_owned) }
    }

    #[test]
    fn values_are_short_opaque_and_read_again() {
        let decision = mk_value("0199-a1", Some("ab12"));
        assert_eq!(decision.write(), "v1|0199-a1|ab12");
        assert_eq!(parse_value(ClickVerb::Approve, Some("v1|0199-a1|ab12")), Ok(decision));
        assert_eq!(parse_value(ClickVerb::Acknowledge, Some("v1|0199")), Ok(mk_value("0199", None)));
    }

    #[test]
    fn foreign_and_edited_values_are_refused() {
        let parse = |verb, text| parse_value(verb, Some(text)).expect_err("a refusal");
        assert_eq!(parse_value(ClickVerb::Approve, None), Err(ValueError::Missing));
        assert_eq!(parse(ClickVerb::Acknowledge, "click_me_123"), ValueError::Form);
        assert_eq!(parse(ClickVerb::Acknowledge, "v2|0199"), ValueError::Form);
        assert_eq!(parse(ClickVerb::Acknowledge, "v1|"), ValueError::Subject);
        assert_eq!(parse(ClickVerb::Acknowledge, "v1|a b"), ValueError::Subject);
        let long = format!("v1|{}", "a".repeat(201));
        assert_eq!(parse(ClickVerb::Acknowledge, &long), ValueError::Subject);
        assert_eq!(parse(ClickVerb::Approve, "v1|0199-a1"), ValueError::Digest);
        assert_eq!(parse(ClickVerb::Approve, "v1|0199-a1|xyz"), ValueError::Digest);
        assert_eq!(parse(ClickVerb::Acknowledge, "v1|0199|ab"), ValueError::Digest);
        assert_eq!(parse(ClickVerb::Reject, "v1|0199-a1|ab|cd"), ValueError::Form);
    }

    #[test]
    fn a_silence_lasts_as_long_as_one_of_the_choices_says() {
        let menu = silence_menu("0199").expect("a menu");
        let values: Vec<&str> = menu["options"]
            .as_array()
            .expect("options")
            .iter()
            .filter_map(|one| one["value"].as_str())
            .collect();
        assert_eq!(values, ["v1|0199|1h", "v1|0199|4h", "v1|0199|1d", "v1|0199|resolved"]);
        for value in values {
            assert!(parse_value(ClickVerb::Silence, Some(value)).is_ok(), "{value}");
        }
        for value in ["v1|0199", "v1|0199|9d", "v1|0199|ab"] {
            assert_eq!(parse_value(ClickVerb::Silence, Some(value)), Err(ValueError::Digest), "{value}");
        }
    }

    #[test]
    fn names_of_buttons_are_read_again_and_others_are_not_ours() {
        for verb in ClickVerb::ALL {
            assert_eq!(verb_of(&action_id(verb)), Some(verb));
        }
        assert_eq!(verb_of("approve"), None);
        let why = approve_why(&mk_value("0199-a1", Some("ab"))).expect("a button");
        let why = why["action_id"].as_str().expect("a name");
        assert_eq!(verb_of(why), Some(ClickVerb::Approve));
        assert!(opens_a_form(ClickVerb::Approve, why));
        assert!(!opens_a_form(ClickVerb::Approve, &action_id(ClickVerb::Approve)));
        assert!(opens_a_form(ClickVerb::Reject, &action_id(ClickVerb::Reject)));
        assert_eq!(verb_of("smokejumper.launch"), None);
    }

    #[test]
    fn a_button_that_could_not_be_read_again_is_not_drawn() {
        assert!(draw(ClickVerb::Acknowledge, None, &mk_value("a|b", None)).is_none());
        assert!(draw(ClickVerb::Approve, None, &mk_value("0199-a1", None)).is_none());
        assert!(draw(ClickVerb::Approve, Some("primary"), &mk_value("0199-a1", Some("ab"))).is_some());
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic_and_only_our_own_form_passes(text in ".{0,60}") {
            if let Ok(value) = parse_value(ClickVerb::Approve, Some(&text)) {
                prop_assert_eq!(value.write(), text);
            }
        }
    }
}

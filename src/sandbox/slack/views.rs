//! Modals: opened with a trigger that is good for three seconds and once, and sent off by a person.
//!
//! Limits and error names: docs.slack.dev, references of `views.open`, of views and of the input block. Stricter than
//! published: block types that a form does not need are refused.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::api::{Refusal, refuse};
use super::interaction::payload_form;
use super::limits::{self, BlockError};
use super::{Click, ClickError, Interaction, Shared, SignedInteraction, SlackSandbox, lock};
use crate::sandbox::seed::random_hex;

/// How long a trigger is good.
pub const TRIGGER_LIFETIME: Duration = Duration::from_secs(3);
/// Triggers that are remembered; the oldest go first.
const TRIGGERS_MAX: usize = 1_000;
/// Views that are open at once; the oldest go first.
const VIEWS_MAX: usize = 100;
/// Characters of a view's title, and of its buttons.
const MAX_TITLE_CHARS: usize = 24;
/// Blocks of a view.
const MAX_BLOCKS: usize = 100;
/// Characters that a view carries along.
const MAX_METADATA_CHARS: usize = 3_000;
/// Bytes of a view.
const MAX_VIEW_BYTES: usize = 250_000;
/// Characters of a label, and of the text in an empty field.
const MAX_LABEL_CHARS: usize = 2_000;
const MAX_PLACEHOLDER_CHARS: usize = 150;
/// Characters that a field may be said to take.
const MAX_INPUT_LENGTH: u64 = 3_000;

/// A modal that stands open before a person.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct View {
    /// Its id.
    pub id: String,
    /// The person's id.
    pub user: String,
    /// As it was opened.
    pub view: Value,
}

/// Triggers and views of the workspace.
#[derive(Debug, Default)]
pub(super) struct Views {
    triggers: VecDeque<(String, Trigger)>,
    open: Vec<View>,
    homes: HashMap<String, Value>,
    /// How often a home tab was drawn.
    homes_drawn: u64,
}

#[derive(Debug)]
struct Trigger {
    user: String,
    born: Instant,
    used: bool,
}

impl Views {
    fn trigger(&mut self, user: &str) -> String {
        let id = format!("{}.{}", Timestamp::now().as_millisecond(), random_hex(16));
        if self.triggers.len() >= TRIGGERS_MAX {
            self.triggers.pop_front();
        }
        let trigger = Trigger { user: user.to_owned(), born: Instant::now(), used: false };
        self.triggers.push_back((id.clone(), trigger));
        id
    }

    /// Whose trigger it is, where it is still good.
    fn exchange(&mut self, id: &str) -> Result<String, Refusal> {
        let Some((_, trigger)) = self.triggers.iter_mut().find(|(known, _)| known == id) else {
            return refuse("invalid_trigger_id");
        };
        if trigger.used {
            return refuse("exchanged_trigger_id");
        }
        if trigger.born.elapsed() > TRIGGER_LIFETIME {
            return refuse("expired_trigger_id");
        }
        trigger.used = true;
        Ok(trigger.user.clone())
    }
}

impl Shared {
    /// A trigger for a person who has just pressed something.
    pub(super) fn new_trigger(&self, user: &str) -> String {
        lock(&self.views).trigger(user)
    }

    /// `views.open`.
    pub(super) fn open_view(&self, trigger: &str, view: Value) -> Result<Value, Refusal> {
        checked(&view, "modal")?;
        let mut views = lock(&self.views);
        let user = views.exchange(trigger)?;
        let id = format!("V{}", random_hex(5).to_uppercase());
        if views.open.len() >= VIEWS_MAX {
            views.open.remove(0);
        }
        views.open.push(View { id: id.clone(), user, view: view.clone() });
        drop(views);
        self.workspace().touch();
        Ok(json!({"ok": true, "view": {"id": id, "type": "modal", "callback_id": view["callback_id"]}}))
    }

    /// `views.publish`.
    pub(super) fn publish_view(&self, user: &str, view: Value) -> Result<Value, Refusal> {
        checked(&view, "home")?;
        if self.user(user).is_none() {
            return refuse("invalid_arguments");
        }
        let mut views = lock(&self.views);
        views.homes.insert(user.to_owned(), view);
        views.homes_drawn += 1;
        self.workspace().touch();
        Ok(json!({"ok": true, "view": {"type": "home"}}))
    }

    /// Views that stand open.
    pub(super) fn open_views(&self) -> Vec<View> {
        lock(&self.views).open.clone()
    }

    /// Takes a view away, as its close button does.
    pub(super) fn close_view(&self, id: &str) {
        lock(&self.views).open.retain(|view| view.id != id);
        self.workspace().touch();
    }

    /// A view with what somebody wrote, ready to send.
    pub(super) fn prepare_submission(
        &self,
        id: &str,
        texts: &BTreeMap<String, String>,
    ) -> Result<SignedInteraction, ClickError> {
        let missing = || ClickError::NotThere { what: "view", name: id.to_owned(), channel: String::new() };
        let View { view, user, .. } =
            self.open_views().into_iter().find(|view| view.id == id).ok_or_else(missing)?;
        let user = self.user(&user).ok_or_else(missing)?;
        let mut values = json!({});
        for block in view["blocks"].as_array().into_iter().flatten().filter(|it| it["type"] == "input") {
            let (block_id, action_id) = (&block["block_id"], &block["element"]["action_id"]);
            let (Some(block_id), Some(action_id)) = (block_id.as_str(), action_id.as_str()) else { continue };
            let written = texts.get(action_id).filter(|text| !text.is_empty());
            values[block_id][action_id] = json!({"type": block["element"]["type"], "value": written});
        }
        let mut sent = view.clone();
        sent["id"] = json!(id);
        sent["state"] = json!({ "values": values });
        sent["hash"] = json!(random_hex(8));
        let options = &self.options;
        let payload = json!({
            "type": "view_submission",
            "team": {"id": options.team_id, "domain": options.team_domain},
            "user": {"id": user.id, "username": user.name, "name": user.name, "team_id": options.team_id},
            "api_app_id": options.app_id, "token": options.verification_token,
            "trigger_id": self.new_trigger(&user.id), "view": sent, "response_urls": [],
            "is_enterprise_install": false, "enterprise": null,
        });
        let about = Click {
            channel: String::new(),
            message_ts: String::new(),
            action_id: view["callback_id"].as_str().unwrap_or_default().to_owned(),
            value: view["private_metadata"].as_str().map(str::to_owned),
            user: user.id.clone(),
        };
        Ok(SignedInteraction::new(&options.signing_secret, payload_form(&payload), about))
    }

    /// Sends a view off; it closes where the app takes it.
    pub(super) async fn submit_view(
        &self,
        id: &str,
        texts: &BTreeMap<String, String>,
    ) -> Result<Interaction, ClickError> {
        let done = self.deliver(&self.prepare_submission(id, texts)?).await?;
        if done.status == Some(200) {
            self.close_view(id);
        }
        Ok(done)
    }
}

impl Shared {
    pub(super) fn home_of(&self, user: &str) -> Option<Value> {
        lock(&self.views).homes.get(user).cloned()
    }

    pub(super) fn homes_drawn(&self) -> u64 {
        lock(&self.views).homes_drawn
    }
}

impl SlackSandbox {
    /// The modals that stand open, oldest first.
    #[must_use]
    pub fn views(&self) -> Vec<View> {
        self.shared.open_views()
    }

    /// What a person sees on the app's home tab.
    #[must_use]
    pub fn home_of(&self, user: &str) -> Option<Value> {
        self.shared.home_of(user)
    }

    /// A modal with what somebody wrote into its fields (by `action_id`), without sending it.
    ///
    /// # Errors
    /// [`ClickError::NotThere`] where it is not open.
    pub fn prepare_submission(
        &self,
        id: &str,
        texts: &BTreeMap<String, String>,
    ) -> Result<SignedInteraction, ClickError> {
        self.shared.prepare_submission(id, texts)
    }

    /// Writes into the fields of a modal (by `action_id`) and sends it off.
    ///
    /// # Errors
    /// As [`SlackSandbox::click`].
    pub async fn submit(&self, id: &str, texts: &[(&str, &str)]) -> Result<Interaction, ClickError> {
        let texts = texts.iter().map(|(id, text)| ((*id).to_owned(), (*text).to_owned())).collect();
        self.shared.submit_view(id, &texts).await
    }

    /// Time passes for every trigger: none of them is good any more.
    pub fn expire_triggers(&self) {
        for (_, trigger) in &mut lock(&self.shared.views).triggers {
            trigger.born = Instant::now() - TRIGGER_LIFETIME - Duration::from_millis(1);
        }
    }
}

fn checked(view: &Value, kind: &str) -> Result<(), Refusal> {
    if view.to_string().len() > MAX_VIEW_BYTES {
        return refuse("view_too_large");
    }
    let faults = view_faults(view, kind);
    if faults.is_empty() { Ok(()) } else { Err(Refusal::Explained("invalid_arguments", faults)) }
}

/// What Slack would find wrong with a view of a kind (`modal` or `home`).
#[must_use]
pub fn view_faults(view: &Value, kind: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut fault = |what: String, at: &str| faults.push(format!("{what} [json-pointer:/view{at}]"));
    if view["type"] != kind {
        fault(format!("unsupported type, expected {kind}"), "/type");
    }
    if chars(&view["private_metadata"]) > MAX_METADATA_CHARS {
        fault(format!("must be less than {} characters", MAX_METADATA_CHARS + 1), "/private_metadata");
    }
    if chars(&view["callback_id"]) > limits::MAX_ID_CHARS {
        fault(format!("must be less than {} characters", limits::MAX_ID_CHARS + 1), "/callback_id");
    }
    let blocks = view["blocks"].as_array().cloned().unwrap_or_default();
    if blocks.is_empty() || blocks.len() > MAX_BLOCKS {
        fault(format!("between 1 and {MAX_BLOCKS} items allowed"), "/blocks");
    }
    let (inputs, others): (Vec<_>, Vec<_>) = blocks.into_iter().partition(|block| block["type"] == "input");
    if kind == "modal" {
        for name in ["title", "submit", "close"] {
            let is_needed = name == "title" || (name == "submit" && !inputs.is_empty());
            let object = &view[name];
            if object.is_null() && !is_needed {
                continue;
            }
            if object["type"] != "plain_text" || !(1..=MAX_TITLE_CHARS).contains(&chars(&object["text"])) {
                fault(
                    format!("must be plain text of 1 to {MAX_TITLE_CHARS} characters"),
                    &format!("/{name}"),
                );
            }
        }
    } else if !inputs.is_empty() {
        fault("unsupported block: input".to_owned(), "/blocks");
    }
    for input in &inputs {
        let element = &input["element"];
        let good = element["type"] == "plain_text_input"
            && input["label"]["type"] == "plain_text"
            && (1..=MAX_LABEL_CHARS).contains(&chars(&input["label"]["text"]))
            && chars(&element["placeholder"]["text"]) <= MAX_PLACEHOLDER_CHARS
            && element["max_length"].as_u64().is_none_or(|max| (1..=MAX_INPUT_LENGTH).contains(&max))
            && [&input["block_id"], &element["action_id"]].iter().all(|id| chars(id) <= limits::MAX_ID_CHARS);
        if !good {
            fault("not a good input block".to_owned(), "/blocks");
        }
    }
    for part in others.chunks(limits::MAX_BLOCKS) {
        match limits::checked_blocks(&json!(part)) {
            // The total of a message is none of a view's.
            Ok(_) | Err(BlockError::TooLong) => {}
            Err(BlockError::Format) => fault("not blocks".to_owned(), "/blocks"),
            Err(BlockError::Invalid(lines)) => faults_of(lines, &mut fault),
        }
    }
    faults
}

fn faults_of(lines: Vec<String>, fault: &mut impl FnMut(String, &str)) {
    for line in lines {
        fault(line, "/blocks");
    }
}

fn chars(value: &Value) -> usize {
    value.as_str().map_or(0, |text| text.chars().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_view() -> Value {
        let text = |text: &str| json!({"type": "plain_text", "text": text});
        json!({
            "type": "modal", "title": text("Why?"), "submit": text("Send"), "private_metadata": "m",
            "blocks": [
                {"type": "section", "text": text("About")},
                {"type": "input", "block_id": "b", "label": text("Reason"),
                 "element": {"type": "plain_text_input", "action_id": "a", "max_length": 500}},
            ],
        })
    }

    fn faults(change: impl FnOnce(&mut Value)) -> usize {
        let mut view = mk_view();
        change(&mut view);
        match checked(&view, "modal") {
            Ok(()) => 0,
            Err(Refusal::Explained(_, lines)) => lines.len(),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn limits_of_a_view_are_held() {
        assert_eq!(faults(|_| {}), 0);
        assert_eq!(faults(|view| view["title"]["text"] = json!("x".repeat(25))), 1);
        assert_eq!(faults(|view| view["submit"] = Value::Null), 1, "a form with fields needs its button");
        assert_eq!(faults(|view| view["private_metadata"] = json!("x".repeat(3_001))), 1);
        assert_eq!(faults(|view| view["blocks"][1]["element"]["max_length"] = json!(3_001)), 1);
        assert_eq!(faults(|view| view["blocks"][0]["text"]["text"] = json!("x".repeat(3_001))), 1);
        let many: Vec<Value> = (0..101).map(|_| mk_view()["blocks"][0].clone()).collect();
        assert_eq!(faults(|view| view["blocks"] = json!(many)), 1);
    }

    #[test]
    fn a_trigger_is_good_once_and_for_three_seconds() {
        let mut views = Views::default();
        let trigger = views.trigger("U1");
        assert_eq!(views.exchange(&trigger), Ok("U1".to_owned()));
        assert_eq!(views.exchange(&trigger), refuse("exchanged_trigger_id"));
        let late = views.trigger("U1");
        views.triggers[1].1.born = Instant::now() - TRIGGER_LIFETIME - Duration::from_millis(1);
        assert_eq!(views.exchange(&late), refuse("expired_trigger_id"));
        assert_eq!(views.exchange("1.2"), refuse("invalid_trigger_id"));
    }
}

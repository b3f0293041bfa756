//! The notifier against the simulated workspace, over real HTTP.

use std::collections::BTreeMap;

use jiff::ToSpan;
use serde_json::{Value, json};

use super::directory::{Directory, Wanted};
use super::*;
use crate::clients::http::{HttpOptions, ProxyChoice};
use crate::domain::chart::{Chart, ChartLine};
use crate::domain::people::Role;
use crate::engine::clock::SystemClock;
use crate::engine::ports::{Clock as _, Notifier};
use crate::notify::Notifiers;
use crate::notify::stories::{self, known_at, minutes};
use crate::sandbox::faults::Fault;
use crate::sandbox::slack::{self as sandbox, SlackSandbox};
use crate::secret::SecretSource;

const CHANNEL: &str = "#pss-nano-incidents";

fn destination() -> Destination {
    Destination::Slack { channel: CHANNEL.to_owned() }
}

fn mk_http() -> HttpClient {
    let options = HttpOptions { proxy: ProxyChoice::Direct, ..HttpOptions::configured() };
    HttpClient::new(&options).expect("an HTTP client")
}

async fn mk_workspace() -> SlackSandbox {
    SlackSandbox::start(sandbox::SlackOptions::default()).await.expect("a free port")
}

fn mk_notifiers(slack: &SlackSandbox, token: &SecretSource) -> Notifiers {
    let environment = BTreeMap::from([("SLACK".to_owned(), slack.options().bot_token.clone())]);
    let keyring = Keyring::new(environment);
    let options = SlackOptions {
        api_url: slack.api_url(),
        bot_token: keyring.open(token).expect("a token"),
        external_url: Some("https://smokejumper.example.com".to_owned()),
        alertmanager_url: None,
    };
    let slack = SlackNotifier::new(options, mk_http(), keyring).expect("a notifier");
    Notifiers { slack: Some(slack), ..Notifiers::default() }
}

struct Story {
    slack: SlackSandbox,
    notifiers: Notifiers,
    message: Option<MessageRef>,
}

impl Story {
    async fn new() -> Self {
        let slack = mk_workspace().await;
        let notifiers = mk_notifiers(&slack, &SecretSource::Env("SLACK".to_owned()));
        Self { slack, notifiers, message: None }
    }

    /// Delivers a notice about an incident that knows of the message that was sent last.
    async fn tell(&mut self, notice: &Notice, view: IncidentView) -> Delivered {
        let view = known_at(view, destination(), self.message.clone());
        let delivered = self.notifiers.notify(&destination(), notice, &view, minutes(5)).await;
        if let (Notice::Card, Delivered::Yes { message }) = (notice, &delivered) {
            self.message.clone_from(message);
        }
        delivered
    }

    fn messages(&self) -> Vec<sandbox::Message> {
        self.slack.messages(CHANNEL)
    }

    fn methods(&self) -> Vec<String> {
        self.slack.calls().entries().into_iter().map(|call| call.what.method).collect()
    }

    fn last_args(&self) -> Value {
        self.slack.calls().entries().last().expect("a call").what.args.clone()
    }
}

fn mk_reply(text: &str, page: bool) -> Notice {
    Notice::Reply { text: text.to_owned(), page }
}

fn is_yes(delivered: &Delivered) -> bool {
    matches!(delivered, Delivered::Yes { .. })
}

#[tokio::test]
async fn one_message_is_posted_and_edited_through_all_states() {
    let mut story = Story::new().await;
    story.slack.set_rate_limits(sandbox::RateLimits::Off);
    for (name, view) in stories::all() {
        let delivered = story.tell(&Notice::Card, view).await;
        assert!(is_yes(&delivered), "{name}: {delivered:?}");
    }
    let messages = story.messages();
    assert_eq!(messages.len(), 1);
    assert!(messages[0].text.contains("Resolved after 14 min"), "{}", messages[0].text);
    let first = story.slack.calls().entries().first().expect("a call").what.args.clone();
    assert_eq!(first["unfurl_links"], false);
    assert_eq!(first["metadata"]["event_payload"]["incident"], stories::opened().incident.id.0);
}

#[tokio::test]
async fn replies_go_into_the_thread_and_pages_into_the_channel_as_well() {
    let mut story = Story::new().await;
    story.tell(&Notice::Card, stories::opened()).await;
    let card = story.message.clone().expect("a card");
    assert!(is_yes(&story.tell(&mk_reply("Scaled api", false), stories::acting()).await));
    assert_eq!(story.last_args()["thread_ts"], card.ts);
    assert_eq!(story.last_args().get("reply_broadcast"), None);
    assert!(is_yes(&story.tell(&mk_reply("Not acknowledged yet: lead", true), stories::acting()).await));
    assert_eq!(story.last_args()["reply_broadcast"], true);
    let thread: Vec<_> =
        story.messages().into_iter().filter(|message| message.thread_ts.as_ref() == Some(&card.ts)).collect();
    assert!(thread.iter().any(|message| message.text == "🔔 Not acknowledged yet: lead"), "{thread:?}");
}

#[tokio::test]
async fn an_answer_to_one_person_is_seen_by_nobody_else_and_by_nobody_who_left() {
    let mut story = Story::new().await;
    story.tell(&Notice::Card, stories::opened()).await;
    let whisper = |user: &str| Notice::Whisper { user: user.to_owned(), text: "already <!here>".to_owned() };
    let una = story.slack.options().users[0].id.clone();
    assert!(is_yes(&story.tell(&whisper(&una), stories::opened()).await));
    let seen = story.messages().pop().expect("a message");
    assert_eq!(
        (seen.only_for.as_ref(), seen.text.as_str()),
        (Some(&una), "That did not count: already &lt;!here&gt;")
    );
    assert!(is_yes(&story.tell(&whisper("U0GONE"), stories::opened()).await));
    assert_eq!(
        story.slack.calls().entries().last().expect("a call").what.error.as_deref(),
        Some("user_not_in_channel")
    );
    assert_eq!(story.messages().len(), 2);
    story.slack.set_rate_limits(sandbox::RateLimits::Off);
    story.slack.faults().next("chat.postEphemeral", Fault::status(500));
    assert!(matches!(story.tell(&whisper(&una), stories::opened()).await, Delivered::Later { .. }));
}

#[tokio::test]
async fn long_evidence_follows_in_the_thread_and_short_evidence_is_not_repeated() {
    let mut story = Story::new().await;
    story.tell(&Notice::Card, stories::diagnosed()).await;
    assert!(is_yes(&story.tell(&Notice::Evidence, stories::opened()).await));
    assert_eq!(story.messages().len(), 1);
    assert!(is_yes(&story.tell(&Notice::Evidence, stories::diagnosed()).await));
    let reply = story.messages().pop().expect("a reply");
    assert!(reply.thread_ts.is_some() && reply.blocks[0].to_string().contains("waiting 9"), "{reply:?}");
}

/// Evidence of two hundred lines, with a secret in it.
fn mk_long_evidence() -> IncidentView {
    let mut view = stories::diagnosed();
    let finding = view.findings.iter_mut().find(|it| it.is_known()).expect("a finding");
    let lines: Vec<String> = (0..200).map(|n| format!("line {n} password=hunter2hunter2")).collect();
    finding.text = lines.join("\n");
    view
}

#[tokio::test]
async fn evidence_that_is_cut_is_a_file_in_the_thread_as_well() {
    let mut story = Story::new().await;
    story.tell(&Notice::Card, stories::opened()).await;
    assert!(is_yes(&story.tell(&Notice::Evidence, mk_long_evidence()).await));
    let file = story.slack.files().pop().expect("a file");
    assert_eq!((file.name.as_str(), file.text.matches("line ").count()), ("evidence.txt", 200));
    assert!(!file.text.contains("hunter2"), "redacted first: {}", file.text);
    assert_eq!(file.thread_ts, story.message.clone().map(|card| card.ts));
    // What is shown whole is no file.
    assert!(is_yes(&story.tell(&Notice::Evidence, stories::diagnosed()).await));
    assert_eq!(story.slack.files().len(), 1);
}

#[tokio::test]
async fn where_no_file_can_be_put_the_cut_text_is_enough() {
    let faults = [
        ("files.getUploadURLExternal", Fault::vendor_error("missing_scope")),
        ("files.completeUploadExternal", Fault::vendor_error("not_in_channel")),
        ("files.completeUploadExternal", Fault::dropped()),
    ];
    for (method, fault) in faults {
        let mut story = Story::new().await;
        story.tell(&Notice::Card, stories::opened()).await;
        story.slack.faults().next(method, fault);
        assert!(is_yes(&story.tell(&Notice::Evidence, mk_long_evidence()).await), "{method}");
        let reply = story.messages().pop().expect("a reply");
        assert!(reply.blocks[0].to_string().contains("in the dashboard"), "{reply:?}");
        assert_eq!(story.slack.files(), [], "{method}");
    }
}

/// Evidence with these charts: name, and whether the rule asks for it.
fn mk_charted(charts: &[(&str, bool)]) -> IncidentView {
    let mut view = stories::diagnosed();
    for (name, asked_for) in charts {
        let mut finding = stories::mk_finding(name, "0.12 (min 0, avg 0.05, max 0.2)");
        let line = ChartLine {
            name: "{token=\"password=hunter2hunter2\"}".to_owned(),
            values: vec![Some(0.12); 61],
        };
        finding.chart = Some(Box::new(Chart {
            from: minutes(-58),
            step_ms: 60_000,
            threshold: Some(0.05),
            lines: vec![line],
            left_out: 0,
            asked_for: *asked_for,
        }));
        view.findings.push(finding);
    }
    view
}

fn titles(story: &Story) -> Vec<String> {
    story.slack.files().into_iter().map(|file| file.title).collect()
}

#[tokio::test]
async fn a_chart_is_a_picture_below_the_card() {
    let mut story = Story::new().await;
    story.tell(&Notice::Card, stories::opened()).await;
    let view = mk_charted(&[("latency", false), ("error_ratio", false)]);
    assert!(is_yes(&story.tell(&Notice::Evidence, view.clone()).await));
    let file = story.slack.files().pop().expect("a file");
    assert_eq!(
        (titles(&story), file.name.as_str()),
        (vec!["latency".to_owned()], "latency.png"),
        "the first one"
    );
    assert!(file.bytes.starts_with(b"\x89PNG"), "{:?}", &file.bytes[..8]);
    let words = file.alt_text.expect("words for whoever does not see it");
    assert!(words.contains("threshold 0.05") && words.contains("at last 0.12"), "{words}");
    assert!(!words.contains("hunter2"), "redacted: {words}");
    assert_eq!(file.thread_ts, story.message.clone().map(|card| card.ts));
    // After something was done about it, it is shown again; before there is a card, nowhere.
    assert!(is_yes(&story.tell(&Notice::Charts, view.clone()).await));
    assert_eq!(titles(&story), ["latency", "latency"]);
    story.message = None;
    assert!(is_yes(&story.tell(&Notice::Charts, view).await));
    assert_eq!(titles(&story).len(), 2);
}

#[tokio::test]
async fn a_rule_chooses_which_charts_go_along() {
    let mut story = Story::new().await;
    story.tell(&Notice::Card, stories::opened()).await;
    let charts = [("a", false), ("b", true), ("c", true), ("d", true), ("e", true)];
    story.tell(&Notice::Charts, mk_charted(&charts)).await;
    assert_eq!(titles(&story), ["b", "c", "d"], "a few of those that are asked for");
}

#[tokio::test]
async fn where_no_picture_can_be_put_the_message_is_enough() {
    for method in ["files.getUploadURLExternal", "files.completeUploadExternal"] {
        let mut story = Story::new().await;
        story.tell(&Notice::Card, stories::opened()).await;
        story.slack.faults().next(method, Fault::vendor_error("missing_scope"));
        assert!(is_yes(&story.tell(&Notice::Evidence, mk_charted(&[("latency", false)])).await), "{method}");
        assert!(titles(&story).is_empty(), "{method}");
        let reply = story.messages().pop().expect("a reply");
        assert!(reply.blocks[0].to_string().contains("waiting 9"), "{reply:?}");
    }
}

#[tokio::test]
async fn a_card_whose_answer_was_lost_is_found_again_and_not_posted_twice() {
    let mut story = Story::new().await;
    // The channel's id is known from here on.
    story.tell(&Notice::Card, stories::opened()).await;
    story.message = None;
    story.slack.faults().next("chat.postMessage", Fault::dropped().after_effect());
    let view = known_at(stories::acting(), destination(), None);
    let now = SystemClock.now();
    let told = story.notifiers.notify(&destination(), &Notice::Card, &view, now).await;
    let Delivered::Yes { message: Some(found) } = told else { panic!("{told:?}") };
    let messages = story.messages();
    assert_eq!(messages.len(), 2, "the first, and the one whose answer was lost");
    assert_eq!(messages[1].ts, found.ts);
    // Where nobody may look, it is as it was: tried again.
    story.slack.set_scopes(&["chat:write"]);
    story.slack.faults().next("chat.postMessage", Fault::dropped().after_effect());
    let told = story.notifiers.notify(&destination(), &Notice::Card, &view, now).await;
    assert!(matches!(told, Delivered::Later { failed: true, .. }), "{told:?}");
}

#[tokio::test]
async fn a_reply_whose_answer_was_lost_is_found_again_and_no_other_one_is_taken_for_it() {
    let mut story = Story::new().await;
    story.tell(&Notice::Card, stories::opened()).await;
    let say = async |story: &Story, text: &str| {
        let view = known_at(stories::opened(), destination(), story.message.clone());
        story.notifiers.notify(&destination(), &mk_reply(text, false), &view, SystemClock.now()).await
    };
    story.slack.faults().next("chat.postMessage", Fault::dropped().after_effect());
    assert!(is_yes(&say(&story, "Scaled api").await));
    assert_eq!(story.messages().len(), 2, "the card, and the reply whose answer was lost");
    // Another reply did not get there: the one before it does not stand for it.
    story.slack.faults().next("chat.postMessage", Fault::dropped());
    let told = say(&story, "Restarted api").await;
    assert!(matches!(told, Delivered::Later { failed: true, .. }), "{told:?}");
    // The same holds for replies that stand alone, where there is no card.
    let mut story = Story::new().await;
    story.tell(&Notice::Card, stories::opened()).await;
    story.message = None;
    assert!(is_yes(&say(&story, "Paged Una").await));
    story.slack.faults().next("chat.postMessage", Fault::dropped());
    let told = say(&story, "Paged Ravi").await;
    assert!(matches!(told, Delivered::Later { failed: true, .. }), "{told:?}");
    assert_eq!(story.messages().len(), 2);
}

#[tokio::test]
async fn what_another_process_may_have_posted_is_looked_for_before_it_is_posted_again() {
    let mut story = Story::new().await;
    story.slack.set_rate_limits(sandbox::RateLimits::Off);
    let again = |key| Sending { key, attempt: 2, wished_at: SystemClock.now() };
    let view = known_at(stories::acting(), destination(), None);
    let now = SystemClock.now();
    story.tell(&Notice::Card, stories::opened()).await;
    let posted = story.message.clone().expect("a card");
    // A process that has just started knows no channel by its id, and of no try how it ended.
    let other = mk_notifiers(&story.slack, &SecretSource::Env("SLACK".to_owned()));
    // Where Slack cannot be asked now it is asked again, and nothing is posted meanwhile.
    story.slack.faults().next("conversations.history", Fault::status(503));
    let told = other.deliver(again("i1-e1"), &destination(), &Notice::Card, &view, now).await;
    assert!(matches!(told, Delivered::Later { .. }), "{told:?}");
    let told = other.deliver(again("i1-e1"), &destination(), &Notice::Card, &view, now).await;
    assert_eq!(told, Delivered::Yes { message: Some(posted) }, "the card that stands there is edited");
    assert_eq!(story.messages().len(), 1);
    // Of a line the wish tells which one it is.
    let view = known_at(stories::acting(), destination(), story.message.clone());
    let line = mk_reply("Scaled api", false);
    for (key, lines) in [("i1-e2", 1), ("i1-e2", 1), ("i1-e3", 2)] {
        assert!(is_yes(&other.deliver(again(key), &destination(), &line, &view, now).await));
        assert_eq!(story.messages().len(), 1 + lines, "{key}");
    }
    // Telling fails open: where looking takes long, or nobody may look, it is posted.
    story.slack.faults().next("conversations.replies", Fault::rate_limited(30));
    assert!(is_yes(&other.deliver(again("i1-e3"), &destination(), &line, &view, now).await));
    assert_eq!(story.messages().len(), 4);
    story.slack.set_scopes(&["chat:write"]);
    // One more, which the other would have to hold back: it keeps the pace of the channel.
    let third = mk_notifiers(&story.slack, &SecretSource::Env("SLACK".to_owned()));
    assert!(is_yes(&third.deliver(again("i1-e3"), &destination(), &line, &view, now).await));
    assert_eq!(story.messages().len(), 5);
}

#[tokio::test]
async fn a_direct_message_that_another_process_may_have_sent_is_looked_for_as_well() {
    let story = Story::new().await;
    let una = Destination::Slack { channel: "U0UNA".to_owned() };
    let view = known_at(stories::opened(), una.clone(), None);
    let now = SystemClock.now();
    let first = Sending { key: "i1-e1", attempt: 1, wished_at: now };
    let told = story.notifiers.deliver(first, &una, &Notice::Card, &view, now).await;
    let Delivered::Yes { message: Some(card) } = told else { panic!("{told:?}") };
    assert_eq!(card.channel, "D0UNA");
    let other = mk_notifiers(&story.slack, &SecretSource::Env("SLACK".to_owned()));
    let again = Sending { attempt: 2, ..first };
    let told = other.deliver(again, &una, &Notice::Card, &view, now).await;
    assert_eq!(told, Delivered::Yes { message: Some(card) });
    assert_eq!(story.slack.messages("U0UNA").len(), 1);
}

#[tokio::test]
async fn a_message_that_is_gone_is_posted_anew() {
    for error in ["message_not_found", "cant_update_message", "edit_window_closed"] {
        let mut story = Story::new().await;
        story.tell(&Notice::Card, stories::opened()).await;
        let first = story.message.clone();
        story.slack.faults().next("chat.update", Fault::vendor_error(error));
        assert!(is_yes(&story.tell(&Notice::Card, stories::acting()).await));
        assert_ne!(story.message, first, "{error}");
        assert_eq!(story.messages().len(), 2);
    }
}

#[tokio::test]
async fn blocks_that_slack_refuses_become_plain_text_in_the_same_go() {
    for error in ["invalid_blocks", "msg_blocks_too_long", "msg_too_long"] {
        let mut story = Story::new().await;
        story.slack.faults().next("chat.postMessage", Fault::vendor_error(error));
        assert!(is_yes(&story.tell(&Notice::Card, stories::awaiting_approval()).await), "{error}");
        let message = story.messages().pop().expect("a message");
        assert!(message.blocks.is_empty() && message.text.contains("Proposed: Set MAX_DB_CONNECTIONS=50"));
        // The next edit tries the whole card again.
        assert!(is_yes(&story.tell(&Notice::Card, stories::awaiting_approval()).await));
        assert!(!story.messages().pop().expect("a message").blocks.is_empty());
    }
    let mut story = Story::new().await;
    story.tell(&Notice::Card, stories::opened()).await;
    story.slack.faults().next("chat.postMessage", Fault::vendor_error("invalid_blocks"));
    assert!(is_yes(&story.tell(&mk_reply("Scaled api", false), stories::opened()).await));
    assert_eq!(story.last_args().get("blocks"), None);
}

#[tokio::test]
async fn a_lost_answer_is_tried_again_and_the_duplicate_carries_the_same_buttons() {
    let mut story = Story::new().await;
    // Where nobody may look.
    story.slack.set_scopes(&["chat:write"]);
    story.slack.faults().next("chat.postMessage", Fault::dropped().after_effect());
    let delivered = story.tell(&Notice::Card, stories::awaiting_approval()).await;
    assert!(matches!(delivered, Delivered::Later { failed: true, .. }), "{delivered:?}");
    assert!(is_yes(&story.tell(&Notice::Card, stories::awaiting_approval()).await));
    let values: Vec<Vec<String>> = story
        .messages()
        .iter()
        .map(|message| {
            let texts = stories::texts(&json!(message.blocks));
            texts.into_iter().filter(|(place, _)| place.ends_with("/value")).map(|(_, value)| value).collect()
        })
        .collect();
    assert_eq!(values.len(), 2);
    assert_eq!(values[0], values[1]);
}

#[tokio::test]
async fn asked_to_wait_it_waits_and_does_not_call_that_a_failure() {
    let mut story = Story::new().await;
    story.slack.faults().next("chat.postMessage", Fault::rate_limited(7));
    let asked = story.tell(&Notice::Card, stories::opened()).await;
    let Delivered::Paced { wait, .. } = asked else { panic!("{asked:?}") };
    assert_eq!(wait, Duration::from_secs(7));
    let calls = story.methods().len();
    let held = story.tell(&Notice::Card, stories::opened()).await;
    assert!(matches!(held, Delivered::Paced { .. }), "{held:?}");
    assert_eq!(story.methods().len(), calls, "Slack is not asked again before its time");
}

#[tokio::test]
async fn a_burst_keeps_the_pace_of_the_channel_whether_it_goes_by_name_or_by_id() {
    let mut story = Story::new().await;
    story.tell(&Notice::Card, stories::opened()).await;
    let mut paced = 0;
    for _ in 0..6 {
        let delivered = story.tell(&mk_reply("step", false), stories::opened()).await;
        paced += usize::from(matches!(delivered, Delivered::Paced { .. }));
    }
    assert!(paced >= 3, "{paced}");
    assert!(story.slack.calls().entries().iter().all(|call| call.what.ok), "Slack had nothing to refuse");
}

#[tokio::test]
async fn what_slack_refuses_for_good_is_said_so() {
    let refusals = ["invalid_auth", "not_in_channel", "channel_not_found", "is_archived", "missing_scope"];
    for error in refusals {
        let mut story = Story::new().await;
        story.slack.faults().next("chat.postMessage", Fault::vendor_error(error));
        let delivered = story.tell(&Notice::Card, stories::opened()).await;
        let Delivered::Never { reason } = delivered else { panic!("{delivered:?}") };
        assert!(reason.starts_with(error), "{reason}");
    }
    for outage in [Fault::status(503), Fault::vendor_error("fatal_error"), Fault::dropped()] {
        let mut story = Story::new().await;
        story.slack.faults().next("chat.postMessage", outage);
        let delivered = story.tell(&Notice::Card, stories::opened()).await;
        assert!(matches!(delivered, Delivered::Later { wait: None, failed: true, .. }), "{delivered:?}");
    }
}

#[tokio::test]
async fn a_reply_waits_for_its_card_but_not_for_ever() {
    let mut story = Story::new().await;
    let mut view = stories::opened();
    view.incident.updated_at = minutes(5) - 10.seconds();
    let delivered = story.tell(&mk_reply("first", true), view.clone()).await;
    assert!(matches!(delivered, Delivered::Later { wait: Some(_), failed: false, .. }), "{delivered:?}");
    assert!(story.messages().is_empty());
    view.incident.updated_at = minutes(5) - 61.seconds();
    assert!(is_yes(&story.tell(&mk_reply("Look at api", true), view).await));
    let alone = story.messages().pop().expect("a message");
    assert!(
        alone.text.starts_with("🟠 P1 · Gathering evidence: 12.4 %")
            && alone.text.ends_with("🔔 Look at api")
    );
    assert_eq!(alone.thread_ts, None);
}

#[tokio::test]
async fn a_reply_whose_card_was_refused_stands_alone_at_once() {
    let story = Story::new().await;
    let mut view = known_at(stories::opened(), destination(), None);
    view.incident.updated_at = minutes(5);
    view.incident.destinations[0].failure = Some("channel_not_found".to_owned());
    let delivered =
        story.notifiers.notify(&destination(), &mk_reply("Look at api", true), &view, minutes(5)).await;
    assert!(is_yes(&delivered), "{delivered:?}");
    assert_eq!(story.messages().len(), 1);
}

#[tokio::test]
async fn a_changed_token_is_used_without_a_restart() {
    let slack = mk_workspace().await;
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "xoxb-of-yesterday").expect("written");
    let notifiers = mk_notifiers(&slack, &SecretSource::File(file.path().to_owned()));
    let view = stories::opened();
    let before = notifiers.notify(&destination(), &Notice::Card, &view, minutes(1)).await;
    assert!(matches!(&before, Delivered::Never { reason } if reason.contains("invalid_auth")), "{before:?}");
    std::fs::write(file.path(), &slack.options().bot_token).expect("written");
    // A secret's file is looked at once a second.
    let deadline = std::time::Instant::now() + Duration::from_secs(20);
    let mut after = before;
    while !is_yes(&after) && std::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(100)).await;
        after = notifiers.notify(&destination(), &Notice::Card, &view, minutes(1)).await;
    }
    assert!(is_yes(&after), "{after:?}");
}

#[tokio::test]
async fn without_slack_in_the_settings_the_reason_names_the_way_out() {
    let delivered =
        Notifiers::default().notify(&destination(), &Notice::Card, &stories::opened(), minutes(1)).await;
    assert!(
        matches!(&delivered, Delivered::Never { reason } if reason.contains("slack.bot_token")),
        "{delivered:?}"
    );
}

#[tokio::test]
async fn whose_mail_address_is_gone_from_slack_is_nobody_at_once() {
    let slack = mk_workspace().await;
    let notifiers = mk_notifiers(&slack, &SecretSource::Env("SLACK".to_owned()));
    let notifier = notifiers.slack.as_ref().expect("a notifier");
    let emails = [("una@example.com".to_owned(), ("una".to_owned(), Role::Approver))].into();
    let directory = Directory::new(Wanted { groups: BTreeMap::new(), emails });
    directory.refresh(notifier).await;
    assert_eq!(directory.look_up("U0UNA"), Some((Some("una".to_owned()), Role::Approver)));
    // That Slack cannot be asked changes nothing yet; that it knows nobody does.
    for (fault, is_known) in [(Fault::status(500), true), (Fault::vendor_error("users_not_found"), false)] {
        slack.faults().always("users.lookupByEmail", fault);
        directory.refresh(notifier).await;
        assert_eq!(directory.look_up("U0UNA").is_some(), is_known);
    }
}

//! What people write after `/smokejumper`.

/// An order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Order {
    /// What can be written.
    Help,
    /// What is open.
    Status,
    /// One incident.
    Incident(String),
    /// What was found out about one.
    Evidence(String),
    /// I have it.
    Acknowledge {
        /// Which.
        incident: String,
        /// In their words.
        reason: Option<String>,
    },
    /// Do it.
    Approve {
        /// The action, or the incident that asks.
        subject: String,
        /// In their words.
        reason: Option<String>,
    },
    /// Who is on call.
    OnCall {
        /// Only by this schedule.
        schedule: Option<String>,
    },
    /// Stop acting.
    Pause {
        /// Only there.
        namespace: Option<String>,
        /// Why.
        reason: String,
    },
    /// Act again.
    Resume {
        /// Only there.
        namespace: Option<String>,
    },
}

/// The words that begin an order, with what follows them and what it does.
const WORDS: [(&str, &str, &str); 9] = [
    ("status", "", "what is open, and what is paused"),
    ("incident", "ID", "one incident"),
    ("diag", "ID", "what was found out about it"),
    ("ack", "ID [why]", "take it"),
    ("approve", "ID [why]", "approve the plan that it asks about"),
    ("oncall", "[SCHEDULE]", "who is on call, and who is next"),
    ("pause", "[namespace=NAME] why", "stop all actions, there or everywhere"),
    ("resume", "[namespace=NAME]", "let them start again"),
    ("help", "", "this"),
];

/// Other words for the same.
const ALIASES: [(&str, &str); 5] = [
    ("acknowledge", "ack"),
    ("show", "incident"),
    ("evidence", "diag"),
    ("unpause", "resume"),
    ("?", "help"),
];

/// How different a word may be from the one that was meant.
const DISTANCE_MAX: usize = 2;
/// Characters of somebody's words that are kept.
const REASON_CHARS_MAX: usize = 500;
/// Characters of a word that is said back.
const SAID_BACK_CHARS_MAX: usize = 40;

/// Reads an order. What is not one is answered with what was probably meant, in plain text.
pub(super) fn parse(text: &str) -> Result<Order, String> {
    let (word, rest) = first(text.trim());
    let word = word.to_lowercase();
    let known = ALIASES.iter().find(|(alias, _)| *alias == word).map_or(word.as_str(), |(_, known)| known);
    let (subject, more) = first(rest);
    let needs = |what: &str| Err(format!("`{known}` needs {what}: /smokejumper {}", usage(known)));
    let subject_of = || subject.to_lowercase();
    let wants_subject = matches!(known, "incident" | "diag" | "ack" | "approve");
    if wants_subject && subject.is_empty() {
        return needs("the identity of an incident, whole or its last characters");
    }
    match known {
        "" | "status" => Ok(Order::Status),
        "help" => Ok(Order::Help),
        "incident" => Ok(Order::Incident(subject_of())),
        "oncall" => Ok(Order::OnCall { schedule: Some(subject.to_owned()).filter(|name| !name.is_empty()) }),
        "diag" => Ok(Order::Evidence(subject_of())),
        "ack" => Ok(Order::Acknowledge { incident: subject_of(), reason: reason_of(more) }),
        "approve" => Ok(Order::Approve { subject: subject_of(), reason: reason_of(more) }),
        "pause" => {
            let (namespace, why) = namespace_of(rest);
            match reason_of(why) {
                Some(reason) => Ok(Order::Pause { namespace, reason }),
                None => needs("a reason"),
            }
        }
        "resume" => match namespace_of(rest) {
            (namespace, "") => Ok(Order::Resume { namespace }),
            _ => Err(format!("this is not understood: /smokejumper {}", usage("resume"))),
        },
        _ => Err(unknown(&word)),
    }
}

/// What can be written, one a line.
pub(super) fn help() -> Vec<String> {
    WORDS.iter().map(|(word, _, what)| format!("`/smokejumper {}`  {what}", usage(word))).collect()
}

fn usage(word: &str) -> String {
    let follows = WORDS.iter().find(|(known, ..)| *known == word).map_or("", |(_, follows, _)| follows);
    format!("{word} {follows}").trim_end().to_owned()
}

fn unknown(word: &str) -> String {
    let said: String = word.chars().take(SAID_BACK_CHARS_MAX).collect();
    let all = WORDS.iter().map(|(word, ..)| *word).chain(ALIASES.iter().map(|(alias, _)| *alias));
    let near = all.map(|known| (strsim::damerau_levenshtein(&said, known), known)).min();
    match near.filter(|(distance, _)| *distance <= DISTANCE_MAX) {
        Some((_, known)) => format!("“{said}” is no word of mine; did you mean “{known}”?"),
        None => format!("“{said}” is no word of mine"),
    }
}

fn first(text: &str) -> (&str, &str) {
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim())
}

fn namespace_of(text: &str) -> (Option<String>, &str) {
    let (word, rest) = first(text);
    match word.strip_prefix("namespace=") {
        Some(name) => (Some(name.to_owned()), rest),
        None => (None, text),
    }
}

fn reason_of(text: &str) -> Option<String> {
    let reason: String = text.trim().chars().take(REASON_CHARS_MAX).collect();
    Some(reason).filter(|reason| !reason.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_of_the_help_is_understood() {
        for (word, follows, _) in WORDS {
            let text = format!("{word} {}", follows.replace(['[', ']'], ""));
            assert!(parse(&text).is_ok(), "{text}");
        }
        assert_eq!(help().len(), WORDS.len());
        assert_eq!(parse("  "), Ok(Order::Status), "nothing at all asks what is open");
    }

    #[test]
    fn orders_are_read_with_what_follows() {
        let approve = Order::Approve { subject: "01ab-a1".to_owned(), reason: Some("go  on".to_owned()) };
        assert_eq!(parse(" Approve 01AB-A1  go  on "), Ok(approve));
        let pause = Order::Pause { namespace: Some("shop".to_owned()), reason: "moving".to_owned() };
        assert_eq!(parse("pause namespace=shop moving"), Ok(pause));
        assert_eq!(parse("resume"), Ok(Order::Resume { namespace: None }));
    }

    #[test]
    fn what_is_missing_or_unknown_is_said_with_the_way_out() {
        let refused = |text: &str| parse(text).expect_err("no order");
        assert_eq!(refused("stauts"), "“stauts” is no word of mine; did you mean “status”?");
        assert_eq!(refused("launch"), "“launch” is no word of mine");
        assert!(refused("ack").contains("/smokejumper ack ID [why]"));
        assert!(refused("pause namespace=shop").contains("needs a reason"));
        assert!(refused("resume everything").contains("not understood"));
        assert!(refused(&"x".repeat(5_000)).chars().count() < 100);
    }
}

//! People silence incidents.

use crate::desk::{Desk, mk_alert};
use jiff::SignedDuration;
use smokejumper::domain::alert::{Alert, AlertStatus};
use smokejumper::domain::apply::Refused;
use smokejumper::domain::fingerprint::Fingerprint;
use smokejumper::domain::incident::IncidentStatus;
use smokejumper::domain::people::{Actor, Role, Via};
use smokejumper::engine::commands::CommandError;
use smokejumper::engine::ports::{Kept, SilenceRefused};

const HOUR: SignedDuration = SignedDuration::from_hours(1);
const MINUTE: SignedDuration = SignedDuration::from_mins(1);

fn person(name: &str) -> Actor {
    Actor { name: name.to_owned(), via: Via::Api, role: Role::Responder }
}

/// A desk where two services have trouble in two incidents; the stories are about the first.
async fn mk_desk() -> Desk {
    let desk = Desk::new().await;
    desk.post(&[mk_alert("api", desk.now())]).await;
    desk.told();
    desk
}

async fn silence(desk: &Desk, who: &str, lasts: Option<SignedDuration>) -> Result<(), CommandError> {
    let id = desk.incident().await.id;
    let said = desk.commands.silence(id, person(who), lasts, Some("moving it".to_owned())).await;
    desk.settle().await;
    said
}

async fn status(desk: &Desk) -> IncidentStatus {
    desk.incident().await.status
}

#[tokio::test]
async fn a_silence_is_for_exactly_the_alerts_that_fire_and_takes_the_incident_until_it_is_over() {
    let desk = mk_desk().await;
    let began = desk.now();
    silence(&desk, "una", Some(4 * HOUR)).await.expect("silenced");
    let asked = desk.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].alerts, [mk_alert("api", began).labels]);
    assert_eq!((asked[0].until, asked[0].by.as_str()), (began + 4 * HOUR, "una"));
    assert!(asked[0].key.ends_with("-s1"), "{asked:?}");
    let incident = desk.incident().await;
    assert_eq!(incident.status, IncidentStatus::Acknowledged);
    assert_eq!(incident.silence.expect("a silence").held_until, Some(began + 4 * HOUR));
    desk.told();

    // Nothing escalates while it stands, and it is looked at now and then.
    desk.pass(3 * HOUR).await;
    assert!(desk.told().iter().all(|told| !told.contains("Not acknowledged")), "nobody is called");
    assert!(desk.asked().iter().all(|order| order.until == began + 4 * HOUR));
    desk.pass(HOUR + MINUTE).await;
    assert_eq!(status(&desk).await, IncidentStatus::Triggered);
    let told = desk.told();
    assert!(told.iter().any(|told| told.starts_with("slack:#incidents Not acknowledged")), "{told:?}");
    assert_eq!(desk.line("silence_over").await.as_deref(), Some("the silence is over"));
    // The whole path begins again.
    desk.pass(15 * MINUTE).await;
    assert!(desk.told().iter().any(|told| told.starts_with("slack:#leads")));
}

#[tokio::test]
async fn until_it_is_resolved_means_short_silences_that_are_extended_and_ended_with_the_incident() {
    let desk = mk_desk().await;
    silence(&desk, "una", None).await.expect("silenced");
    let first = desk.asked().remove(0);
    assert_eq!(first.until, desk.now() + HOUR, "should we be gone, Alertmanager tells again soon");
    for _ in 0..10 {
        desk.pass(29 * MINUTE).await;
        let standing = desk.incident().await.silence.expect("a silence");
        assert!(standing.held_until.expect("set") > desk.now() + 20 * MINUTE, "{standing:?}");
    }
    assert!(desk.asked().iter().all(|order| order.key == first.key), "it stays the same silence");
    let mut over = mk_alert("api", desk.now());
    over.status = smokejumper::domain::alert::AlertStatus::Resolved;
    desk.post(&[over]).await;
    assert_eq!(status(&desk).await, IncidentStatus::Resolved);
    let asked = desk.asked();
    assert!(asked.len() == 1 && asked[0].alerts.is_empty() && asked[0].key == first.key, "{asked:?}");
    assert_eq!(desk.incident().await.silence, None);
    assert!(desk.line("silence_ended").await.is_some());
}

#[tokio::test]
async fn of_two_presses_the_second_changes_nothing_and_a_longer_one_extends() {
    let desk = mk_desk().await;
    silence(&desk, "una", Some(HOUR)).await.expect("silenced");
    let refused = silence(&desk, "ravi", Some(HOUR)).await.expect_err("somebody was first");
    assert!(refused.to_string().starts_with("already silenced by una, until "), "{refused}");
    silence(&desk, "ravi", Some(4 * HOUR)).await.expect("extended");
    let asked = desk.asked();
    assert_eq!(asked.len(), 2);
    assert_eq!((&asked[0].key, asked[1].until), (&asked[1].key, desk.now() + 4 * HOUR));
    silence(&desk, "ravi", None).await.expect("until it is over");
    let refused = silence(&desk, "una", None).await.expect_err("it stands");
    assert!(matches!(refused, CommandError::Refused(Refused::AlreadySilenced(..))), "{refused}");
}

#[tokio::test]
async fn what_begins_later_is_not_silenced_with_it() {
    let desk = mk_desk().await;
    silence(&desk, "una", None).await.expect("silenced");
    desk.asked();
    desk.pass(MINUTE).await;
    let mut joined = mk_alert("api", desk.now());
    joined.labels.insert("pod".to_owned(), "api-2".to_owned());
    joined.fingerprint = smokejumper::domain::fingerprint::Fingerprint::of_labels(&joined.labels);
    desk.post(&[joined.clone()]).await;
    desk.pass(40 * MINUTE).await;
    let asked = desk.asked();
    assert!(
        !asked.is_empty() && asked.iter().all(|order| !order.alerts.contains(&joined.labels)),
        "{asked:?}"
    );
    // What was silenced ends, and nobody has decided about the other: somebody is called.
    let mut over = mk_alert("api", desk.now());
    over.status = smokejumper::domain::alert::AlertStatus::Resolved;
    desk.post(&[over]).await;
    desk.pass(31 * MINUTE).await;
    assert_eq!(status(&desk).await, IncidentStatus::Triggered);
    let lifted = desk.asked().pop().expect("an end");
    assert!(lifted.alerts.is_empty(), "{lifted:?}");
    // Who has seen it may press again.
    silence(&desk, "una", Some(4 * HOUR)).await.expect("silenced");
    assert!(desk.asked()[0].alerts.contains(&joined.labels));
}

#[tokio::test]
async fn an_alertmanager_that_is_away_is_asked_again_and_one_that_refuses_is_told_of() {
    let away = || Err(SilenceRefused { reason: "connection refused".to_owned(), retryable: true });
    let desk = mk_desk().await;
    desk.answers([away(), away(), away()]);
    silence(&desk, "una", Some(4 * HOUR)).await.expect("it is wished");
    assert_eq!(desk.incident().await.silence.expect("a wish").held_until, None);
    desk.pass(MINUTE).await;
    assert!(desk.incident().await.silence.expect("a silence").held_until.is_some());
    assert_eq!(desk.asked().len(), 4);

    let desk = mk_desk().await;
    desk.answers([Err(SilenceRefused { reason: "HTTP 403 no".to_owned(), retryable: false })]);
    silence(&desk, "una", Some(4 * HOUR)).await.expect("it is wished");
    let incident = desk.incident().await;
    assert_eq!((incident.silence, incident.status), (None, IncidentStatus::Acknowledged));
    let told = desk.told();
    assert!(told.iter().any(|told| told.contains("could not be silenced: HTTP 403 no")), "{told:?}");
}

#[tokio::test]
async fn a_silence_that_somebody_lifts_in_alertmanager_stays_lifted_and_the_escalation_begins_again() {
    let desk = mk_desk().await;
    silence(&desk, "una", Some(4 * HOUR)).await.expect("silenced");
    desk.asked();
    desk.answers([Ok(Kept::Lifted)]);
    desk.pass(31 * MINUTE).await;
    let incident = desk.incident().await;
    assert_eq!((incident.silence, incident.status), (None, IncidentStatus::Triggered));
    let asked = desk.asked();
    assert!(asked.len() == 2 && asked[1].alerts.is_empty(), "what else stood is ended: {asked:?}");
    desk.pass(2 * HOUR).await;
    assert!(desk.asked().is_empty(), "nobody argues with a person");
}

#[tokio::test]
async fn lifting_it_here_ends_it_there_and_the_incident_stays_with_whoever_has_it() {
    let desk = mk_desk().await;
    silence(&desk, "una", Some(4 * HOUR)).await.expect("silenced");
    let id = desk.incident().await.id;
    desk.asked();
    desk.commands.unsilence(id.clone(), person("ravi"), None).await.expect("lifted");
    desk.settle().await;
    assert_eq!(desk.asked().len(), 1);
    assert_eq!(status(&desk).await, IncidentStatus::Acknowledged);
    let again = desk.commands.unsilence(id, person("ravi"), None).await;
    assert!(matches!(again, Err(CommandError::Refused(Refused::NotSilenced))), "{again:?}");
    desk.pass(5 * HOUR).await;
    assert_eq!(status(&desk).await, IncidentStatus::Acknowledged, "no timer of the silence is left");
}

#[tokio::test]
async fn who_had_the_incident_before_keeps_it_when_a_silence_is_over() {
    let desk = mk_desk().await;
    let id = desk.incident().await.id;
    desk.commands.acknowledge(id, person("una"), None).await.expect("taken");
    silence(&desk, "ravi", Some(HOUR)).await.expect("silenced");
    desk.pass(2 * HOUR).await;
    let incident = desk.incident().await;
    assert_eq!(incident.silence, None);
    assert_eq!(incident.acknowledged.expect("taken").actor.name, "una");
}

#[tokio::test]
async fn what_may_not_be_silenced_is_refused_with_its_reason() {
    let desk = mk_desk().await;
    let id = desk.incident().await.id;
    let viewer = Actor { role: Role::Viewer, ..person("una") };
    let refused = desk.commands.silence(id.clone(), viewer, None, None).await.expect_err("a viewer");
    assert!(matches!(refused, CommandError::Refused(Refused::NotAllowed { .. })), "{refused}");
    let refused = silence(&desk, "una", Some(30 * 24 * HOUR)).await.expect_err("too long");
    assert_eq!(refused.to_string(), "a silence lasts at most 168h");
    desk.commands.resolve(id, person("una"), None).await.expect("over");
    let refused = silence(&desk, "una", None).await.expect_err("over");
    assert!(matches!(refused, CommandError::Refused(Refused::AlreadyResolved)), "{refused}");
    assert!(desk.asked().is_empty());
}

#[tokio::test]
async fn no_acknowledgement_expires_while_a_silence_stands() {
    let desk = Desk::under("  acknowledgement: { expiresAfter: 2h }\n").await;
    desk.post(&[mk_alert("api", desk.now())]).await;
    let id = desk.incident().await.id;
    desk.commands.acknowledge(id.clone(), person("una"), None).await.expect("taken");
    silence(&desk, "ravi", Some(4 * HOUR)).await.expect("silenced");
    desk.pass(3 * HOUR).await;
    assert_eq!(status(&desk).await, IncidentStatus::Acknowledged);
    // Without the silence it counts as any other, from then on.
    desk.commands.unsilence(id, person("ravi"), None).await.expect("lifted");
    desk.pass(HOUR).await;
    assert_eq!(status(&desk).await, IncidentStatus::Acknowledged);
    desk.pass(HOUR + MINUTE).await;
    assert_eq!(status(&desk).await, IncidentStatus::Triggered);
}

#[tokio::test]
async fn what_fires_is_silenced_however_many_alerts_have_ended_before_it() {
    let desk = mk_desk().await;
    let began = desk.now();
    let earlier = |number: u32, status, ends_at| {
        let mut alert = mk_alert("api", began - HOUR);
        alert.labels.insert("pod".to_owned(), format!("api-{number}"));
        alert.fingerprint = Fingerprint::of_labels(&alert.labels);
        Alert { status, ends_at, ..alert }
    };
    // More than are listed of one incident.
    let pods = 0..600;
    let fired: Vec<Alert> = pods.clone().map(|number| earlier(number, AlertStatus::Firing, None)).collect();
    desk.post(&fired).await;
    let ended = pods.map(|number| earlier(number, AlertStatus::Resolved, Some(began)));
    desk.post(&ended.collect::<Vec<_>>()).await;
    assert_eq!(desk.incident().await.alerts.firing, 1);
    desk.asked();
    silence(&desk, "una", Some(HOUR)).await.expect("silenced");
    let asked = desk.asked();
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(asked[0].alerts, [mk_alert("api", began).labels]);
}

#[tokio::test]
async fn of_an_incident_that_is_opened_again_an_earlier_silence_holds_nothing() {
    let desk = mk_desk().await;
    silence(&desk, "una", Some(HOUR)).await.expect("silenced");
    let over =
        Alert { status: AlertStatus::Resolved, ends_at: Some(desk.now()), ..mk_alert("api", desk.now()) };
    desk.post(&[over]).await;
    assert_eq!(status(&desk).await, IncidentStatus::Resolved);
    desk.pass(5 * MINUTE).await;
    desk.post(&[mk_alert("api", desk.now())]).await;
    assert_eq!(status(&desk).await, IncidentStatus::Triggered, "it says nothing of what happens now");
    let id = desk.incident().await.id;
    desk.commands.acknowledge(id, person("ravi"), None).await.expect("taken");
    desk.pass(HOUR).await;
    let incident = desk.incident().await;
    assert_eq!(
        (incident.status, incident.silence),
        (IncidentStatus::Acknowledged, None),
        "ravi has it still"
    );
}

fn away() -> SilenceRefused {
    SilenceRefused { reason: "connection refused".to_owned(), retryable: true }
}

#[tokio::test]
async fn a_silence_that_alertmanager_does_not_end_is_told_once_and_its_end_is_tried_until_it_ends_by_itself()
{
    for refused in [away(), SilenceRefused { reason: "HTTP 403 no".to_owned(), retryable: false }] {
        let desk = mk_desk().await;
        silence(&desk, "una", Some(4 * HOUR)).await.expect("silenced");
        let id = desk.incident().await.id;
        let until = desk.now() + 4 * HOUR;
        desk.out_of_order(Some(refused.clone()));
        desk.told();
        desk.commands.unsilence(id, person("ravi"), None).await.expect("it is wished");
        desk.pass(6 * MINUTE).await;
        let told: Vec<String> = desk.told();
        let late = |told: &[String]| told.iter().filter(|it| it.contains("does not end")).count();
        assert_eq!(late(&told), 1, "{told:?}");
        assert!(
            told.iter()
                .any(|it| it
                    .contains(&format!("until {until}; its end goes on being tried: {}", refused.reason))),
            "{told:?}"
        );
        desk.asked();
        // Long after an hour it is tried still, and nobody is told again.
        desk.pass(3 * HOUR).await;
        assert!(desk.asked().len() >= 30);
        assert_eq!(late(&desk.told()), 0);
        assert_eq!(desk.incident().await.silences_ending[0].until, until);
        desk.pass(HOUR).await;
        assert_eq!(desk.incident().await.silences_ending, []);
        assert!(
            desk.line("silence_ended").await.expect("a line").contains("could not be ended before its time")
        );
        desk.asked();
        desk.pass(2 * HOUR).await;
        assert!(desk.asked().is_empty(), "it is over");
    }
}

#[tokio::test]
async fn who_heard_that_a_silence_does_not_end_hears_when_it_did() {
    let desk = mk_desk().await;
    silence(&desk, "una", None).await.expect("silenced");
    let id = desk.incident().await.id;
    desk.out_of_order(Some(away()));
    desk.commands.resolve(id, person("una"), None).await.expect("over");
    desk.pass(10 * MINUTE).await;
    desk.told();
    desk.out_of_order(None);
    desk.pass(6 * MINUTE).await;
    let told = desk.told();
    assert!(told.iter().any(|told| told.ends_with("its silence in Alertmanager is ended")), "{told:?}");
    assert_eq!(desk.incident().await.silences_ending, []);
}

#[tokio::test]
async fn a_silence_that_is_not_taken_is_told_within_minutes_and_given_up_after_an_hour() {
    let desk = mk_desk().await;
    desk.out_of_order(Some(away()));
    silence(&desk, "una", Some(4 * HOUR)).await.expect("it is wished");
    desk.pass(4 * MINUTE).await;
    assert!(desk.told().iter().all(|told| !told.contains("has not taken")));
    desk.pass(3 * MINUTE).await;
    let told = desk.told();
    let late = told.iter().filter(|told| told.contains("has not taken the silence yet")).count();
    assert_eq!(late, 1, "{told:?}");
    desk.pass(HOUR).await;
    let told = desk.told();
    assert!(told.iter().all(|told| !told.contains("has not taken the silence yet")), "{told:?}");
    assert!(told.iter().any(|told| told.contains("could not be silenced: connection refused")), "{told:?}");
    assert_eq!(desk.incident().await.silence, None);
}

#[tokio::test]
async fn who_heard_that_a_silence_is_not_taken_hears_when_it_is() {
    let desk = mk_desk().await;
    desk.out_of_order(Some(away()));
    silence(&desk, "una", Some(4 * HOUR)).await.expect("it is wished");
    desk.pass(10 * MINUTE).await;
    desk.told();
    desk.out_of_order(None);
    desk.pass(6 * MINUTE).await;
    let told = desk.told();
    assert!(told.iter().any(|told| told.contains("Alertmanager has taken the silence now")), "{told:?}");
    assert!(!desk.incident().await.silence.expect("it stands").is_late);
}

#[tokio::test]
async fn a_silence_that_does_not_end_holds_up_no_later_one() {
    let desk = mk_desk().await;
    silence(&desk, "una", Some(4 * HOUR)).await.expect("silenced");
    let id = desk.incident().await.id;
    desk.answers([Err(SilenceRefused { reason: "HTTP 400 no".to_owned(), retryable: false })]);
    desk.commands.unsilence(id, person("una"), None).await.expect("it is wished");
    desk.settle().await;
    desk.asked();
    silence(&desk, "una", Some(HOUR)).await.expect("silenced");
    let asked = desk.asked();
    assert!(asked.iter().any(|order| order.key.ends_with("-s2") && !order.alerts.is_empty()), "{asked:?}");
}

#[tokio::test]
async fn a_silence_that_outlives_its_incident_can_be_lifted_and_is_forgotten_at_its_end() {
    for lifts in [true, false] {
        let desk = mk_desk().await;
        silence(&desk, "una", Some(4 * HOUR)).await.expect("silenced");
        let over =
            Alert { status: AlertStatus::Resolved, ends_at: Some(desk.now()), ..mk_alert("api", desk.now()) };
        desk.post(&[over]).await;
        assert_eq!(status(&desk).await, IncidentStatus::Resolved);
        desk.asked();
        if lifts {
            let id = desk.incident().await.id;
            desk.commands.unsilence(id, person("ravi"), None).await.expect("lifted");
            desk.settle().await;
            assert_eq!(desk.asked().len(), 1, "it is ended there");
        } else {
            desk.pass(4 * HOUR).await;
            assert!(desk.asked().is_empty(), "it ended by itself");
        }
        let incident = desk.incident().await;
        assert_eq!((incident.silence, incident.status), (None, IncidentStatus::Resolved));
    }
}

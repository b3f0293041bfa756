//! The stored JSON of incidents and effects, pinned: what one version writes, every later one must read.
//!
//! A file here never changes once it was released. A new form gets a new number and a new file, and the reader goes
//! on accepting the old ones.

use serde::Serialize;
use serde::de::DeserializeOwned;
use smokejumper::domain::diagnosis::DiagnosisPurpose;
use smokejumper::domain::effect::{Effect, EffectKind, Wake};
use smokejumper::domain::incident::{INCIDENT_FORMAT, Incident};
use smokejumper::domain::notification::Notice;
use smokejumper::domain::silence::SilenceWish;
use std::collections::BTreeSet;

fn read_back<T: Serialize + DeserializeOwned>(golden: &str) -> T {
    let value: T = serde_json::from_str(golden).expect("what was stored is readable");
    let written = serde_json::to_string_pretty(&value).expect("it can be written") + "\n";
    assert_eq!(written, golden, "the stored form has changed");
    value
}

#[test]
fn an_incident_is_stored_as_it_always_was() {
    let incident: Incident = read_back(include_str!("../golden/incident-v1.json"));
    assert_eq!(incident.format, INCIDENT_FORMAT, "a new format wants a new golden file");
}

#[test]
fn an_old_incident_without_what_came_later_is_readable() {
    let incident: Incident = serde_json::from_str(
        r#"{"format":1,"id":"i","version":1,"visible_version":0,"key":"k","rule":"r","rule_hash":"h",
            "status":"triggered","phase":"diagnosing","severity":"P3","summary":"s","labels":{},
            "started_at":"2026-11-21T08:00:00Z","updated_at":"2026-11-21T08:00:00Z",
            "alerts":{"firing":0,"resolved":0},"timeline":{"seq":0,"hash":""}}"#,
    )
    .expect("what had no default then has none now");
    assert!(incident.is_open());
}

#[test]
fn every_effect_is_stored_as_it_always_was() {
    let effects: Vec<Effect> = read_back(include_str!("../golden/effects-v1.json"));
    let kinds: BTreeSet<EffectKind> = effects.iter().map(Effect::kind).collect();
    assert_eq!(kinds, BTreeSet::from(EffectKind::ALL));
    // No wildcard: a new variant does not compile until it has its place here and in the file.
    let shapes: BTreeSet<u32> = effects
        .iter()
        .map(|effect| match effect {
            Effect::Diagnose { purpose: DiagnosisPurpose::Decide, .. } => 0,
            Effect::Diagnose { purpose: DiagnosisPurpose::Verify(_), .. } => 2,
            Effect::Diagnose { purpose: DiagnosisPurpose::Recheck(_), .. } => 3,
            Effect::Act { .. } => 1,
            Effect::Notify { notice: Notice::Card, .. } => 10,
            Effect::Notify { notice: Notice::Reply { .. }, .. } => 11,
            Effect::Notify { notice: Notice::Trigger { .. }, .. } => 12,
            Effect::Notify { notice: Notice::Acknowledge { .. }, .. } => 13,
            Effect::Notify { notice: Notice::Resolve { .. }, .. } => 14,
            Effect::Notify { notice: Notice::Change { .. }, .. } => 15,
            Effect::Notify { notice: Notice::Evidence, .. } => 16,
            Effect::Notify { notice: Notice::Whisper { .. }, .. } => 17,
            Effect::Notify { notice: Notice::Charts, .. } => 19,
            Effect::Notify { notice: Notice::Call { .. }, .. } => 18,
            Effect::Notify { notice: Notice::Confirm { .. }, .. } => 9,
            Effect::Silence { wish: SilenceWish::Stand, .. } => 4,
            Effect::Silence { wish: SilenceWish::End, .. } => 5,
            Effect::Wake(Wake::Escalate) => 20,
            Effect::Wake(Wake::ApprovalExpires(_)) => 21,
            Effect::Wake(Wake::Verify(_)) => 22,
            Effect::Wake(Wake::Decide) => 23,
            Effect::Wake(Wake::TaskDue(_)) => 24,
            Effect::Wake(Wake::Restore(_)) => 25,
            Effect::Wake(Wake::AcknowledgementExpires) => 26,
            Effect::Wake(Wake::Silence) => 27,
            Effect::Wake(Wake::StillFiring) => 28,
            Effect::LookAgain => 6,
            Effect::Check { .. } => 30,
            Effect::Report { .. } => 31,
        })
        .collect();
    assert_eq!(shapes.len(), 29, "every shape has an example");
}

//! Each guardrail, its number and its end.

use super::*;
use proptest::prelude::*;

pub(super) fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + minute * 60).expect("in range")
}

pub(super) fn mk_start(target: &str, namespace: &str, minute: i64) -> Start {
    Start {
        others: Vec::new(),
        remedy: "errors/limit".to_owned(),
        target: target.to_owned(),
        namespace: Some(namespace.to_owned()),
        at: at(minute),
        action: None,
        end: None,
    }
}

pub(super) fn mk_facts(starts: Vec<Start>) -> GuardFacts {
    GuardFacts {
        pauses: Vec::new(),
        dry_run: false,
        mode: Default::default(),
        freeze: None,
        starts,
        limits: Limits::default(),
        scope: Scope::default(),
        radius: BlastRadius::default(),
        alone: Alone::default(),
        booted_at: None,
        peers: Some(Peers::NONE),
        vitals: Some(Vitals::none(at(0))),
    }
}

pub(super) fn subject<'a>(target: &'a str, namespace: &'a str) -> Subject<'a> {
    Subject {
        remedy: "errors/other",
        target,
        namespace: Some(namespace),
        cooldown: None,
        tier: Tier::T1,
        touch: Touch::Nothing,
        action: None,
        standing: Standing::default(),
    }
}

pub(super) fn denial(
    subject: Subject<'_>,
    facts: &GuardFacts,
    minute: i64,
) -> Option<(Guardrail, Option<Timestamp>)> {
    first_denial(&judge(subject, facts, at(minute))).map(|verdict| (verdict.guardrail, verdict.until))
}

#[test]
fn every_guardrail_speaks_even_when_one_denies() {
    let facts = mk_facts(vec![mk_start("a", "shop", 0)]);
    assert_eq!(judge(subject("a", "shop"), &facts, at(1)).len(), 19);
}

#[test]
fn what_was_called_off_before_it_touched_anything_uses_nothing_up() {
    let subject = Subject { remedy: "errors/limit", ..subject("a", "shop") };
    for (result, expected) in [
        (StartResult::NotStarted, None),
        (StartResult::Good, Some((Guardrail::RateTarget, Some(at(15))))),
        (StartResult::Bad, Some((Guardrail::RateTarget, Some(at(15))))),
    ] {
        let end = Some(StartEnd { at: at(0), result });
        let mut facts = mk_facts(vec![Start { end, ..mk_start("a", "shop", 0) }]);
        assert_eq!(denial(subject, &facts, 1), expected, "{result:?}");
        facts.limits = Limits { per_target: Vec::new(), daily_budget: 1, ..Limits::default() };
        let denied = |facts: &GuardFacts| denial(subject, facts, 1).map(|(guardrail, _)| guardrail);
        assert_eq!(denied(&facts), expected.map(|_| Guardrail::DailyBudget), "{result:?}");
        facts.limits.daily_budget = 0;
        assert_eq!(denied(&facts), expected.map(|_| Guardrail::Cooldown), "{result:?}");
    }
}

#[test]
fn one_start_a_target_in_fifteen_minutes_and_three_a_day() {
    let facts = mk_facts(vec![mk_start("a", "shop", 0)]);
    assert_eq!(denial(subject("a", "shop"), &facts, 14), Some((Guardrail::RateTarget, Some(at(15)))));
    assert_eq!(denial(subject("a", "shop"), &facts, 15), None);
    assert_eq!(denial(subject("b", "shop"), &facts, 1), None);
    let day = mk_facts((0..3).map(|n| mk_start("a", "shop", n * 60)).collect());
    assert_eq!(denial(subject("a", "shop"), &day, 400), Some((Guardrail::RateTarget, Some(at(24 * 60)))));
}

#[test]
fn three_starts_a_namespace_and_ten_in_all_in_ten_minutes() {
    let shop = mk_facts((0..3).map(|n| mk_start(&format!("t{n}"), "shop", n)).collect());
    assert_eq!(denial(subject("x", "shop"), &shop, 5), Some((Guardrail::RateNamespace, Some(at(10)))));
    assert_eq!(denial(subject("x", "bank"), &shop, 5), None);
    let all = mk_facts((0..10).map(|n| mk_start(&format!("t{n}"), &format!("n{n}"), 0)).collect());
    assert_eq!(denial(subject("x", "bank"), &all, 5), Some((Guardrail::RateGlobal, Some(at(10)))));
    assert_eq!(denial(subject("x", "bank"), &all, 10), None);
}

#[test]
fn the_same_remedy_waits_its_cooldown_on_the_same_target() {
    let mut facts = mk_facts(vec![mk_start("a", "shop", 0)]);
    facts.limits.per_target.clear();
    let same = Subject {
        remedy: "errors/limit",
        cooldown: Some(SignedDuration::from_mins(60)),
        ..subject("a", "shop")
    };
    assert_eq!(denial(same, &facts, 59), Some((Guardrail::Cooldown, Some(at(60)))));
    assert_eq!(denial(same, &facts, 60), None);
}

#[test]
fn a_pause_covers_everything_or_its_namespace() {
    let pause = |namespace: Option<&str>| Pause {
        namespace: namespace.map(str::to_owned),
        by: "una".to_owned(),
        reason: "deploy".to_owned(),
        since: at(0),
    };
    let mut facts = mk_facts(Vec::new());
    facts.pauses = vec![pause(Some("shop"))];
    assert_eq!(denial(subject("a", "shop"), &facts, 1), Some((Guardrail::Pause, None)));
    assert_eq!(denial(subject("a", "bank"), &facts, 1), None);
    facts.pauses = vec![pause(None)];
    assert_eq!(denial(subject("a", "bank"), &facts, 1), Some((Guardrail::Pause, None)));
}

#[test]
fn an_open_freeze_window_denies_until_its_end() {
    let mut facts = mk_facts(Vec::new());
    facts.freeze = Some(("black-friday".to_owned(), Some(at(90))));
    assert_eq!(denial(subject("a", "shop"), &facts, 1), Some((Guardrail::FreezeWindow, Some(at(90)))));
}

#[test]
fn a_clock_that_went_back_opens_no_door() {
    let facts = mk_facts(vec![mk_start("a", "shop", 100)]);
    assert_eq!(
        denial(subject("a", "shop"), &facts, 0).map(|(guardrail, _)| guardrail),
        Some(Guardrail::RateTarget)
    );
}

proptest! {
    /// However starts are asked for, no sliding window ever holds more than its rate allows.
    #[test]
    fn limits_hold_over_every_window(asks in proptest::collection::vec((0_u8..4, 0_u8..3, 0_i64..12), 1..80)) {
        let mut facts = mk_facts(Vec::new());
        let mut minute = 0;
        for (target, namespace, wait) in asks {
            minute += wait;
            let (target, namespace) = (format!("t{target}"), format!("n{namespace}"));
            if denial(subject(&target, &namespace), &facts, minute).is_none() {
                facts.starts.push(mk_start(&target, &namespace, minute));
            }
        }
        for start in &facts.starts {
            let within = |window: i64, counts: &dyn Fn(&Start) -> bool| {
                facts.starts.iter().filter(|other| {
                    counts(other) && other.at >= start.at
                        && other.at.duration_since(start.at) < SignedDuration::from_mins(window)
                }).count()
            };
            prop_assert!(within(15, &|other| other.target == start.target) <= 1);
            prop_assert!(within(24 * 60, &|other| other.target == start.target) <= 3);
            prop_assert!(within(10, &|other| other.namespace == start.namespace) <= 3);
            prop_assert!(within(10, &|_| true) <= 10);
        }
    }
}

//! Effects: leased to one, in the order of their lane, fenced by the attempt.

use super::{Subject, is_conflict};
use crate::build::*;
use jiff::SignedDuration;
use smokejumper::domain::effect::{EffectKind, NewEffect};
use smokejumper::engine::ports::{Claim, Commit, Finish, Leased};
use std::collections::BTreeSet;
use std::sync::Arc;

pub async fn an_effect_is_claimed_with_what_was_wished(store: Subject) {
    let mut wish = mk_notice("i1", 3, 5);
    wish.urgent = true;
    store.commit(wishing(vec![wish.clone(), mk_wake("i1", 4, 5)])).await.expect("stored");
    assert!(store.claim(mk_claim(4, 10)).await.expect("claimable").is_empty(), "not due yet");
    let leased = store.claim(mk_claim(5, 10)).await.expect("claimable");
    assert_eq!(leased.len(), 1, "the wake is of another kind");
    let leased = &leased[0];
    assert_eq!((&leased.id, &leased.incident), (&wish.id, &id("i1")));
    assert_eq!((leased.attempt, leased.urgent), (1, true));
    assert_eq!((leased.due_at, leased.created_at), (at(5), at(0)));
    assert_eq!(leased.effect, wish.effect);
    let depth = store.effect_depth().await.expect("countable");
    assert_eq!(depth.get(&EffectKind::Notify), Some(&1));
    assert_eq!(depth.get(&EffectKind::Wake), Some(&1));
}

pub async fn a_lease_ends_and_the_next_one_has_a_higher_attempt(store: Subject) {
    store.commit(wishing(vec![mk_notice("i1", 1, 0)])).await.expect("stored");
    let first = store.claim(mk_claim(0, 10)).await.expect("claimable");
    assert!(store.claim(mk_claim(59_999, 10)).await.expect("claimable").is_empty(), "leased");
    let second = store.claim(mk_claim(60_000, 10)).await.expect("claimable");
    assert_eq!(second[0].attempt, 2);
    assert!(is_conflict(store.commit(finishing(vec![finish(&first[0])])).await), "the lease was lost");
    store.commit(finishing(vec![finish(&second[0])])).await.expect("finished");
    assert!(is_conflict(store.commit(finishing(vec![finish(&second[0])])).await), "it is gone");
}

pub async fn an_effect_that_nobody_leased_cannot_be_finished(store: Subject) {
    store.commit(wishing(vec![mk_notice("i1", 1, 0)])).await.expect("stored");
    let unleased = Finish { id: effect_id("i1", 1), attempt: 0 };
    assert!(is_conflict(store.commit(finishing(vec![unleased])).await));
}

pub async fn a_lane_is_worked_off_in_order_one_at_a_time(store: Subject) {
    let wishes =
        vec![mk_notice("i1", 10, 0), mk_notice("i1", 9, 0), mk_notice("i1", 2, 5), mk_notice("i2", 1, 0)];
    store.commit(wishing(wishes)).await.expect("stored");
    let claimed = |now| {
        let store = Arc::clone(&store);
        async move { store.claim(mk_claim(now, 10)).await.expect("claimable") }
    };
    let other = claimed(0).await;
    assert_eq!(
        other.iter().map(|leased| leased.id.0.as_str()).collect::<Vec<_>>(),
        ["i2-e1"],
        "e2 is not due"
    );
    for number in [2, 9, 10] {
        let leased = claimed(5).await;
        assert_eq!(leased.len(), 1);
        assert_eq!(leased[0].id, effect_id("i1", number));
        assert!(claimed(5).await.is_empty(), "the next one waits for this one");
        store.commit(finishing(vec![finish(&leased[0])])).await.expect("finished");
    }
}

pub async fn urgent_effects_go_first(store: Subject) {
    let mut wishes: Vec<_> = (0..20).map(|number| mk_notice(&format!("i{number}"), 1, number)).collect();
    for late in [15, 17] {
        wishes[late].urgent = true;
    }
    store.commit(wishing(wishes)).await.expect("stored");
    let leased = store.claim(mk_claim(100, 4)).await.expect("claimable");
    let names: Vec<_> = leased.iter().map(|leased| leased.incident.0.as_str()).collect();
    assert_eq!(names, ["i15", "i17", "i0", "i1"]);
}

pub async fn claims_of_many_workers_are_disjoint(store: Subject) {
    let wishes = (0..400).map(|number| mk_notice(&format!("i{number:03}"), 1, 0)).collect();
    store.commit(wishing(wishes)).await.expect("stored");
    let workers = (0..8).map(|_| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let mut mine = Vec::new();
            loop {
                let leased = store.claim(mk_claim(0, 7)).await.expect("claimable");
                if leased.is_empty() {
                    return mine;
                }
                mine.extend(leased.into_iter().map(|leased| leased.id));
            }
        })
    });
    let mut all = Vec::new();
    for worker in workers.collect::<Vec<_>>() {
        all.extend(worker.await.expect("no panic"));
    }
    assert_eq!(all.len(), 400, "none twice");
    assert_eq!(all.into_iter().collect::<BTreeSet<_>>().len(), 400, "none left behind");
}

pub async fn a_postponed_effect_and_its_lane_wait(store: Subject) {
    store.commit(wishing(vec![mk_notice("i1", 1, 0), mk_notice("i1", 2, 0)])).await.expect("stored");
    let leased = store.claim(mk_claim(0, 10)).await.expect("claimable");
    store.postpone(finish(&leased[0]), at(500)).await.expect("postponed");
    assert!(store.claim(mk_claim(499, 10)).await.expect("claimable").is_empty());
    assert!(is_conflict(store.commit(finishing(vec![finish(&leased[0])])).await), "it was given back");
    let again = store.claim(mk_claim(500, 10)).await.expect("claimable");
    assert_eq!((again[0].id.clone(), again[0].attempt, again[0].due_at), (effect_id("i1", 1), 2, at(0)));
    store.commit(finishing(vec![finish(&again[0])])).await.expect("finished");
    assert_eq!(store.claim(mk_claim(500, 10)).await.expect("claimable")[0].id, effect_id("i1", 2));
}

pub async fn what_joins_a_postponed_lane_waits_with_it(store: Subject) {
    store.commit(wishing(vec![mk_notice("i1", 1, 0)])).await.expect("stored");
    let leased = store.claim(mk_claim(0, 10)).await.expect("claimable");
    store.commit(wishing(vec![mk_notice("i1", 2, 0)])).await.expect("a lease is not waited for");
    store.postpone(finish(&leased[0]), at(500)).await.expect("postponed");
    store.commit(wishing(vec![mk_notice("i1", 3, 1), mk_notice("i1", 4, 900)])).await.expect("stored");
    for (number, now) in [(1, 500), (2, 500), (3, 500), (4, 900)] {
        assert!(store.claim(mk_claim(now - 1, 10)).await.expect("claimable").is_empty());
        let leased = store.claim(mk_claim(now, 10)).await.expect("claimable");
        assert_eq!(leased[0].id, effect_id("i1", number));
        store.commit(finishing(vec![finish(&leased[0])])).await.expect("finished");
    }
}

pub async fn what_joins_a_leased_lane_follows_at_once(store: Subject) {
    store.commit(wishing(vec![mk_notice("i1", 1, 0)])).await.expect("stored");
    let leased = store.claim(mk_claim(0, 10)).await.expect("claimable");
    store.commit(wishing(vec![mk_notice("i1", 2, 1)])).await.expect("stored");
    store.commit(finishing(vec![finish(&leased[0])])).await.expect("finished");
    assert_eq!(store.claim(mk_claim(1, 10)).await.expect("claimable").len(), 1);
}

pub async fn a_lost_lease_cannot_be_postponed(store: Subject) {
    store.commit(wishing(vec![mk_notice("i1", 1, 0)])).await.expect("stored");
    let first = store.claim(mk_claim(0, 10)).await.expect("claimable");
    let second = store.claim(mk_claim(60_000, 10)).await.expect("claimable");
    store.postpone(finish(&first[0]), at(1)).await.expect("no error, and nothing happens");
    assert!(
        store.claim(mk_claim(60_001, 10)).await.expect("claimable").is_empty(),
        "the second lease stands"
    );
    store.commit(finishing(vec![finish(&second[0])])).await.expect("finished");
}

pub async fn a_lease_that_goes_on_is_held_and_a_lost_one_is_a_conflict(store: Subject) {
    store.commit(wishing(vec![mk_notice("i1", 1, 0)])).await.expect("stored");
    let holding = |held: Finish| Commit { at: Some(at(0)), held: vec![held], ..Commit::default() };
    let nobodys = Finish { id: effect_id("i1", 1), attempt: 0 };
    assert!(is_conflict(store.commit(holding(nobodys)).await), "nobody leased it yet");
    let first = store.claim(mk_claim(0, 10)).await.expect("claimable");
    store.commit(holding(finish(&first[0]))).await.expect("the lease stands");
    store.commit(holding(finish(&first[0]))).await.expect("and stands again");
    let second = store.claim(mk_claim(60_000, 10)).await.expect("claimable");
    assert_eq!(second.len(), 1, "to hold a lease does not make it longer");
    assert!(is_conflict(store.commit(holding(finish(&first[0]))).await), "somebody else has it");
    store.commit(finishing(vec![finish(&second[0])])).await.expect("finished");
    assert!(is_conflict(store.commit(holding(finish(&second[0]))).await), "it is gone");
}

pub async fn a_cancelled_effect_is_gone_unless_it_is_leased(store: Subject) {
    store.commit(wishing(vec![mk_notice("i1", 1, 0), mk_notice("i2", 1, 9)])).await.expect("stored");
    let leased = store.claim(mk_claim(0, 10)).await.expect("claimable");
    let cancelled = vec![effect_id("i1", 1), effect_id("i2", 1), effect_id("i3", 1)];
    store.commit(Commit { cancelled, ..committing(vec![]) }).await.expect("no conflict");
    assert_eq!(store.effect_depth().await.expect("countable").get(&EffectKind::Notify), Some(&1));
    store.commit(finishing(vec![finish(&leased[0])])).await.expect("its worker finishes it");
}

pub async fn an_effect_without_its_incident_in_its_name_is_refused(store: Subject) {
    let mut wish = mk_wake("i1", 1, 0);
    wish.id.0 = "nameless".to_owned();
    let refused = store.commit(wishing(vec![wish])).await.expect_err("it belongs to nobody");
    assert!(refused.to_string().contains("nameless"), "{refused}");
}

/// A message of its own, wished at one second and due at another.
fn wish(number: u64, wished: i64, due: i64) -> Commit {
    let effect = NewEffect { lane: None, ..mk_notice("i1", number, due * 1_000) };
    Commit { at: Some(at(wished * 1_000)), ..wishing(vec![effect]) }
}

/// Which effects can be claimed at a second.
async fn claimed(store: &Subject, second: i64) -> Vec<String> {
    let leased = store.claim(mk_claim(second * 1_000, 9)).await.expect("claimable");
    leased.into_iter().map(|lease| lease.id.0).collect()
}

pub async fn a_clock_that_went_back_takes_its_effects_along_once(store: Subject) {
    // A message that is due at once, a timer, and one that was set long before the clock was.
    for commit in [wish(1, 100_000, 100_000), wish(2, 100_000, 100_900), wish(3, 10_000, 101_000)] {
        store.commit(commit).await.expect("stored");
    }
    let now = at(13_600_000);
    assert!(claimed(&store, 13_600).await.is_empty(), "all of it would be a day late");
    let by = Some(SignedDuration::from_secs(86_400));
    assert_eq!(store.clock_went_back(now, by).await.expect("moved"), 2, "the old one was wished before now");
    assert_eq!(store.clock_went_back(now, by).await.expect("moved"), 0, "another replica saw it too");
    assert_eq!(claimed(&store, 13_600).await, ["i1-e1"]);
    assert!(claimed(&store, 14_499).await.iter().all(|id| id == "i1-e1"), "not earlier than it was meant");
    assert!(claimed(&store, 14_500).await.contains(&"i1-e2".to_owned()));
}

pub async fn effects_from_the_future_wait_anew_where_nobody_saw_the_clock_go_back(store: Subject) {
    store.commit(wish(1, 100_000, 100_900)).await.expect("stored");
    store.commit(wish(2, 1_030, 1_100)).await.expect("stored");
    let now = at(1_000_000);
    assert_eq!(store.clock_went_back(now, None).await.expect("moved"), 1, "clocks differ by half a minute");
    assert_eq!(store.clock_went_back(now, None).await.expect("moved"), 0);
    assert!(claimed(&store, 1_899).await.iter().all(|id| id == "i1-e2"));
    assert!(claimed(&store, 1_900).await.contains(&"i1-e1".to_owned()));
}

fn mk_queued(incident: &str, number: u64, due: i64, queue: &str) -> NewEffect {
    NewEffect { queue: Some(queue.to_owned()), ..mk_notice(incident, number, due) }
}

fn names(leased: &[Leased]) -> Vec<&str> {
    leased.iter().map(|leased| leased.id.0.as_str()).collect()
}

pub async fn of_each_queue_one_is_claimed_and_the_urgent_one_first(store: Subject) {
    let mut wishes: Vec<_> =
        (0..50).map(|number| mk_queued(&format!("i{number:02}"), 1, number, "a")).collect();
    wishes[40].urgent = true;
    wishes.push(mk_queued("i90", 1, 7, "b"));
    wishes.push(mk_queued("i91", 1, 1_000, "c"));
    wishes.push(mk_notice("i92", 1, 9));
    store.commit(wishing(wishes)).await.expect("stored");
    let leased = store.claim(mk_claim(100, 10)).await.expect("claimable");
    assert_eq!(names(&leased), ["i40-e1", "i90-e1", "i92-e1"], "`c` is not due");
    assert_eq!(leased[0].queue.as_deref(), Some("a"));
    assert_eq!(leased[2].queue, None);
    let next = store.claim(mk_claim(100, 10)).await.expect("claimable");
    assert_eq!(names(&next), ["i00-e1"], "the next of `a`, while the first is under way");
}

pub async fn a_held_queue_is_left_alone(store: Subject) {
    let wishes = vec![mk_queued("i1", 1, 0, "a"), mk_queued("i2", 1, 0, "b"), mk_queued("i3", 1, 0, "c")];
    store.commit(wishing(wishes)).await.expect("stored");
    let held = vec!["a".to_owned(), "c".to_owned(), "never heard of".to_owned()];
    let leased = store.claim(Claim { held, ..mk_claim(0, 10) }).await.expect("claimable");
    assert_eq!(names(&leased), ["i2-e1"]);
    let rest = store.claim(mk_claim(0, 10)).await.expect("claimable");
    assert_eq!(names(&rest), ["i1-e1", "i3-e1"]);
}

pub async fn a_queue_looks_past_what_waits_for_its_lane(store: Subject) {
    let wishes = vec![mk_queued("i1", 1, 0, "a"), mk_queued("i1", 2, 0, "a"), mk_queued("i2", 1, 1, "a")];
    store.commit(wishing(wishes)).await.expect("stored");
    let first = store.claim(mk_claim(5, 10)).await.expect("claimable");
    assert_eq!(names(&first), ["i1-e1"]);
    let second = store.claim(mk_claim(5, 10)).await.expect("claimable");
    assert_eq!(names(&second), ["i2-e1"], "the second of its incident waits for the first");
}

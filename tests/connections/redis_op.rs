//! `redis.op` at a real server: what is allowed and carried out, what is refused, and how an interrupted attempt is seen.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use smokejumper::actions::Actions;
use smokejumper::actions::access::{Connections, RedisAccess};
use smokejumper::clients::redis::RedisOptions;
use smokejumper::domain::action::{ActionOutcome, Repeatability};
use smokejumper::domain::survey::{SurveyOutcome, agree};
use smokejumper::engine::ports::Surveyor as _;

use crate::redis::Redis;
use crate::world::{
    SECRET, act, applied, fresh, look_back, mk_actions, mk_draft, mk_redis, ready, refusal, survey,
};

fn mk_access(options: RedisOptions) -> RedisAccess {
    let config_set = ["maxclients", "maxmemory", "no-such-thing"].map(str::to_owned).into();
    let delete_keys = vec!["cache:".to_owned(), "hot*".to_owned()];
    RedisAccess { options: fresh(options), flushdb: vec![1, 2], delete_keys, bgsave: true, config_set }
}

fn mk_hands(access: RedisAccess) -> Actions {
    mk_actions(Connections {
        redis: BTreeMap::from([("cache".to_owned(), access)]),
        ..Connections::default()
    })
}

fn mk_params(mut params: Value) -> Value {
    params["connection"] = json!("cache");
    params
}

fn flush(database: u16) -> Value {
    mk_params(json!({"op": "flushdb", "database": database}))
}

fn set(parameter: &str, value: &str) -> Value {
    mk_params(json!({"op": "config_set", "parameter": parameter, "value": value}))
}

#[tokio::test]
async fn one_database_is_emptied_and_no_other() {
    let redis = Redis::start("");
    redis.type_in("SET kept 1\nSELECT 1\nSET a 1\nSET b 1\nSELECT 3\nSET other 1");
    let hands = mk_hands(mk_access(mk_redis(&redis.url())));
    let surveyed = ready(&hands, &mk_draft("redis.op", flush(1))).await;
    assert_eq!(surveyed.plan.summary, "empty database 1 of Redis cache: 2 keys");
    assert_eq!(surveyed.plan.repeatability, Repeatability::AtMostOnce);
    assert!(surveyed.inverse.is_none() && surveyed.impact.kind.is_empty());
    assert!(surveyed.notes.iter().any(|note| note.contains("db0, db3")), "{:?}", surveyed.notes);
    // A key more is no other plan.
    redis.type_in("SELECT 1\nSET c 1");
    let again = ready(&hands, &mk_draft("redis.op", flush(1))).await;
    assert!(agree(&surveyed.plan, &again.plan));
    assert_eq!(redis.type_in("SELECT 1\nDBSIZE"), ":3", "a survey changes nothing");

    assert!(applied(act(&hands, &surveyed.plan).await).contains("it held 3 keys"));
    assert_eq!(redis.type_in("SELECT 1\nDBSIZE"), ":0");
    assert_eq!((redis.type_in("DBSIZE"), redis.type_in("SELECT 3\nDBSIZE")), (":1".into(), ":1".into()));
    let empty = survey(&hands, &mk_draft("redis.op", flush(1))).await;
    assert!(matches!(empty, SurveyOutcome::NothingToDo { .. }), "{empty:?}");
}

fn delete(database: u16, pattern: &str) -> Value {
    mk_params(json!({"op": "delete_keys", "database": database, "pattern": pattern}))
}

/// So many keys with this prefix in a database.
fn fill(redis: &Redis, database: u16, prefix: &str, count: u32) {
    let sets = (0..count).map(|number| format!(" {prefix}{number} 1")).collect::<String>();
    redis.type_in(&format!("SELECT {database}\nMSET{sets}"));
}

#[tokio::test]
async fn keys_that_match_are_deleted_and_no_others() {
    let redis = Redis::start("");
    fill(&redis, 0, "cache:user:", 1_700);
    fill(&redis, 0, "cache:page:", 30);
    fill(&redis, 0, "session:", 40);
    fill(&redis, 2, "cache:user:", 5);
    let hands = mk_hands(mk_access(mk_redis(&redis.url())));
    let draft = mk_draft("redis.op", delete(0, "cache:user:*"));
    let surveyed = ready(&hands, &draft).await;
    let summary = "delete keys that match cache:user:* in database 0 of Redis cache: 1700 keys";
    assert_eq!(surveyed.plan.summary, summary);
    assert!(surveyed.notes.iter().any(|note| note.contains("1700 of 1770 keys")), "{:?}", surveyed.notes);
    assert_eq!(
        (surveyed.inverse.is_none(), redis.type_in("DBSIZE")),
        (true, ":1770".to_owned()),
        "nothing changed"
    );
    // One that is interrupted shows what is left, and is carried out once more.
    let seen = look_back(&hands, &surveyed.plan).await;
    assert!(matches!(&seen, ActionOutcome::NotApplied { reason } if reason.contains("1700")), "{seen:?}");
    assert!(applied(act(&hands, &surveyed.plan).await).contains("1700 keys"));
    assert_eq!((redis.type_in("DBSIZE"), redis.type_in("SELECT 2\nDBSIZE")), (":70".into(), ":5".into()));
    assert!(applied(look_back(&hands, &surveyed.plan).await).contains("no key matches"));
    assert!(applied(act(&hands, &surveyed.plan).await).contains("0 keys"), "twice is the same as once");
    let nothing = survey(&hands, &draft).await;
    assert!(matches!(nothing, SurveyOutcome::NothingToDo { .. }), "{nothing:?}");
}

#[tokio::test]
async fn more_keys_than_the_rule_expects_are_left_alone() {
    let redis = Redis::start("");
    fill(&redis, 0, "cache:", 1_200);
    let hands = mk_hands(mk_access(mk_redis(&redis.url())));
    let few = |max: u32| {
        let mut params = delete(0, "cache:*");
        params["max_keys"] = json!(max);
        mk_draft("redis.op", params)
    };
    assert!(refusal(&hands, &few(1_199)).await.contains("1200 keys match cache:*, and `max_keys` is 1199"));
    // What came after the look is not deleted beyond the limit either.
    let surveyed = ready(&hands, &few(1_200)).await;
    fill(&redis, 0, "cache:late:", 900);
    let outcome = act(&hands, &surveyed.plan).await;
    assert!(matches!(&outcome, ActionOutcome::Failed { .. }), "{outcome:?}");
    assert_eq!(redis.type_in("DBSIZE"), ":900");
}

#[tokio::test]
async fn a_pattern_beyond_the_prefixes_of_the_settings_is_refused() {
    let redis = Redis::start("");
    fill(&redis, 0, "session:", 3);
    let hands = mk_hands(mk_access(mk_redis(&redis.url())));
    for pattern in ["session:*", "cache*", "cach[e]:*", "hot*", "hot:*"] {
        let why = refusal(&hands, &mk_draft("redis.op", delete(0, pattern))).await;
        assert!(why.contains("act.delete_keys` lacks a prefix of"), "{pattern}: {why}");
    }
    assert_eq!(redis.type_in("DBSIZE"), ":3");
}

#[tokio::test]
async fn a_server_that_was_started_anew_is_another_one() {
    let mut first = Redis::start("");
    first.type_in("SELECT 1\nSET a 1");
    let hands = mk_hands(mk_access(mk_redis(&first.url())));
    let surveyed = ready(&hands, &mk_draft("redis.op", flush(1))).await;
    first.kill();
    assert!(matches!(act(&hands, &surveyed.plan).await, ActionOutcome::NotNow { .. }));
    let second = Redis::start("");
    second.type_in("SELECT 1\nSET a 1");
    let hands = mk_hands(mk_access(mk_redis(&second.url())));
    let outcome = act(&hands, &surveyed.plan).await;
    assert!(
        matches!(&outcome, ActionOutcome::NotApplied { reason } if reason.contains("started anew")),
        "{outcome:?}"
    );
    assert_eq!(second.type_in("SELECT 1\nDBSIZE"), ":1");
}

#[tokio::test]
async fn what_the_settings_do_not_allow_is_refused_before_and_right_at_the_act() {
    let redis = Redis::start("");
    redis.type_in("SET a 1\nSELECT 1\nSET a 1");
    let open = mk_hands(mk_access(mk_redis(&redis.url())));
    let nothing = RedisAccess {
        flushdb: vec![],
        bgsave: false,
        config_set: vec![],
        ..mk_access(mk_redis(&redis.url()))
    };
    let closed = mk_hands(nothing);
    for (params, words) in [
        (flush(1), "connections.redis.cache.act.flushdb` lacks `1`"),
        (mk_params(json!({"op": "bgsave"})), "act.bgsave` lacks `true`"),
        (set("maxclients", "50"), "act.config_set` lacks `maxclients`"),
    ] {
        let draft = mk_draft("redis.op", params);
        assert!(refusal(&closed, &draft).await.contains(words), "{words}");
        // Somebody has taken it off the list since people approved.
        let surveyed = ready(&open, &draft).await;
        let outcome = act(&closed, &surveyed.plan).await;
        assert!(
            matches!(&outcome, ActionOutcome::NotApplied { reason } if reason.contains(words)),
            "{outcome:?}"
        );
    }
    assert!(refusal(&open, &mk_draft("redis.op", flush(0))).await.contains("lacks `0`"));
    let mut elsewhere = flush(1);
    elsewhere["connection"] = json!("other");
    assert!(refusal(&open, &mk_draft("redis.op", elsewhere)).await.contains("no `other` with an `act`"));
    assert_eq!((redis.type_in("DBSIZE"), redis.type_in("SELECT 1\nDBSIZE")), (":1".into(), ":1".into()));
}

#[tokio::test]
async fn a_parameter_is_set_and_put_back_and_never_over_somebody_elses_value() {
    let redis = Redis::start("maxclients 100\nmaxmemory 100mb");
    let hands = mk_hands(mk_access(mk_redis(&redis.url())));
    let mut params = set("maxmemory", "200mb");
    params["ttl"] = json!("1h");
    let draft = mk_draft("redis.op", params);
    assert!(draft.ttl.is_some());
    let surveyed = ready(&hands, &draft).await;
    let back = surveyed.inverse.expect("a parameter can be put back");
    assert!(back.ttl.is_none() && back.summary.contains("back to 104857600"), "{back:?}");
    assert!(matches!(look_back(&hands, &surveyed.plan).await, ActionOutcome::NotApplied { .. }));
    applied(act(&hands, &surveyed.plan).await);
    let value = || redis.type_in("INFO memory");
    assert!(value().contains("maxmemory:209715200"));
    // A process that died in between finds what it did; a second attempt does no harm.
    applied(look_back(&hands, &surveyed.plan).await);
    assert!(matches!(act(&hands, &surveyed.plan).await, ActionOutcome::NotApplied { .. }));

    assert_eq!(hands.is_so(&back).await, None);
    applied(act(&hands, &back).await);
    assert!(value().contains("maxmemory:104857600"));
    assert!(hands.is_so(&back).await.is_some_and(|text| text.contains("already")));
    assert!(matches!(act(&hands, &back).await, ActionOutcome::AlreadySo { .. }));

    let nothing = survey(&hands, &mk_draft("redis.op", set("maxmemory", "100mb"))).await;
    assert!(matches!(nothing, SurveyOutcome::NothingToDo { .. }), "{nothing:?}");
    let surveyed = ready(&hands, &mk_draft("redis.op", set("maxclients", "60"))).await;
    redis.type_in("CONFIG SET maxclients 70");
    let outcome = act(&hands, &surveyed.plan).await;
    assert!(
        matches!(&outcome, ActionOutcome::NotApplied { reason } if reason.contains("somebody else")),
        "{outcome:?}"
    );
    assert!(refusal(&hands, &mk_draft("redis.op", set("no-such-thing", "1"))).await.contains("no parameter"));
    let surveyed = ready(&hands, &mk_draft("redis.op", set("maxclients", "many"))).await;
    let outcome = act(&hands, &surveyed.plan).await;
    assert!(
        matches!(&outcome, ActionOutcome::NotApplied { reason } if reason.contains("says no")),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_snapshot_is_written_and_one_that_cannot_be_has_failed() {
    let redis = Redis::start("");
    redis.type_in("SET a 1");
    let hands = mk_hands(mk_access(mk_redis(&redis.url())));
    let draft = mk_draft("redis.op", mk_params(json!({"op": "bgsave"})));
    let surveyed = ready(&hands, &draft).await;
    assert_eq!(surveyed.plan.repeatability, Repeatability::Idempotent);
    assert!(applied(act(&hands, &surveyed.plan).await).contains("snapshot was written"));
    assert!(redis.folder().join("dump.rdb").is_file());
    std::fs::remove_file(redis.folder().join("dump.rdb")).expect("it was there");
    std::fs::create_dir(redis.folder().join("dump.rdb")).expect("a folder in its place");
    let failed = act(&hands, &ready(&hands, &draft).await.plan).await;
    assert!(
        matches!(&failed, ActionOutcome::Failed { reason } if reason.contains("could not be written")),
        "{failed:?}"
    );
}

#[tokio::test]
async fn an_identity_that_may_not_is_refused_and_a_replica_is_never_emptied() {
    let redis = Redis::start("");
    redis.type_in("SELECT 1\nSET a 1");
    redis.type_in(&format!("ACL SETUSER hand on >{SECRET} +@all -flushdb ~*"));
    let user = RedisOptions {
        username: Some("hand".to_owned()),
        password: Some(SECRET.into()),
        ..mk_redis(&redis.url())
    };
    let hands = mk_hands(mk_access(user));
    let surveyed = ready(&hands, &mk_draft("redis.op", flush(1))).await;
    let outcome = act(&hands, &surveyed.plan).await;
    assert!(
        matches!(&outcome, ActionOutcome::NotApplied { reason } if reason.contains("it refuses")),
        "{outcome:?}"
    );
    assert_eq!(redis.type_in("SELECT 1\nDBSIZE"), ":1");

    let replica = Redis::start("replicaof 127.0.0.1 1\nreplica-serve-stale-data yes");
    let hands = mk_hands(mk_access(mk_redis(&replica.url())));
    assert!(refusal(&hands, &mk_draft("redis.op", flush(1))).await.contains("replica"));
}

#[test]
fn parameters_that_do_not_fit_are_refused_when_rules_are_loaded() {
    let kind =
        smokejumper::actions::kinds().into_iter().find(|kind| kind.name == "redis.op").expect("a kind");
    for bad in [
        json!({"op": "flushall"}),
        json!({"op": "flushdb"}),
        json!({"op": "flushdb", "database": -1}),
        json!({"op": "flushdb", "database": 1, "ttl": "1h"}),
        json!({"op": "bgsave", "database": 1}),
        json!({"op": "config_set", "parameter": "maxclients"}),
        json!({"op": "config_set", "parameter": "maxclients", "value": "1", "ttl": "1s"}),
        json!({"op": "save"}),
    ] {
        assert!((kind.check)(&mk_params(bad.clone())).is_err(), "{bad}");
    }
    let hostile = json!({"connection": "{{ labels.redis }}", "op": "bgsave"});
    assert!((kind.check)(&hostile).is_err_and(|error| error.message.contains("must stand in the rule")));
}

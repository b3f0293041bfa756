//! `pg.terminate_idle` and `pg.maintain` at a real server: what is shown, what is done, and what is left alone.

use std::collections::BTreeMap;
use std::process::Child;
use std::time::Duration;

use serde_json::{Value, json};
use smokejumper::actions::Actions;
use smokejumper::actions::access::{Connections, IdleSessions, PgAccess};
use smokejumper::domain::action::{ActionOutcome, ActionPlan, Repeatability, Tier};
use smokejumper::domain::survey::{SurveyOutcome, agree};

use crate::pg_query::{await_session, mk_pg, server};
use crate::postgres::PASSWORD;
use crate::world::{act, applied, fresh, look_back, mk_actions, mk_draft, ready, refusal, survey};

/// A database of its own, with a user who works there and one who may end sessions.
fn mk_database() -> String {
    let url = server().database();
    let name = url.rsplit('/').next().expect("a name").to_owned();
    for (role, rights) in [("hand", "IN ROLE pg_signal_backend, pg_read_all_stats"), ("weak", "")] {
        let make = format!(
            "DO $$ BEGIN CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}' {rights}; EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$"
        );
        server().psql("postgres", &make);
    }
    name
}

fn mk_hands(database: &str, user: &str, listed: IdleSessions, maintain: &[&str]) -> Actions {
    let access = PgAccess {
        options: fresh(mk_pg(&server().url(database), Some(user))),
        terminate_idle: listed,
        maintain: maintain.iter().map(|table| (*table).to_owned()).collect(),
    };
    let postgres = BTreeMap::from([("shop".to_owned(), access)]);
    mk_actions(Connections { postgres, ..Connections::default() })
}

fn listed(database: &str, users: &[&str]) -> IdleSessions {
    let users = users.iter().map(|user| (*user).to_owned()).collect();
    IdleSessions { databases: vec![database.to_owned()], users, applications: Vec::new() }
}

/// The draft with an idle time that no rule may have, since no test waits for a minute.
fn idle_draft(more: Value) -> ActionPlan {
    let mut params = json!({"connection": "shop", "idle_for": "1m"});
    params.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let mut draft = mk_draft("pg.terminate_idle", params);
    draft.params["idle_for"] = json!("1s");
    draft
}

fn end(sessions: &mut [Child]) {
    for session in sessions {
        let _ = session.kill();
        let _ = session.wait();
    }
}

fn is_there(application: &str) -> bool {
    let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE application_name = '{application}'");
    server().psql("postgres", &sql) != "0"
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exactly_the_sessions_that_were_shown_and_are_still_idle_are_ended() {
    let name = mk_database();
    let mut sessions = [
        server().session("app", &name, "t-idle", "SELECT 1;"),
        server().session("app", &name, "t-again", "SELECT 1;"),
        server().session("app", &name, "t-open", "BEGIN; SELECT 1;"),
        server().session("app", &name, "t-busy", "SELECT pg_sleep(120);"),
        server().session("app", &name, "t-spared", "SELECT 1;"),
        server().session("app", &name, "smokejumper", "SELECT 1;"),
        server().session("other", &name, "t-other", "SELECT 1;"),
        server().session("app", "postgres", "t-elsewhere", "SELECT 1;"),
    ];
    for application in ["t-idle", "t-again", "t-spared", "smokejumper", "t-other", "t-elsewhere"] {
        await_session(&format!(
            "application_name = '{application}' AND state = 'idle' AND state_change < now() - interval '1.2 s'"
        ));
    }
    await_session("application_name = 't-open' AND state = 'idle in transaction'");
    await_session("application_name = 't-busy' AND state = 'active'");
    let hands = mk_hands(&name, "hand", listed(&name, &["app"]), &[]);
    let draft = idle_draft(json!({"spare": ["t-spared"]}));
    let surveyed = ready(&hands, &draft).await;
    let shown = surveyed.notes.join("\n");
    assert!(shown.contains("t-idle") && shown.contains("t-again"), "{shown}");
    for other in ["t-open", "t-busy", "t-spared", "t-other", "t-elsewhere", "smokejumper"] {
        assert!(!shown.contains(other), "{other}: {shown}");
    }
    assert!(surveyed.plan.summary.starts_with("end 2 sessions"), "{}", surveyed.plan.summary);
    assert_eq!((surveyed.tier_floor, surveyed.plan.repeatability), (Tier::T2, Repeatability::Idempotent));
    assert!(is_there("t-idle"), "a survey ends nothing");
    assert!(matches!(look_back(&hands, &surveyed.plan).await, ActionOutcome::NotApplied { .. }));

    // One of them has work again: it is another plan for nobody, and that session is left alone.
    use std::io::Write as _;
    writeln!(sessions[1].stdin.as_ref().expect("piped"), "SELECT pg_sleep(120);").expect("psql takes a line");
    await_session("application_name = 't-again' AND state = 'active'");
    assert!(agree(&surveyed.plan, &ready(&hands, &draft).await.plan), "people need not be asked anew");
    let detail = applied(act(&hands, &surveyed.plan).await);
    assert!(detail.contains("ended 1 session") && detail.contains("1 had work again"), "{detail}");
    assert!(!is_there("t-idle"));
    for other in ["t-again", "t-open", "t-busy", "t-spared", "t-other", "t-elsewhere", "smokejumper"] {
        assert!(is_there(other), "{other} is gone");
    }
    // A second attempt at the same plan ends nobody else.
    assert!(matches!(act(&hands, &surveyed.plan).await, ActionOutcome::NotApplied { .. }));
    assert!(is_there("t-again"));
    let nothing = survey(&hands, &draft).await;
    assert!(matches!(nothing, SurveyOutcome::NothingToDo { .. }), "{nothing:?}");

    let open = ready(&hands, &idle_draft(json!({"in_transaction": true, "spare": ["t-spared"]}))).await;
    assert!(open.notes.iter().any(|note| note.contains("not committed")), "{:?}", open.notes);
    applied(act(&hands, &open.plan).await);
    assert!(!is_there("t-open") && is_there("t-busy"));
    applied(look_back(&hands, &open.plan).await);
    end(&mut sessions);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_the_settings_list_may_be_ended() {
    let name = mk_database();
    let mut sessions = [server().session("app", &name, "l-idle", "SELECT 1;")];
    await_session(
        "application_name = 'l-idle' AND state = 'idle' AND state_change < now() - interval '1.2 s'",
    );
    let closed = mk_hands(&name, "hand", IdleSessions::default(), &[]);
    assert!(refusal(&closed, &idle_draft(json!({}))).await.contains("list no databases"));
    let others = mk_hands(&name, "hand", listed(&name, &["other"]), &[]);
    assert!(refusal(&others, &idle_draft(json!({"user": "app"}))).await.contains("do not list `app`"));
    let hostile = idle_draft(json!({"user": "app' OR true --"}));
    assert!(refusal(&others, &hostile).await.contains("do not list"));

    let open = mk_hands(&name, "hand", listed(&name, &["app"]), &[]);
    let surveyed = ready(&open, &idle_draft(json!({}))).await;
    for hands in [&closed, &others] {
        let outcome = act(hands, &surveyed.plan).await;
        assert!(matches!(outcome, ActionOutcome::NotApplied { .. }), "{outcome:?}");
    }
    let named = IdleSessions { applications: vec!["l-else".to_owned()], ..listed(&name, &["app"]) };
    let named = mk_hands(&name, "hand", named, &[]);
    assert!(matches!(survey(&named, &idle_draft(json!({}))).await, SurveyOutcome::NothingToDo { .. }));
    // Who may not see into sessions does not say that none is idle.
    let weak = mk_hands(&name, "weak", listed(&name, &["app"]), &[]);
    assert!(refusal(&weak, &idle_draft(json!({}))).await.contains("pg_read_all_stats"));
    let outcome = act(&weak, &surveyed.plan).await;
    assert!(matches!(outcome, ActionOutcome::NotApplied { .. }), "{outcome:?}");
    // Superusers are never ended, though the list has them.
    let mut boss = [server().session(crate::postgres::USER, &name, "l-boss", "SELECT 1;")];
    await_session(
        "application_name = 'l-boss' AND state = 'idle' AND state_change < now() - interval '1.2 s'",
    );
    let bold = mk_hands(&name, "hand", listed(&name, &[crate::postgres::USER]), &[]);
    assert!(matches!(survey(&bold, &idle_draft(json!({}))).await, SurveyOutcome::NothingToDo { .. }));
    assert!(is_there("l-idle") && is_there("l-boss"));
    end(&mut sessions);
    end(&mut boss);
}

fn upkeep(op: &str, table: &str) -> ActionPlan {
    mk_draft("pg.maintain", json!({"connection": "shop", "op": op, "table": table}))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listed_table_is_kept_up_and_no_other() {
    let name = mk_database();
    server().psql(
        &name,
        "CREATE TABLE orders (id int PRIMARY KEY); CREATE TABLE \"or\"\"ders; x\" (id int); \
         INSERT INTO orders SELECT generate_series(1, 1000); DELETE FROM orders WHERE id < 500; \
         ALTER TABLE orders OWNER TO hand; ALTER TABLE \"or\"\"ders; x\" OWNER TO hand",
    );
    let strange = "public.or\"ders; x";
    let hands = mk_hands(&name, "hand", IdleSessions::default(), &["public.orders", strange, "public.gone"]);
    let last = |column: &str| {
        server().psql(
            &name,
            &format!("SELECT {column} IS NOT NULL FROM pg_stat_user_tables WHERE relname = 'orders'"),
        )
    };
    let vacuum = ready(&hands, &upkeep("vacuum_analyze", "public.orders")).await;
    assert_eq!((vacuum.tier_floor, vacuum.plan.repeatability), (Tier::T2, Repeatability::Idempotent));
    assert!(vacuum.notes[0].contains("public.orders has"), "{:?}", vacuum.notes);
    assert_eq!(last("last_vacuum"), "f", "a survey changes nothing");
    assert!(matches!(look_back(&hands, &vacuum.plan).await, ActionOutcome::NotApplied { .. }));
    applied(act(&hands, &vacuum.plan).await);
    assert_eq!(last("last_vacuum"), "t");
    applied(look_back(&hands, &vacuum.plan).await);
    applied(act(&hands, &ready(&hands, &upkeep("analyze", "public.orders")).await.plan).await);
    applied(act(&hands, &ready(&hands, &upkeep("analyze", strange)).await.plan).await);

    let before = server().psql(&name, "SELECT pg_relation_filenode('orders_pkey')");
    let reindex = ready(&hands, &upkeep("reindex_concurrently", "public.orders")).await;
    assert_eq!((reindex.tier_floor, reindex.plan.repeatability), (Tier::T3, Repeatability::AtMostOnce));
    applied(act(&hands, &reindex.plan).await);
    assert_ne!(server().psql(&name, "SELECT pg_relation_filenode('orders_pkey')"), before);

    assert!(refusal(&hands, &upkeep("analyze", "public.users")).await.contains("lacks this table"));
    assert!(refusal(&hands, &upkeep("analyze", "public.gone")).await.contains("no table public.gone"));
    let closed = mk_hands(&name, "hand", IdleSessions::default(), &[]);
    assert!(matches!(act(&closed, &vacuum.plan).await, ActionOutcome::NotApplied { .. }));
    server().psql(&name, "DROP TABLE orders; CREATE TABLE orders (id int)");
    let outcome = act(&hands, &vacuum.plan).await;
    assert!(
        matches!(&outcome, ActionOutcome::NotApplied { reason } if reason.contains("another table")),
        "{outcome:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upkeep_never_waits_long_for_a_lock_and_is_cancelled_in_time() {
    let name = mk_database();
    server().psql(
        &name,
        "CREATE TABLE busy (id int PRIMARY KEY); ALTER TABLE busy OWNER TO hand; GRANT ALL ON busy TO app",
    );
    let hands = mk_hands(&name, "hand", IdleSessions::default(), &["public.busy"]);
    let mut holder =
        [server().session("app", &name, "k-holder", "BEGIN; LOCK TABLE busy IN ACCESS EXCLUSIVE MODE;")];
    await_session("application_name = 'k-holder' AND state = 'idle in transaction'");
    let mut draft = upkeep("analyze", "public.busy");
    draft.params["within"] = json!("1s");
    let context = tokio::time::timeout(Duration::from_secs(30), survey(&hands, &draft)).await;
    // Its size cannot be had behind that lock either.
    assert!(matches!(context, Ok(SurveyOutcome::NotNow { .. })), "{context:?}");
    end(&mut holder);
    let refused = mk_hands(&name, "weak", IdleSessions::default(), &["public.busy"]);
    let plan = ready(&hands, &draft).await.plan;
    let outcome = act(&refused, &plan).await;
    // PostgreSQL only warns where a role may not analyze, and says that it is done.
    assert!(
        matches!(&outcome, ActionOutcome::Failed { reason } if reason.contains("skipped")),
        "{outcome:?}"
    );
}

#[test]
fn parameters_that_do_not_fit_are_refused_when_rules_are_loaded() {
    let kinds = smokejumper::actions::kinds();
    let check = |name: &str, params: Value| {
        let kind = kinds.iter().find(|kind| kind.name == name).expect("a kind");
        (kind.check)(&params)
    };
    for bad in [
        json!({"connection": "shop"}),
        json!({"connection": "shop", "idle_for": "1s"}),
        json!({"connection": "shop", "idle_for": "1h", "max": 0}),
        json!({"connection": "shop", "idle_for": "1h", "max": 1000}),
        json!({"connection": "{{ labels.db }}", "idle_for": "1h"}),
    ] {
        assert!(check("pg.terminate_idle", bad.clone()).is_err(), "{bad}");
    }
    for bad in [
        json!({"connection": "shop", "op": "vacuum_full", "table": "a.b"}),
        json!({"connection": "shop", "op": "reindex", "table": "a.b"}),
        json!({"connection": "shop", "op": "analyze", "table": "a.b", "within": "10m"}),
        json!({"connection": "shop", "op": "analyze"}),
    ] {
        assert!(check("pg.maintain", bad.clone()).is_err(), "{bad}");
    }
}

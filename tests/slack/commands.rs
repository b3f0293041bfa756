//! The slash command and the home tab, over both transports.

use crate::servers::eventually;
use crate::world::{PATIENCE, TRANSPORTS, Transport, World};
use serde_json::{Value, json};
use smokejumper::sandbox::slack::Interaction;

const COMMAND: &str = "/smokejumper";

/// What somebody reads who writes this.
async fn read(world: &World, user: &str, text: &str) -> String {
    let done = world.slack.command(user, COMMAND, text).await.expect("sent");
    assert_eq!(done.status, Some(200), "{text}: {done:?}");
    answer(&done)
}

fn answer(done: &Interaction) -> String {
    let shown: Value = serde_json::from_str(&done.answer).unwrap_or_else(|error| panic!("{error}: {done:?}"));
    assert_eq!(shown["response_type"], "ephemeral", "nobody else reads it");
    shown["text"].as_str().expect("a text").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_incident_is_found_looked_at_taken_and_approved_by_commands() {
    for transport in TRANSPORTS {
        let world = World::start(transport).await;
        assert!(read(&world, "una", "status").await.contains("No open incidents"), "{transport:?}");
        world.fire("api").await;
        world.card_with("smokejumper.approve").await;
        let id = world.incident().await.expect("an incident")["id"].as_str().expect("an id").to_owned();
        let listed = read(&world, "una", "").await;
        assert!(
            listed.contains("1 open incident") && listed.contains(&id) && listed.contains("nobody yet"),
            "{listed}"
        );
        let tail = &id[id.len() - 6..];
        let one = read(&world, "una", &format!("incident {tail}")).await;
        assert!(one.contains(&format!("/smokejumper approve {id}-a1")), "{one}");
        assert!(read(&world, "una", &format!("diag {tail}")).await.contains("Nothing was gathered yet"));
        // Sam is in the workspace, and that is all: taking it is open to everybody, approving is not.
        let refused = read(&world, "sam", &format!("approve {tail}-a1")).await;
        assert!(refused.contains("needs approver"), "{refused}");
        assert!(read(&world, "una", &format!("ack {tail} on my way")).await.starts_with("You have it"));
        let taken = world.incident_where("acknowledged", |it| it["status"] == "acknowledged").await;
        let lines = taken["timeline"].as_array().expect("lines");
        assert!(lines.iter().any(|line| line["text"] == "acknowledged by una: on my way"), "{lines:?}");
        // Of an incident there may be another plan by now: which one is approved has to be said.
        let asked = read(&world, "una", &format!("approve {tail}")).await;
        assert!(
            asked.contains("POST limiter /api") && asked.contains(&format!("approve {id}-a1")),
            "{asked}"
        );
        assert_eq!(world.incident().await.expect("one")["actions"][0]["approvals"], json!([]));
        let approved = read(&world, "una", &format!("approve {tail}-a1")).await;
        assert!(approved.starts_with("You approved"), "{approved}");
        world.judge_approved_once().await;
        let again = read(&world, "ravi", &format!("approve {id}-a1")).await;
        assert!(again.contains("already approved by una"), "{again}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_storm_the_oldest_incident_is_counted_and_found_as_well() {
    let world = World::start(Transport::SocketMode).await;
    world.fire("first").await;
    let oldest = world.incident_where("the first", |incident| incident["status"] == "triggered").await;
    // More than one page of the store holds.
    let services: Vec<String> = (0..510).map(|number| format!("service-{number}")).collect();
    world.fire_all("Errors", &services).await;
    let listed = eventually("all are counted", PATIENCE, async || {
        let said = read(&world, "una", "status").await;
        said.contains("511 open incidents").then_some(said)
    })
    .await;
    let id = oldest["id"].as_str().expect("an id");
    assert!(listed.contains(id), "of the same severity the oldest stands first: {listed}");
    let taken = read(&world, "una", &format!("ack {id}")).await;
    assert!(taken.starts_with("You have it") || taken.contains("the answer follows"), "{taken}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_kill_switch_is_for_admins_and_what_is_not_understood_is_answered_with_help() {
    let world = World::start(Transport::SocketMode).await;
    for text in ["pause moving house", "resume"] {
        let refused = read(&world, "una", text).await;
        assert!(refused.contains("needs the role admin, and you have approver"), "{refused}");
    }
    assert_eq!(world.get("/api/v1/pause").await["paused"], false);
    let paused = read(&world, "mei", "pause namespace=shop moving <!channel> house").await;
    assert!(paused.contains("paused in `shop` by *mei*: moving &lt;!channel&gt; house"), "{paused}");
    let pauses = world.get("/api/v1/pause").await;
    assert_eq!(
        (&pauses["pauses"][0]["namespace"], &pauses["pauses"][0]["by"]),
        (&json!("shop"), &json!("mei"))
    );
    assert!(!read(&world, "mei", "resume namespace=shop").await.contains("paused"));
    assert_eq!(world.get("/api/v1/pause").await["pauses"], json!([]));
    assert!(read(&world, "una", "stauts").await.contains("did you mean “status”?"));
    assert!(read(&world, "una", "help").await.contains("/smokejumper ack ID"));
    assert!(read(&world, "una", "ack ffffffff").await.contains("There is no open incident"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_on_call_is_said_as_the_api_says_it() {
    let world = World::start(Transport::SocketMode).await;
    let said = read(&world, "sam", "oncall primary").await;
    let listed = world.get("/api/v1/oncall").await;
    let person = listed["schedules"][0]["person"].as_str().expect("somebody");
    let next = listed["schedules"][0]["next"].as_str().expect("somebody follows");
    assert!(
        said.contains(&format!("`primary`: *{person}* until")) && said.contains(&format!("then *{next}*")),
        "{said}"
    );
    assert!(read(&world, "sam", "oncall").await.contains(&said), "all are said where none is named");
    assert!(read(&world, "sam", "oncall second").await.contains("No schedule `second` says"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guests_and_people_of_other_workspaces_learn_nothing_but_the_way_in() {
    let world = World::start(Transport::SocketMode).await;
    world.fire("api").await;
    world.card_with("smokejumper.approve").await;
    let id = world.incident().await.expect("an incident")["id"].as_str().expect("an id").to_owned();
    for (user, member, why) in
        [("gil", "U0GIL", "You are a guest"), ("ola", "U0OLA", "You belong to another workspace")]
    {
        for text in ["status", &format!("incident {id}"), &format!("diag {id}"), "oncall", "help"] {
            let said = read(&world, user, text).await;
            assert!(
                said.contains(why) && said.contains("lets you in") && said.contains(member),
                "{text}: {said}"
            );
            assert!(!said.contains("api"), "{text}: {said}");
        }
        world.slack.open_home(member).await.expect("sent");
        let home = eventually("the home tab is drawn", PATIENCE, async || world.slack.home_of(member)).await;
        assert!(home.to_string().contains(why) && !home.to_string().contains("open incident"), "{home}");
    }
    // While Slack does not say who somebody is, they are shown nothing; whoever has a role of their own is not asked about.
    world.slack.set_scopes(&["chat:write"]);
    assert!(read(&world, "sam", "status").await.contains("users:read"));
    assert!(read(&world, "una", "status").await.contains("1 open incident"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_has_no_role_of_their_own_takes_an_incident_where_its_message_stands() {
    let world = World::start(Transport::SocketMode).await;
    world.fire("api").await;
    let card = world.card_with("smokejumper.approve").await;
    world.adopted(&card).await;
    let id = world.incident().await.expect("an incident")["id"].as_str().expect("an id").to_owned();
    let take = async |channel: &str| {
        let done = world.slack.command_in(channel, "sam", COMMAND, &format!("ack {id}")).await.expect("sent");
        answer(&done)
    };
    for channel in ["C0LEADS", "D0SANDBOX"] {
        assert!(take(channel).await.contains("in the channel in which its message stands"), "{channel}");
    }
    assert_eq!(world.incident().await.expect("one")["status"], "triggered");
    assert!(take("C0INCIDENTS").await.starts_with("You have it"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_from_elsewhere_or_without_a_signature_do_nothing() {
    let world = World::start(Transport::Https).await;
    let secret = world.slack.options().signing_secret.clone();
    let sent = world.slack.prepare_command("mei", COMMAND, "pause all").expect("a command");
    let mut other_app = sent.clone();
    other_app.body = other_app.body.replace(&world.slack.options().app_id, "A0OTHER");
    let refused = world.slack.deliver(&other_app.signed_with(&secret)).await.expect("sent");
    assert!(answer(&refused).contains("another workspace or app"), "{refused:?}");
    for forged in
        [sent.clone().unsigned(), sent.clone().signed_with("another"), sent.signed_at_offset(&secret, -301)]
    {
        assert_eq!(world.slack.deliver(&forged).await.expect("sent").status, Some(401));
    }
    assert_eq!(world.get("/api/v1/pause").await["paused"], false);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_takes_longer_than_slack_waits_is_answered_later() {
    let world = World::start(Transport::SocketMode).await;
    world.fire("api").await;
    world.card_with("smokejumper.approve").await;
    let id = world.incident().await.expect("an incident")["id"].as_str().expect("an id").to_owned();
    let other = world.database();
    other.execute_batch("BEGIN IMMEDIATE").expect("nobody else writes");
    let said = read(&world, "una", &format!("ack {id}")).await;
    assert!(said.contains("the answer follows"), "{said}");
    other.execute_batch("ROLLBACK").expect("they may again");
    let later = eventually("the answer", PATIENCE, async || {
        world.slack.follow_ups().entries().pop().map(|entry| entry.what)
    })
    .await;
    assert!(
        later.accepted && later.body["text"].as_str().is_some_and(|it| it.starts_with("You have it")),
        "{later:?}"
    );
    assert_eq!(later.body["response_type"], "ephemeral");
    world.incident_where("acknowledged", |it| it["status"] == "acknowledged").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_home_tab_that_is_opened_shows_what_is_open() {
    for transport in TRANSPORTS {
        let world = World::start(transport).await;
        world.fire("api").await;
        world.card_with("smokejumper.approve").await;
        assert_eq!(world.slack.open_home("U0UNA").await.expect("sent").status, Some(200), "{transport:?}");
        let home = eventually("the home tab is drawn", PATIENCE, async || world.slack.home_of("U0UNA")).await;
        let text = home.to_string();
        assert!(text.contains("1 open incident") && text.contains("Approval needed"), "{text}");
        assert_eq!(world.slack.home_of("U0RAVI"), None, "who has not opened it is sent nothing");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_address_of_events_is_verified_with_what_slack_asks_to_hear() {
    let world = World::start(Transport::Https).await;
    let done = world.slack.verify_url().await.expect("sent");
    assert_eq!((done.status, Some(done.answer)), (Some(200), done.sent.about.value));
}

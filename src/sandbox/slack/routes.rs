//! What a test or a page asks the workspace over HTTP: the ground truth, clicks, faults, and `response_url`s.
//!
//! Every change needs a JSON body, which a foreign web page cannot send to localhost without being asked first.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Channel, ClickError, FollowUp, Interaction, Shared};
use crate::sandbox::faults::FaultOrder;
use crate::sandbox::pages::Page;

const PAGE: Page = Page {
    name: "slack",
    html: include_str!("page.html"),
    css: include_str!("page.css"),
    js: include_str!("page.js"),
};

/// How long the app has to draw a home tab that somebody waits for.
const HOME_DRAWN_WITHIN: Duration = Duration::from_secs(2);
/// How often is looked whether it has.
const HOME_LOOK_EVERY: Duration = Duration::from_millis(20);

/// The chat page at `PREFIX/`, `GET PREFIX/_sandbox/…` and the orders that go with it.
pub(super) fn page_and_ground_truth(prefix: &str, shared: &Arc<Shared>) -> Router {
    let at = |path: &str| format!("{prefix}/_sandbox/{path}");
    PAGE.routes(prefix).merge(ground_truth(at, shared))
}

fn ground_truth(at: impl Fn(&str) -> String, shared: &Arc<Shared>) -> Router {
    Router::new()
        .route(&at("state"), get(state))
        .route(&at("messages"), get(messages))
        .route(&at("calls"), get(calls))
        .route(&at("interactions"), get(interactions))
        .route(&at("click"), post(click))
        .route(&at("submit"), post(submit))
        .route(&at("close"), post(close))
        .route(&at("home"), post(home))
        .route(&at("command"), post(command))
        .route(&at("faults"), post(faults))
        .with_state(Arc::clone(shared))
}

/// The workspace without its messages: team, people, channels, and the version that grows with every change.
async fn state(State(shared): State<Arc<Shared>>) -> Json<Value> {
    let options = &shared.options;
    let workspace = shared.workspace();
    let channel = |channel: &Channel| {
        let last_ts = workspace.messages(&channel.id).last().map(|message| message.ts.clone());
        json!({
            "id": channel.id, "name": channel.name,
            "messages": workspace.messages(&channel.id).count(), "last_ts": last_ts,
        })
    };
    Json(json!({
        "version": workspace.version(),
        "team": {"id": options.team_id, "domain": options.team_domain},
        "bot": {"id": options.bot_user_id, "name": options.bot_name},
        "users": options.users,
        "views": shared.open_views(),
        "channels": workspace.channels().map(channel).collect::<Vec<_>>(),
    }))
}

#[derive(Deserialize)]
struct MessagesQuery {
    channel: Option<String>,
}

/// The messages of one channel (`?channel=` id or name), or of all.
async fn messages(State(shared): State<Arc<Shared>>, Query(query): Query<MessagesQuery>) -> Json<Value> {
    let workspace = shared.workspace();
    let wanted = |id: &str, name: &str| {
        query.channel.as_deref().is_none_or(|channel| channel == id || channel == name)
    };
    let channels = workspace.channels().filter(|channel| wanted(&channel.id, &channel.name));
    let messages: Vec<_> = channels.flat_map(|channel| workspace.messages(&channel.id)).collect();
    Json(json!({"version": workspace.version(), "messages": messages}))
}

#[derive(Deserialize)]
struct AfterQuery {
    #[serde(default)]
    after: u64,
}

async fn calls(State(shared): State<Arc<Shared>>, Query(query): Query<AfterQuery>) -> Json<Value> {
    Json(json!({"forgotten": shared.calls.forgotten(), "calls": shared.calls.after(query.after)}))
}

async fn interactions(State(shared): State<Arc<Shared>>, Query(query): Query<AfterQuery>) -> Json<Value> {
    Json(json!({
        "forgotten": shared.interactions.forgotten(),
        "interactions": shared.interactions.after(query.after),
    }))
}

/// A button pressed, or an option chosen, on the page.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClickOrder {
    channel: String,
    message_ts: String,
    action_id: String,
    /// Of the option, for a menu.
    #[serde(default)]
    value: Option<String>,
    user: String,
}

async fn click(State(shared): State<Arc<Shared>>, Json(order): Json<ClickOrder>) -> Response {
    let ClickOrder { channel, message_ts, action_id, value, user } = &order;
    let prepared = match value {
        Some(value) => shared.prepare_choice(channel, message_ts, action_id, value, user),
        None => shared.prepare_click(channel, message_ts, action_id, user),
    };
    told(match prepared {
        Ok(click) => shared.deliver(&click).await,
        Err(error) => Err(error),
    })
}

/// A form that is sent off, with what was written into it by `action_id`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SubmitOrder {
    view: String,
    #[serde(default)]
    texts: BTreeMap<String, String>,
}

async fn submit(State(shared): State<Arc<Shared>>, Json(order): Json<SubmitOrder>) -> Response {
    told(shared.submit_view(&order.view, &order.texts).await)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CloseOrder {
    view: String,
}

async fn close(State(shared): State<Arc<Shared>>, Json(order): Json<CloseOrder>) -> StatusCode {
    shared.close_view(&order.view);
    StatusCode::NO_CONTENT
}

/// Somebody opens the home tab.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HomeOrder {
    user: String,
}

/// The app is told, and has a moment to draw the tab anew.
async fn home(State(shared): State<Arc<Shared>>, Json(order): Json<HomeOrder>) -> Json<Value> {
    let before = shared.homes_drawn();
    // Without an app there is what was drawn before, which may be nothing.
    let _ = shared.open_home(&order.user).await;
    let drawn = async {
        while shared.homes_drawn() == before {
            tokio::time::sleep(HOME_LOOK_EVERY).await;
        }
    };
    let _ = tokio::time::timeout(HOME_DRAWN_WITHIN, drawn).await;
    Json(json!({ "view": shared.home_of(&order.user) }))
}

/// A slash command as somebody wrote it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CommandOrder {
    user: String,
    command: String,
    #[serde(default)]
    text: String,
}

async fn command(State(shared): State<Arc<Shared>>, Json(order): Json<CommandOrder>) -> Response {
    let CommandOrder { user, command, text } = &order;
    let sent = match shared.prepare_command(user, command, text) {
        Ok(prepared) => shared.deliver(&prepared).await,
        Err(error) => Err(error),
    };
    match sent {
        Ok(done) => {
            let shown: Value = serde_json::from_str(&done.answer).unwrap_or_default();
            Json(json!({ "problem": done.problem, "text": shown["text"] })).into_response()
        }
        Err(error) => told(Err(error)),
    }
}

/// What became of something that was sent to the app.
fn told(delivered: Result<Interaction, ClickError>) -> Response {
    match delivered {
        Ok(done) => Json(json!({
            "status": done.status, "latency_ms": done.latency_ms, "problem": done.problem,
        }))
        .into_response(),
        Err(error) => (StatusCode::CONFLICT, Json(json!({"problem": error.to_string()}))).into_response(),
    }
}

async fn faults(State(shared): State<Arc<Shared>>, Json(order): Json<FaultOrder>) -> StatusCode {
    shared.faults.obey(order);
    StatusCode::NO_CONTENT
}

/// `POST /actions/{team}/{key}`: a `response_url` as an interaction carried it.
pub(super) async fn follow_up(
    State(shared): State<Arc<Shared>>,
    Path((_team, key)): Path<(String, String)>,
    Json(body): Json<Value>,
) -> Response {
    let accepted = shared.use_response_url(&key);
    shared.follow_ups.push(FollowUp { body, accepted });
    if accepted {
        Json(json!({"ok": true})).into_response()
    } else {
        (StatusCode::NOT_FOUND, Json(json!({"ok": false, "error": "used_url"}))).into_response()
    }
}

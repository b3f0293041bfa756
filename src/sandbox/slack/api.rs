//! The Web API methods: `auth.test`, `chat.postMessage`, `chat.postEphemeral`, `chat.update`;
//! those about conversations, of Socket Mode and of modals are called from here.
//!
//! As with Slack, a refusal is HTTP 200 with `{"ok":false,"error":…}`; only a rate limit is HTTP 429. Error names and
//! argument rules come from the methods' reference pages on docs.slack.dev. Stricter than Slack, because nothing is
//! published: a reply to an unknown message is `thread_not_found`, and `chat.update` takes channel ids only.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::limits::{BlockError, checked_blocks};
use super::workspace::{Draft, Edit};
use super::{ApiCall, Shared};
use crate::sandbox::faults::Fault;

/// `chat.update` refuses longer text outright (`msg_too_long`), where `chat.postMessage` cuts it.
pub const MAX_UPDATE_TEXT_CHARS: usize = 4_000;

/// Size of the serialised metadata of a message, in bytes.
const MAX_METADATA_BYTES: usize = 16 * 1024;

/// Why a call is refused.
#[derive(Debug, PartialEq)]
pub(super) enum Refusal {
    /// The plain error name.
    Named(String),
    /// `missing_scope` with the scope that is needed.
    MissingScope(&'static str),
    /// HTTP 429 with the seconds to wait.
    RateLimited(u64),
    /// An error with one explanation a line.
    Explained(&'static str, Vec<String>),
}

impl Refusal {
    fn name(&self) -> &str {
        match self {
            Self::Named(name) => name,
            Self::MissingScope(_) => "missing_scope",
            Self::RateLimited(_) => "ratelimited",
            Self::Explained(name, _) => name,
        }
    }
}

pub(super) fn refuse<T>(name: &str) -> Result<T, Refusal> {
    Err(Refusal::Named(name.to_owned()))
}

/// One request, taken apart.
pub(super) struct ApiRequest {
    method: String,
    bearer: Option<String>,
    args: Result<Map<String, Value>, Refusal>,
    lacks_charset: bool,
    is_json: bool,
}

/// `POST` or `GET /api/{method}`.
pub(super) async fn handle(
    State(shared): State<Arc<Shared>>,
    Path(method): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let request = ApiRequest::parse(method, &headers, &body);
    match shared.faults.take(&request.method) {
        None => shared.answer(&request, None),
        Some(fault) => {
            if !fault.takes_effect && fault.outcome != crate::sandbox::faults::Outcome::Honest {
                shared.calls.push(ApiCall::untouched(&request, fault.clone()));
            }
            let told = fault.clone();
            fault.play(|| shared.answer(&request, Some(told)), |name| error_body(name).into_response()).await
        }
    }
}

fn error_body(name: &str) -> Json<Value> {
    Json(json!({"ok": false, "error": name}))
}

impl ApiRequest {
    fn parse(method: String, headers: &HeaderMap, body: &[u8]) -> Self {
        let content_type =
            headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let is_json = content_type.starts_with("application/json");
        let mut args = if is_json { json_args(body) } else { form_args(body) };
        let mut bearer = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.strip_prefix("Bearer "))
            .map(str::to_owned);
        // A token in the arguments is accepted in forms only. It leaves the arguments: they are recorded and shown.
        let in_args = args.as_mut().ok().and_then(|args| args.remove("token"));
        if bearer.is_none() && !is_json {
            bearer = in_args.and_then(|token| token.as_str().map(str::to_owned));
        }
        Self { method, bearer, args, lacks_charset: is_json && !content_type.contains("charset"), is_json }
    }
}

fn json_args(body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(args)) => Ok(args),
        Ok(_) => refuse("json_not_object"),
        Err(_) => refuse("invalid_json"),
    }
}

fn form_args(body: &[u8]) -> Result<Map<String, Value>, Refusal> {
    let text = std::str::from_utf8(body).map_err(|_| Refusal::Named("invalid_form_data".into()))?;
    Ok(crate::sandbox::form::decode(text)
        .into_iter()
        .map(|(key, value)| (key, Value::String(value)))
        .collect())
}

impl ApiCall {
    fn untouched(request: &ApiRequest, fault: Fault) -> Self {
        let args = request.args.as_ref().cloned().unwrap_or_default();
        Self {
            method: request.method.clone(),
            args: args.into(),
            ok: false,
            error: None,
            ts: None,
            fault: Some(fault),
        }
    }
}

impl Shared {
    fn answer(&self, request: &ApiRequest, fault: Option<Fault>) -> Response {
        let answered = self.carry_out(request);
        let (ok, error, ts) = match &answered {
            Ok(body) => (true, None, body.get("ts").and_then(Value::as_str).map(str::to_owned)),
            Err(refusal) => (false, Some(refusal.name().to_owned()), None),
        };
        let args = request.args.as_ref().cloned().unwrap_or_default();
        let method = request.method.clone();
        self.calls.push(ApiCall { method, args: args.into(), ok, error, ts, fault });
        self.render(answered, request.lacks_charset)
    }

    fn render(&self, answered: Result<Value, Refusal>, lacks_charset: bool) -> Response {
        let mut body = match &answered {
            Ok(body) => body.clone(),
            Err(refusal) => json!({"ok": false, "error": refusal.name()}),
        };
        match &answered {
            Err(Refusal::MissingScope(needed)) => {
                body["needed"] = json!(needed);
                body["provided"] = json!(self.scopes().join(","));
            }
            Err(Refusal::Explained(_, lines)) => {
                let marked: Vec<_> = lines.iter().map(|line| format!("[ERROR] {line}")).collect();
                body["errors"] = json!(lines);
                body["response_metadata"] = json!({ "messages": marked });
            }
            _ => {}
        }
        if lacks_charset {
            body["warning"] = json!("missing_charset");
            body["response_metadata"]["warnings"] = json!(["missing_charset"]);
        }
        let mut response = Json(body).into_response();
        if let Ok(scopes) = HeaderValue::from_str(&self.scopes().join(",")) {
            response.headers_mut().insert("x-oauth-scopes", scopes);
        }
        if let Err(Refusal::RateLimited(seconds)) = answered {
            *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    fn carry_out(&self, request: &ApiRequest) -> Result<Value, Refusal> {
        let needed = match request.method.as_str() {
            "auth.test" | "views.open" | "views.publish" => None,
            "apps.connections.open" => return self.open_connection(request.bearer.as_deref()),
            "chat.postMessage" | "chat.postEphemeral" | "chat.update" => Some("chat:write"),
            "conversations.open" => Some("im:write"),
            "usergroups.users.list" => Some("usergroups:read"),
            "users.lookupByEmail" => Some("users:read.email"),
            "users.info" => Some("users:read"),
            "files.getUploadURLExternal" | "files.completeUploadExternal" => Some("files:write"),
            "conversations.info" | "conversations.list" | "users.conversations" => Some("channels:read"),
            // Which scope these need depends on what kind of conversation it is.
            "conversations.history" | "conversations.replies" => None,
            _ => return refuse("unknown_method"),
        };
        self.authenticate(request.bearer.as_deref())?;
        if let Some(scope) = needed {
            self.needs(scope)?;
        }
        let args = match &request.args {
            Ok(args) => Args(args),
            Err(refusal) => return refuse(refusal.name()),
        };
        self.take_rate(&request.method, args)?;
        // What is sent to these as JSON is overlooked.
        let empty = Map::new();
        let form = if request.is_json { Args(&empty) } else { args };
        match request.method.as_str() {
            "auth.test" => Ok(self.auth_test()),
            "views.open" => self.open_view(args.required("trigger_id")?, args.view()?),
            "views.publish" => self.publish_view(args.required("user_id")?, args.view()?),
            "usergroups.users.list" => self.members_of(form.required("usergroup")?),
            "users.lookupByEmail" => self.user_by_email(form.required("email")?),
            "users.info" => self.user_info(form.required("user")?),
            "files.getUploadURLExternal" => {
                let alt_text = form.string("alt_txt")?;
                self.upload_url(form.required("filename")?, form.number("length"), alt_text)
            }
            "files.completeUploadExternal" => {
                let files = args.structured("files", "invalid_arguments")?.unwrap_or_default();
                self.complete_upload(&files, args.required("channel_id")?, args.string("thread_ts")?)
            }
            "chat.postMessage" => self.post_message(args),
            "chat.postEphemeral" => self.post_ephemeral(args),
            "chat.update" => self.update_message(args),
            "conversations.info" => self.channel_info(args),
            "conversations.list" => self.channels(args, |_| true),
            "users.conversations" => self.channels(form, |channel| channel.bot_is_member),
            "conversations.open" => self.open_conversation(args),
            _ => self.read_messages(args, request.method == "conversations.replies"),
        }
    }

    pub(super) fn needs(&self, scope: &'static str) -> Result<(), Refusal> {
        match self.scopes().iter().any(|granted| granted == scope) {
            true => Ok(()),
            false => Err(Refusal::MissingScope(scope)),
        }
    }

    /// An address for one connection of Socket Mode. Only the app-level token opens it.
    fn open_connection(&self, bearer: Option<&str>) -> Result<Value, Refusal> {
        match bearer {
            None | Some("") => return refuse("not_authed"),
            Some(token) if token == self.options.bot_token => return refuse("not_allowed_token_type"),
            Some(token) if token != self.options.app_token => return refuse("invalid_auth"),
            Some(_) => {}
        }
        let wait = self.rate().take("apps.connections.open", "", Instant::now());
        wait.map_err(Refusal::RateLimited)?;
        if !self.sockets.is_enabled() {
            return refuse("socket_mode_disabled");
        }
        let base = self.base_url.replacen("http://", "ws://", 1);
        let (ticket, app) = (self.sockets.ticket(), &self.options.app_id);
        Ok(json!({"ok": true, "url": format!("{base}/link?ticket={ticket}&app_id={app}")}))
    }

    fn authenticate(&self, bearer: Option<&str>) -> Result<(), Refusal> {
        match bearer {
            None | Some("") => refuse("not_authed"),
            Some(token) if token != self.options.bot_token => refuse("invalid_auth"),
            Some(_) => Ok(()),
        }
    }

    fn take_rate(&self, method: &str, args: Args<'_>) -> Result<(), Refusal> {
        // Only channels that exist get a bucket, so that the map stays as small as the workspace.
        let named = args.0.get("channel").and_then(Value::as_str).unwrap_or_default();
        let id =
            self.workspace().channel_by_any_name(named).map(|channel| channel.id.clone()).unwrap_or_default();
        self.rate().take(method, &id, Instant::now()).map_err(Refusal::RateLimited)
    }

    fn auth_test(&self) -> Value {
        let options = &self.options;
        json!({
            "ok": true, "url": format!("https://{}.slack.com/", options.team_domain), "team": options.team_domain,
            "user": options.bot_name, "team_id": options.team_id, "user_id": options.bot_user_id,
            "bot_id": format!("B{}", &options.bot_user_id[1..]), "is_enterprise_install": false,
        })
    }

    fn post_message(&self, args: Args<'_>) -> Result<Value, Refusal> {
        let named = args.required("channel")?;
        let (text, blocks) = (args.string("text")?, args.blocks()?);
        if text.is_none_or(str::is_empty) && blocks.is_none() {
            return refuse("no_text");
        }
        let metadata = args.metadata()?;
        let mut workspace = self.workspace();
        let channel = self.addressed(&mut workspace, named)?;
        if channel.archived {
            return refuse("is_archived");
        }
        if !channel.bot_is_member && !self.scopes().iter().any(|scope| scope == "chat:write.public") {
            return refuse("not_in_channel");
        }
        let thread_ts = match args.string("thread_ts")? {
            None => None,
            Some(ts) => match workspace.message(&channel.id, ts) {
                None => return refuse("thread_not_found"),
                Some(parent) => Some(parent.thread_ts.clone().unwrap_or_else(|| parent.ts.clone())),
            },
        };
        let text = text.unwrap_or_default().to_owned();
        let draft = Draft { text, blocks: blocks.unwrap_or_default(), thread_ts, metadata, only_for: None };
        let Some(message) = workspace.post(&channel.id, &self.options.bot_user_id, draft, Timestamp::now())
        else {
            return refuse("channel_not_found");
        };
        let shown = message.as_api(&self.options.app_id, true);
        Ok(json!({"ok": true, "channel": channel.id, "ts": message.ts, "message": shown}))
    }

    /// A message that one person sees, that is no part of the history and cannot be edited.
    fn post_ephemeral(&self, args: Args<'_>) -> Result<Value, Refusal> {
        let (named, user) = (args.required("channel")?, args.required("user")?);
        let (text, blocks) = (args.string("text")?, args.blocks()?);
        if text.is_none_or(str::is_empty) && blocks.is_none() {
            return refuse("no_text");
        }
        let mut workspace = self.workspace();
        let Some(channel) = workspace.channel_by_any_name(named).cloned() else {
            return refuse("channel_not_found");
        };
        if channel.archived {
            return refuse("is_archived");
        }
        if !channel.bot_is_member {
            return refuse("not_in_channel");
        }
        let is_there = channel.member.as_ref().is_none_or(|member| member == user);
        if !is_there || !self.options.users.iter().any(|known| known.id == user) {
            return refuse("user_not_in_channel");
        }
        let draft = Draft {
            text: text.unwrap_or_default().to_owned(),
            blocks: blocks.unwrap_or_default(),
            only_for: Some(user.to_owned()),
            ..Draft::default()
        };
        let posted = workspace.post(&channel.id, &self.options.bot_user_id, draft, Timestamp::now());
        match posted {
            Some(message) => Ok(json!({"ok": true, "message_ts": message.ts})),
            None => refuse("channel_not_found"),
        }
    }

    fn update_message(&self, args: Args<'_>) -> Result<Value, Refusal> {
        let (channel, ts) = (args.required("channel")?, args.required("ts")?);
        let (text, blocks, metadata) = (args.string("text")?, args.blocks()?, args.metadata()?);
        if text.is_none() && blocks.is_none() && metadata.is_none() {
            return refuse("no_text");
        }
        if text.is_some_and(|text| text.chars().count() > MAX_UPDATE_TEXT_CHARS) {
            return refuse("msg_too_long");
        }
        let mut workspace = self.workspace();
        let Some(known) = workspace.channel(channel) else { return refuse("channel_not_found") };
        if known.archived {
            return refuse("is_archived");
        }
        let edit = Edit { text: text.map(str::to_owned), blocks, metadata };
        let Some(message) = workspace.update(channel, ts, edit, Timestamp::now()) else {
            return refuse("message_not_found");
        };
        let shown = message.as_api(&self.options.app_id, true);
        Ok(json!({"ok": true, "channel": channel, "ts": message.ts, "text": message.text, "message": shown}))
    }
}

/// The arguments of a call, read the way Slack reads them.
#[derive(Clone, Copy)]
pub(super) struct Args<'a>(&'a Map<String, Value>);

impl<'a> Args<'a> {
    pub(super) fn string(self, name: &str) -> Result<Option<&'a str>, Refusal> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => {
                Err(Refusal::Explained("invalid_arguments", vec![format!("must be a string: {name}")]))
            }
        }
    }

    pub(super) fn required(self, name: &str) -> Result<&'a str, Refusal> {
        match self.string(name)? {
            Some(text) if !text.is_empty() => Ok(text),
            _ => {
                Err(Refusal::Explained("invalid_arguments", vec![format!("missing required field: {name}")]))
            }
        }
    }

    pub(super) fn flag(self, name: &str) -> bool {
        matches!(self.0.get(name), Some(Value::Bool(true)))
            || matches!(self.string(name), Ok(Some("true" | "1")))
    }

    pub(super) fn number(self, name: &str) -> Option<u64> {
        let value = self.0.get(name)?;
        value.as_u64().or_else(|| value.as_str()?.parse().ok())
    }

    /// A structured argument: JSON, or a string that holds JSON, as forms must send it.
    fn structured(self, name: &str, error: &str) -> Result<Option<Value>, Refusal> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => {
                serde_json::from_str(text).map(Some).map_err(|_| Refusal::Named(error.to_owned()))
            }
            Some(value) => Ok(Some(value.clone())),
        }
    }

    fn blocks(self) -> Result<Option<Vec<Value>>, Refusal> {
        let Some(blocks) = self.structured("blocks", "invalid_blocks_format")? else { return Ok(None) };
        match checked_blocks(&blocks) {
            Ok(blocks) => Ok(Some(blocks)),
            Err(BlockError::Format) => refuse("invalid_blocks_format"),
            Err(BlockError::TooLong) => refuse("msg_blocks_too_long"),
            Err(BlockError::Invalid(lines)) => Err(Refusal::Explained("invalid_blocks", lines)),
        }
    }

    fn view(self) -> Result<Value, Refusal> {
        self.structured("view", "invalid_arguments")?.map_or_else(|| refuse("invalid_arguments"), Ok)
    }

    fn metadata(self) -> Result<Option<Value>, Refusal> {
        let Some(metadata) = self.structured("metadata", "invalid_metadata_format")? else { return Ok(None) };
        let Value::Object(fields) = &metadata else { return refuse("invalid_metadata_format") };
        let named = fields.get("event_type").is_some_and(Value::is_string);
        let payload = fields.get("event_payload").is_some_and(Value::is_object);
        // An empty object is how an edit removes the metadata.
        let complete = named && payload;
        if !fields.is_empty() && !complete {
            return refuse("invalid_metadata_format");
        }
        if metadata.to_string().len() > MAX_METADATA_BYTES {
            return refuse("metadata_too_large");
        }
        Ok(Some(metadata))
    }
}

//! A Slack workspace on loopback: the Web API as a bot sees it, people who press buttons, and a page to look at.
//!
//! | enforced | from |
//! |---|---|
//! | bearer token, scopes, `not_authed`, `invalid_auth`, `missing_scope` with `needed` and `provided` | docs.slack.dev, method references |
//! | Block Kit limits, `invalid_blocks` with JSON pointers, `msg_blocks_too_long` | see [`limits`] |
//! | text cut at 40,000 characters by `chat.postMessage`, refused above 4,000 by `chat.update` | method references, changelog of 2018 |
//! | `chat.update`: text without blocks removes the blocks; channel ids only | method reference; the second is stricter than published |
//! | about one message a second and channel, HTTP 429 with `Retry-After` | docs.slack.dev/apis/web-api/rate-limits; the burst is ours |
//! | signed interactions, three seconds to answer, never repeated | "Verifying requests from Slack", "Handling user interaction" |
//! | `response_url`: five uses within thirty minutes | "Handling user interaction" |
//! | direct messages: to member ids, `messages_tab_disabled`, scopes of their own for what stands in them | see `conversations` |
//! | modals: triggers good for three seconds and once, limits of views | see `views` |
//! | Socket Mode: addresses good once, acknowledgements within three seconds, announced ends | see `socket` |
//!
//! | user groups and mail addresses by forms only, files by the external flow | see `api`, `files` |
//!
//! It must never speak to the real Slack.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::{get, post};
use serde::Serialize;
use serde_json::Value;

mod api;
mod conversations;
mod files;
mod interaction;
pub mod limits;
mod people;
mod rate;
mod routes;
mod socket;
mod views;
mod words;
mod workspace;

pub use api::MAX_UPDATE_TEXT_CHARS;
pub use files::File;
pub use interaction::{ACKNOWLEDGE_WITHIN, Click, ClickError, Interaction, SignedInteraction, sign};
pub use rate::{CHANNEL_BURST, RateLimits};
pub use socket::{Acknowledged, CONNECTIONS_MAX, EnvelopeSent};
pub use views::{TRIGGER_LIFETIME, View, view_faults};
pub use workspace::{Channel, Message, TEXT_CUT_CHARS, User};

use super::faults::{Fault, FaultPlan};
use super::record::{DEFAULT_CAPACITY, Record};
use super::seed::random_hex;
use super::server::{Port, Server, StartError, loopback_client};
use rate::RateLimiter;
use socket::Sockets;
use views::Views;
use workspace::Workspace;

/// What the app asks for when it is installed.
const GRANTED: [&str; 10] = [
    "chat:write",
    "channels:read",
    "channels:history",
    "im:write",
    "im:history",
    "commands",
    "files:write",
    "usergroups:read",
    "users:read",
    "users:read.email",
];

/// A `response_url` works so often.
const RESPONSE_URL_USES: u32 = 5;
/// A `response_url` works so long.
const RESPONSE_URL_LIFETIME: Duration = Duration::from_secs(30 * 60);
/// How many `response_url`s are remembered; the oldest goes first.
const MAX_RESPONSE_URLS: usize = 1_000;

/// What the simulated workspace is like. `default()` invents fresh secrets.
#[derive(Clone, Debug)]
pub struct SlackOptions {
    /// The port on 127.0.0.1; 0 for a free one.
    pub port: u16,
    /// The only valid bot token.
    pub bot_token: String,
    /// The only valid app-level token, for Socket Mode.
    pub app_token: String,
    /// Whether presses go over Socket Mode from the start.
    pub socket_mode: bool,
    /// The secret that interactions are signed with.
    pub signing_secret: String,
    /// The deprecated verification token inside interactions; products must ignore it.
    pub verification_token: String,
    /// The scopes granted to the bot.
    pub scopes: Vec<String>,
    /// The workspace's id.
    pub team_id: String,
    /// The workspace's domain.
    pub team_domain: String,
    /// The app's id.
    pub app_id: String,
    /// The bot's user id, starting with `U`.
    pub bot_user_id: String,
    /// The bot's name.
    pub bot_name: String,
    /// The channels.
    pub channels: Vec<Channel>,
    /// The people.
    pub users: Vec<User>,
    /// Whether the app's messages tab is on, without which nobody can be written to directly.
    pub messages_tab: bool,
    /// Whether the published rate limits hold.
    pub rate_limits: RateLimits,
    /// How many calls and interactions are remembered.
    pub record_capacity: usize,
}

impl Default for SlackOptions {
    fn default() -> Self {
        Self {
            port: 0,
            bot_token: format!("xoxb-sandbox-{}", random_hex(12)),
            app_token: format!("xapp-sandbox-{}", random_hex(12)),
            socket_mode: false,
            signing_secret: random_hex(16),
            verification_token: random_hex(12),
            scopes: GRANTED.map(str::to_owned).to_vec(),
            team_id: "T0SANDBOX".into(),
            team_domain: "smokejumper-sandbox".into(),
            app_id: "A0SMOKEJUMPER".into(),
            bot_user_id: "U0SMOKEJUMPER".into(),
            bot_name: "smokejumper".into(),
            channels: vec![
                Channel::new("C0PSSNANO", "pss-nano-incidents"),
                Channel::new("C0INCIDENTS", "incidents"),
                Channel::new("C0LEADS", "leads"),
            ],
            users: vec![
                User::new("U0UNA", "una", "Una Okafor", "On-call engineer"),
                User::new("U0RAVI", "ravi", "Ravi Menon", "Team lead"),
                User::new("U0MEI", "mei", "Mei Tanaka", "Engineering manager"),
                User::new("U0SAM", "sam", "Sam Costa", "Developer, not an approver"),
            ],
            messages_tab: true,
            rate_limits: RateLimits::Published,
            record_capacity: DEFAULT_CAPACITY,
        }
    }
}

/// One call of the Web API, as it came and as it was answered.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ApiCall {
    /// `chat.postMessage` and so on.
    pub method: String,
    /// The arguments without the token; in forms, structured ones are still strings.
    pub args: Value,
    /// Whether it took effect. With a fault the caller may not have learned of it.
    pub ok: bool,
    /// The error's name where it was refused honestly.
    pub error: Option<String>,
    /// The `ts` of the message posted or edited.
    pub ts: Option<String>,
    /// The misbehaviour that this call met.
    pub fault: Option<Fault>,
}

/// A message sent to a `response_url`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FollowUp {
    /// The body as sent.
    pub body: Value,
    /// Whether the URL was still good.
    pub accepted: bool,
}

/// The simulated workspace. Dropping it stops the server.
#[derive(Debug)]
pub struct SlackSandbox {
    shared: Arc<Shared>,
    server: Server,
}

#[derive(Debug)]
struct Shared {
    options: SlackOptions,
    base_url: String,
    scopes: Mutex<Vec<String>>,
    messages_tab: AtomicBool,
    workspace: Mutex<Workspace>,
    rate: Mutex<RateLimiter>,
    interactivity_url: Mutex<Option<String>>,
    response_urls: Mutex<HashMap<String, (Instant, u32)>>,
    faults: FaultPlan,
    calls: Record<ApiCall>,
    interactions: Record<Interaction>,
    follow_ups: Record<FollowUp>,
    sockets: Sockets,
    views: Mutex<Views>,
    uploads: Mutex<Vec<files::Upload>>,
    groups: Mutex<HashMap<String, Vec<String>>>,
    client: reqwest::Client,
}

impl SlackSandbox {
    /// Starts the workspace.
    ///
    /// # Errors
    /// [`StartError`] where the port is taken.
    pub async fn start(options: SlackOptions) -> Result<Self, StartError> {
        let port = Port::bind(options.port).await?;
        let shared = Arc::new(Shared::new(options, port.base_url())?);
        let router = Router::new()
            .route("/api/{method}", get(api::handle).post(api::handle))
            .route("/actions/{team}/{key}", post(routes::follow_up))
            .route("/link", get(socket::link))
            .route("/upload/v1/{key}", post(files::receive))
            .with_state(Arc::clone(&shared))
            .merge(routes::page_and_ground_truth("", &shared));
        Ok(Self { server: port.serve(router), shared })
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn base_url(&self) -> String {
        self.server.base_url()
    }

    /// What a product puts where `https://slack.com/api` stands.
    #[must_use]
    pub fn api_url(&self) -> String {
        format!("{}/api", self.base_url())
    }

    /// The workspace as it was set up, secrets included: the settings of the product under test come from here.
    #[must_use]
    pub fn options(&self) -> &SlackOptions {
        &self.shared.options
    }

    /// The chat page and the ground truth under another prefix, such as `/slack`, for the overview of the world.
    pub(super) fn page_under(&self, prefix: &str) -> Router {
        routes::page_and_ground_truth(prefix, &self.shared)
    }

    /// The server, for outages.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The misbehaviour to come; methods are named as in the API (`chat.postMessage`).
    #[must_use]
    pub fn faults(&self) -> &FaultPlan {
        &self.shared.faults
    }

    /// Every call of the API.
    #[must_use]
    pub fn calls(&self) -> &Record<ApiCall> {
        &self.shared.calls
    }

    /// Every interaction sent to the product.
    #[must_use]
    pub fn interactions(&self) -> &Record<Interaction> {
        &self.shared.interactions
    }

    /// Every message that came back through a `response_url`.
    #[must_use]
    pub fn follow_ups(&self) -> &Record<FollowUp> {
        &self.shared.follow_ups
    }

    /// Where clicks are sent, such as `http://127.0.0.1:9119/webhooks/slack`.
    pub fn set_interactivity_url(&self, url: impl Into<String>) {
        *lock(&self.shared.interactivity_url) = Some(url.into());
    }

    /// Where clicks are sent, if that was set.
    #[must_use]
    pub fn interactivity_url(&self) -> Option<String> {
        self.shared.interactivity_url()
    }

    /// Replaces the granted scopes, as reinstalling the app would.
    pub fn set_scopes(&self, scopes: &[&str]) {
        *lock(&self.shared.scopes) = scopes.iter().map(|&scope| scope.to_owned()).collect();
    }

    /// Switches the app's messages tab on or off, as its settings would.
    pub fn set_messages_tab(&self, is_on: bool) {
        self.shared.messages_tab.store(is_on, Ordering::Relaxed);
    }

    /// Says who is in a user group; a group that nobody has named does not exist.
    pub fn set_group(&self, id: &str, members: &[&str]) {
        let members = members.iter().map(|&member| member.to_owned()).collect();
        lock(&self.shared.groups).insert(id.to_owned(), members);
    }

    /// Switches the rate limits on or off.
    pub fn set_rate_limits(&self, limits: RateLimits) {
        self.shared.rate().set(limits);
    }

    /// The messages of a channel (by id, or by name with or without `#`), or those to a member by their id, replies included, oldest first.
    #[must_use]
    pub fn messages(&self, channel: &str) -> Vec<Message> {
        let workspace = self.shared.workspace();
        let id = workspace.channel_by_any_name(channel).map(|channel| channel.id.clone()).unwrap_or_default();
        workspace.messages(&id).cloned().collect()
    }

    /// One message by channel id and `ts`.
    #[must_use]
    pub fn message(&self, channel: &str, ts: &str) -> Option<Message> {
        self.shared.workspace().message(channel, ts).cloned()
    }

    /// The person with this id or handle.
    #[must_use]
    pub fn user(&self, name: &str) -> Option<User> {
        self.shared.user(name).cloned()
    }
}

impl Shared {
    fn new(options: SlackOptions, base_url: String) -> Result<Self, StartError> {
        let capacity = options.record_capacity;
        Ok(Self {
            base_url,
            scopes: Mutex::new(options.scopes.clone()),
            messages_tab: AtomicBool::new(options.messages_tab),
            workspace: Mutex::new(Workspace::new(options.channels.clone())),
            rate: Mutex::new(RateLimiter::new(options.rate_limits)),
            interactivity_url: Mutex::default(),
            response_urls: Mutex::default(),
            faults: FaultPlan::default(),
            calls: Record::new(capacity),
            interactions: Record::new(capacity),
            follow_ups: Record::new(capacity),
            sockets: Sockets::new(options.socket_mode, capacity),
            views: Mutex::default(),
            uploads: Mutex::default(),
            groups: Mutex::default(),
            client: loopback_client(ACKNOWLEDGE_WITHIN)?,
            options,
        })
    }

    fn workspace(&self) -> MutexGuard<'_, Workspace> {
        lock(&self.workspace)
    }

    fn rate(&self) -> MutexGuard<'_, RateLimiter> {
        lock(&self.rate)
    }

    fn scopes(&self) -> Vec<String> {
        lock(&self.scopes).clone()
    }

    fn interactivity_url(&self) -> Option<String> {
        lock(&self.interactivity_url).clone()
    }

    fn user(&self, name: &str) -> Option<&User> {
        self.options.users.iter().find(|user| user.id == name || user.name == name)
    }

    fn new_response_url(&self) -> String {
        let key = random_hex(12);
        let mut urls = lock(&self.response_urls);
        if urls.len() >= MAX_RESPONSE_URLS
            && let Some(oldest) = urls.iter().min_by_key(|(_, (born, _))| *born).map(|(key, _)| key.clone())
        {
            urls.remove(&oldest);
        }
        let url = format!("{}/actions/{}/{key}", self.base_url, self.options.team_id);
        urls.insert(key, (Instant::now(), 0));
        url
    }

    fn use_response_url(&self, key: &str) -> bool {
        let mut urls = lock(&self.response_urls);
        let Some((born, uses)) = urls.get_mut(key) else { return false };
        *uses += 1;
        *uses <= RESPONSE_URL_USES && born.elapsed() <= RESPONSE_URL_LIFETIME
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "slack/tests.rs"]
mod tests;

//! The ground of a test: a cluster, a namespace of its own, requests, and waiting for what a cluster takes time for.

use std::ffi::OsString;
use std::io::Write as _;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use http::{Method, Request};
use http_body_util::BodyExt as _;
use kube::client::Body;
use kube::config::{AuthInfo, KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use smokejumper::sandbox::kubernetes::KubernetesSandbox;
use tokio::time::Instant;

/// Names the kubeconfig of a real cluster.
const KUBECONFIG: &str = "SMOKEJUMPER_TEST_KUBECONFIG";
/// How long a cluster may take for anything that a test waits for.
const WAIT: Duration = Duration::from_secs(180);
/// How often the simulator is looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How often a real cluster is: seldom enough that it sends nobody away for asking too often.
const REAL_LOOK_EVERY: Duration = Duration::from_millis(500);
/// How many times faster the simulator's clock runs than the real one.
const SPEED: u32 = 20;
/// The content type of a JSON merge patch.
const MERGE: &str = "application/merge-patch+json";

/// A cluster and a namespace of the test's own.
pub struct Ground {
    /// The client, as the cluster's administrator.
    pub client: Client,
    /// The test's namespace.
    pub namespace: String,
    config: Config,
    simulator: Option<KubernetesSandbox>,
}

/// What a request was answered.
#[derive(Debug)]
pub struct Answer {
    pub code: u16,
    /// The JSON, or the text where it is none.
    pub body: Value,
}

impl Answer {
    /// The body of an answer that must be good.
    #[track_caller]
    pub fn good(self) -> Value {
        assert!((200..300).contains(&self.code), "refused: {self:?}");
        self.body
    }

    /// The `Status` of an answer that must be a refusal with this code and reason.
    #[track_caller]
    pub fn refused(self, code: u16, reason: &str) -> Value {
        assert_eq!((self.code, self.body["reason"].as_str()), (code, Some(reason)), "{self:?}");
        let same = (self.body["kind"].as_str(), self.body["status"].as_str(), self.body["code"].as_u64());
        assert_eq!(same, (Some("Status"), Some("Failure"), Some(u64::from(code))), "{self:?}");
        self.body
    }
}

/// Runs a test on its own ground, and removes the namespace afterwards, whatever came out.
pub async fn on_ground(test: impl AsyncFnOnce(&Ground)) {
    // The first client needs a provider of cryptography; a second installation fails harmlessly.
    rustls::crypto::ring::default_provider().install_default().ok();
    let ground = Ground::new().await;
    let name = ground.namespace.clone();
    ground.post("/api/v1/namespaces", &home(&name)).await.good();
    let all = async {
        // Pods cannot be made before it is there, which a controller sees to.
        let account = ground.core("serviceaccounts/default");
        ground.until(&account, "the namespace has its service account", |_| true).await;
        test(&ground).await;
    };
    let ended = AssertUnwindSafe(all).catch_unwind().await;
    let gone = ground.ask(Method::DELETE, &format!("/api/v1/namespaces/{name}"), "", &Value::Null).await;
    if let Err(panic) = ended {
        std::panic::resume_unwind(panic);
    }
    assert!(gone.code < 300, "the namespace {name} could not be removed: {gone:?}");
}

/// A namespace of the suite, by whose label what is left of it is found. Its pods run as root, which some clusters allow
/// only where a namespace says so.
pub fn home(name: &str) -> Value {
    let labels =
        json!({ "smokejumper.dev/conformance": "true", "pod-security.kubernetes.io/enforce": "baseline" });
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name, "labels": labels } })
}

/// Says past the harness, which hides the words of tests that pass, that something was not checked.
pub fn shout(words: &str) {
    writeln!(std::io::stderr(), "\n!!! NOT CHECKED: {words}\n").expect("standard error is open");
}

/// Waits until a look at the cluster finds something; each look that does not says what it saw instead.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Result<T, Value>) -> T {
    let end = Instant::now() + WAIT;
    loop {
        match look().await {
            Ok(found) => return found,
            Err(seen) => assert!(Instant::now() < end, "not within {WAIT:?}: {what}; last seen: {seen}"),
        }
        tokio::time::sleep(if is_real() { REAL_LOOK_EVERY } else { LOOK_EVERY }).await;
    }
}

/// The kubeconfig of a real cluster, where one is named.
fn named() -> Option<OsString> {
    std::env::var_os(KUBECONFIG).filter(|path| !path.is_empty())
}

fn is_real() -> bool {
    named().is_some()
}

impl Ground {
    async fn new() -> Self {
        let (kubeconfig, simulator) = match &named() {
            Some(path) => (Kubeconfig::read_from(path).expect("a kubeconfig that can be read"), None),
            None => {
                let simulator = KubernetesSandbox::start(0).await.expect("a free port");
                simulator.enforce_access(true);
                simulator.run(SPEED);
                let text = simulator.kubeconfig();
                (Kubeconfig::from_yaml(&text).expect("a kubeconfig that can be read"), Some(simulator))
            }
        };
        let options = KubeConfigOptions::default();
        let mut config =
            Config::from_custom_kubeconfig(kubeconfig, &options).await.expect("a kubeconfig with a cluster");
        // A refusal is what many tests want to see: 429, too.
        config.default_retry = false;
        let client = Client::try_from(config.clone()).expect("a client");
        let namespace = format!("smokejumper-test-{}", &uuid::Uuid::now_v7().simple().to_string()[20..]);
        Self { client, namespace, config, simulator }
    }

    /// Whether this is the simulator, which must never lack anything.
    pub fn is_simulator(&self) -> bool {
        self.simulator.is_some()
    }

    /// Says that the cluster lacks something. The simulator may lack nothing.
    #[track_caller]
    pub fn lacks(&self, words: &str) {
        assert!(!self.is_simulator(), "the simulator lacks something: {words}");
        shout(words);
    }

    /// Whether the server is Kubernetes 1.`minor` or newer; says so where it is not.
    pub async fn is_at_least(&self, minor: u32) -> bool {
        let version = self.get("/version").await.good();
        let own = text(&version, "/minor").trim_end_matches('+').parse::<u32>().expect("a number");
        if own < minor {
            self.lacks(&format!("this is Kubernetes 1.{own}: what came with 1.{minor} was not checked"));
        }
        own >= minor
    }

    /// A client that acts as somebody else.
    pub fn client_as(&self, user: &str) -> Client {
        let mut config = self.config.clone();
        config.auth_info.impersonate = Some(user.to_owned());
        Client::try_from(config).expect("a client")
    }

    /// A client that is known by a bearer token alone.
    pub fn client_with(&self, token: &str) -> Client {
        let mut config = self.config.clone();
        config.auth_info = AuthInfo { token: Some(token.to_owned().into()), ..AuthInfo::default() };
        Client::try_from(config).expect("a client")
    }

    /// The path of something in the core group of the test's namespace.
    pub fn core(&self, rest: &str) -> String {
        format!("/api/v1/namespaces/{}/{rest}", self.namespace)
    }

    /// The path of something in a group of the test's namespace, such as `apps/v1`.
    pub fn group(&self, group: &str, rest: &str) -> String {
        format!("/apis/{group}/namespaces/{}/{rest}", self.namespace)
    }

    /// The path of all Deployments, of one, or of something below it.
    pub fn deployment(&self, rest: &str) -> String {
        let slash = if rest.is_empty() { "" } else { "/" };
        self.group("apps/v1", &format!("deployments{slash}{rest}"))
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, "", &Value::Null).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask(Method::POST, path, "application/json", body).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.ask(Method::PUT, path, "application/json", body).await
    }

    pub async fn delete(&self, path: &str, options: &Value) -> Answer {
        self.ask(Method::DELETE, path, "application/json", options).await
    }

    /// A JSON merge patch.
    pub async fn merge(&self, path: &str, body: &Value) -> Answer {
        self.ask(Method::PATCH, path, MERGE, body).await
    }

    /// A strategic merge patch.
    pub async fn strategic(&self, path: &str, body: &Value) -> Answer {
        self.ask(Method::PATCH, path, "application/strategic-merge-patch+json", body).await
    }

    /// A JSON patch.
    pub async fn json_patch(&self, path: &str, body: &Value) -> Answer {
        self.ask(Method::PATCH, path, "application/json-patch+json", body).await
    }

    /// A server-side apply; the options stand in the path.
    pub async fn apply(&self, path: &str, body: &Value) -> Answer {
        self.ask(Method::PATCH, path, "application/apply-patch+yaml", body).await
    }

    pub async fn ask(&self, method: Method, path: &str, content_type: &str, body: &Value) -> Answer {
        ask(&self.client, method, path, content_type, body).await
    }

    /// The items of a list.
    pub async fn items(&self, path: &str) -> Vec<Value> {
        self.get(path).await.good()["items"].as_array().cloned().expect("a list has items")
    }

    /// Waits until an object is such.
    pub async fn until(&self, path: &str, what: &str, is: impl Fn(&Value) -> bool) -> Value {
        until(what, async || {
            let answer = self.get(path).await;
            if answer.code == 200 && is(&answer.body) { Ok(answer.body) } else { Err(answer.body) }
        })
        .await
    }

    /// Waits until there is nothing at a path.
    pub async fn until_gone(&self, path: &str) {
        until("it is gone", async || {
            let answer = self.get(path).await;
            if answer.code == 404 { Ok(()) } else { Err(answer.body) }
        })
        .await;
    }
}

/// Sends one request with whichever client.
pub async fn ask(client: &Client, method: Method, path: &str, content_type: &str, body: &Value) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    let bytes = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
    if !bytes.is_empty() {
        request = request.header("content-type", content_type);
    }
    let request = request.body(Body::from(bytes)).expect("a request of good parts");
    let response = client.send(request).await.expect("the cluster answers");
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.expect("the answer comes whole").to_bytes();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Answer { code: parts.status.as_u16(), body }
}

/// The text at a pointer; empty where there is none.
pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The number at a pointer; 0 where there is none, as counts that are zero are left out.
pub fn count(value: &Value, pointer: &str) -> i64 {
    value.pointer(pointer).and_then(Value::as_i64).unwrap_or_default()
}

/// Status and reason of a condition.
pub fn condition<'a>(object: &'a Value, kind: &str) -> (&'a str, &'a str) {
    let all = object.pointer("/status/conditions").and_then(Value::as_array);
    let found = all.into_iter().flatten().find(|condition| text(condition, "/type") == kind);
    found.map_or(("", ""), |found| (text(found, "/status"), text(found, "/reason")))
}

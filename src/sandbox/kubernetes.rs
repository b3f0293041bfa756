//! A small Kubernetes: the API over real HTTP, controllers and nodes on a clock that tests step.
//!
//! A test starts it with one call, and holds everything in one handle:
//!
//! ```no_run
//! use smokejumper::sandbox::faults::Fault;
//! use smokejumper::sandbox::kubernetes::KubernetesSandbox;
//! use std::time::Duration;
//!
//! # async fn story() -> Result<(), Box<dyn std::error::Error>> {
//! let cluster = KubernetesSandbox::start(0).await?; // three nodes, the namespace `default`
//! cluster.load("{ apiVersion: apps/v1, kind: Deployment, metadata: { … } }")?; // YAML or JSON, several documents
//! cluster.step(Duration::from_secs(30)); // controllers and nodes work, time passes
//! let url = cluster.base_url(); // for a client; `kubeconfig()` is the same as a file's text
//! cluster.faults().next("patch deployments/scale", Fault::dropped().after_effect());
//! // … the code under test …
//! assert_eq!(cluster.writes().entries().len(), 1); // the judge: every write in full
//! let deployment = cluster.get("deployments", "default", "web");
//! # Ok(()) }
//! ```
//!
//! | what | how |
//! |---|---|
//! | time | stands still but for [`KubernetesSandbox::step`]; [`KubernetesSandbox::run`] lets it run, as the demo does |
//! | after a write | nothing moves until the next `step`; `step(Duration::ZERO)` lets controllers work without time |
//! | pods | ready after a second, unless the image ([`KubernetesSandbox::behave`]) or the annotation [`behaviour::BEHAVIOUR`] says otherwise |
//! | faults | by `VERB RESOURCE[/SUBRESOURCE]`, such as `create pods/eviction`, or `*`, and queued ones by `real VERB …` for writes that are no rehearsals; `Fault::rate_limited` is API priority and fairness, `Fault::vendor_error("Conflict")` a `Status` with that reason |
//! | logs, commands | [`KubernetesSandbox::print`], [`KubernetesSandbox::answer_exec`]; `sh -c` with `echo`, `sleep` and `exit` is obeyed as well |
//! | metrics | [`KubernetesSandbox::set_usage`] plays them, [`KubernetesSandbox::set_metrics`] takes them away |
//! | access | everybody may do everything until [`KubernetesSandbox::enforce_access`]; then by token ([`KubernetesSandbox::token_for`]), roles and bindings |
//! | record | [`KubernetesSandbox::writes`] in full, [`KubernetesSandbox::calls`] every request in short |
//!
//! It must never listen on anything but 127.0.0.1, and imports nothing of the house. The suite in `tests/conformance`
//! holds it to a real cluster; where they differ, the cluster is right.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

pub mod behaviour;
pub mod exec;
pub mod load;
pub mod metrics;
pub mod writes;

mod access;
mod body;
mod change;
mod cluster;
mod controllers;
mod cron;
mod defaults;
mod discovery;
mod events;
mod eviction;
mod fieldset;
mod handle;
mod json;
mod kubelet;
mod list;
mod logs;
mod managed;
mod patch;
mod play;
mod pod_status;
mod quantity;
mod request;
mod resource;
mod reviews;
mod scale;
mod script;
mod selector;
mod status;
mod store;
mod strategic;
mod validate;
mod verbs;
mod view;
mod watch;

#[cfg(test)]
mod tests;

use access::User;
use behaviour::Behaviour;
use cluster::Cluster;
use exec::ExecAnswer;
use load::LoadError;
use metrics::{MetricsApi, Usage};
use resource::{NAMESPACES, NODES, STORAGE_CLASSES};
use selector::Labels;
use store::World;
use writes::{Call, Write};

use super::faults::FaultPlan;
use super::record::Record;
use super::seed::random_hex;
use super::server::{Port, Server, StartError};

/// Chance of names and identities; any number, but always the same.
const SEED: u64 = 36;
/// The nodes of a new cluster.
const FIRST_NODES: [&str; 3] = ["node-1", "node-2", "node-3"];
/// How often a running clock moves.
const TICK: Duration = Duration::from_millis(20);

/// The simulated cluster. Dropping it stops the server and its clock.
#[derive(Debug)]
pub struct KubernetesSandbox {
    cluster: Arc<Cluster>,
    server: Server,
    token: String,
    running: Mutex<Option<DropGuard>>,
}

impl KubernetesSandbox {
    /// Starts on `port` (0 for a free one), with three nodes and the namespaces `default` and `kube-system`. The
    /// cluster's clock begins at the present time and stands still.
    ///
    /// # Errors
    /// [`StartError`] where the port is taken.
    pub async fn start(port: u16) -> Result<Self, StartError> {
        Self::start_at(port, Timestamp::now()).await
    }

    /// The same with a clock that begins at another time: what is loaded then and left to [`Self::step`] has a past.
    ///
    /// # Errors
    /// [`StartError`] where the port is taken.
    pub async fn start_at(port: u16, begins: Timestamp) -> Result<Self, StartError> {
        let port = Port::bind(port).await?;
        let mut world = World::new(begins, SEED);
        for name in ["default", "kube-system"] {
            change::insert(&mut world, &NAMESPACES, json!({ "metadata": { "name": name } }));
        }
        for name in FIRST_NODES {
            change::insert(&mut world, &NODES, new_node(name));
        }
        change::insert(&mut world, &STORAGE_CLASSES, storage_class());
        controllers::settle(&mut world);
        let token = random_hex(16);
        world.play.tokens.insert(token.clone(), User::admin());
        let cluster = Cluster::new(world);
        let router = Router::new().fallback(handle::handle).with_state(Arc::clone(&cluster));
        Ok(Self { server: port.serve(router), cluster, token, running: Mutex::default() })
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn base_url(&self) -> String {
        self.server.base_url()
    }

    /// The server, for outages.
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The text of a kubeconfig with one context, `sandbox`, for this cluster's administrator.
    #[must_use]
    pub fn kubeconfig(&self) -> String {
        self.kubeconfig_of(&self.token)
    }

    /// The same for somebody with another bearer token.
    #[must_use]
    pub fn kubeconfig_of(&self, token: &str) -> String {
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": "sandbox", "cluster": { "server": self.base_url() } }],
            "users": [{ "name": "sandbox", "user": { "token": token } }],
            "contexts": [{ "name": "sandbox", "context": { "cluster": "sandbox", "user": "sandbox", "namespace": "default" } }],
            "current-context": "sandbox",
        })
        .to_string()
    }

    /// Puts objects into the cluster as if they had always been there, status included: YAML with any number of
    /// documents, or JSON. Missing namespaces are made, defaults are filled in, nothing is refused or recorded.
    ///
    /// # Errors
    /// [`LoadError`] where the text cannot be read or names a kind that is not played.
    pub fn load(&self, text: &str) -> Result<(), LoadError> {
        let objects = load::read(text)?;
        self.cluster
            .with(|world| objects.into_iter().try_for_each(|object| load::put(world, object).map(drop)))
    }

    /// Puts one object into the cluster, as [`Self::load`] does, and returns it as it is stored.
    ///
    /// # Errors
    /// [`LoadError`] where the object has no name or is of a kind that is not played.
    pub fn put(&self, object: Value) -> Result<Value, LoadError> {
        self.cluster.with(|world| load::put(world, object)).map(|object| Value::clone(&object))
    }

    /// One object as it is stored, by the plural of its resource; no namespace is the empty text.
    #[must_use]
    pub fn get(&self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        let resource = resource::of_plural(plural)?;
        self.cluster.with(|world| world.find(resource, namespace, name)).map(|object| Value::clone(&object))
    }

    /// All objects of a resource in a namespace (everywhere with the empty text), in order of their names.
    #[must_use]
    pub fn list(&self, plural: &str, namespace: &str) -> Vec<Value> {
        let Some(resource) = resource::of_plural(plural) else { return Vec::new() };
        let all = self.cluster.with(|world| {
            if namespace.is_empty() { world.all(resource) } else { world.within(resource, namespace) }
        });
        all.iter().map(|object| Value::clone(object)).collect()
    }

    /// Takes an object out of the cluster at once, without grace or finalizers.
    pub fn remove(&self, plural: &str, namespace: &str, name: &str) {
        if let Some(resource) = resource::of_plural(plural) {
            self.cluster.with(|world| world.erase(resource, namespace, name));
        }
    }

    /// Lets the cluster's time pass; controllers and nodes do what is due on the way, until nothing moves any more.
    pub fn step(&self, by: Duration) {
        self.cluster.step(by);
    }

    /// Lets the cluster's clock run by itself, `speed` times as fast as the real one, until the handle is dropped.
    pub fn run(&self, speed: u32) {
        let stop = CancellationToken::new();
        let cluster = Arc::clone(&self.cluster);
        let stopped = stop.clone();
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(TICK);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            while stopped.run_until_cancelled(ticks.tick()).await.is_some() {
                cluster.step(TICK * speed);
            }
        });
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(stop.drop_guard());
    }

    /// The cluster's time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.cluster.with(|world| world.now)
    }

    /// How containers of this image behave from their next start on.
    pub fn behave(&self, image: &str, behaviour: Behaviour) {
        self.cluster.with(|world| world.play.images.insert(image.to_owned(), behaviour));
    }

    /// What this command answers in whichever container, by its exact words.
    pub fn answer_exec(&self, argv: &[&str], answer: ExecAnswer) {
        let argv = argv.iter().map(|word| (*word).to_owned()).collect();
        self.cluster.with(|world| world.play.answers.push((argv, answer)));
    }

    /// What a container has printed, line by line.
    pub fn print(&self, namespace: &str, pod: &str, container: &str, lines: &[&str]) {
        let key = (namespace.to_owned(), pod.to_owned(), container.to_owned());
        let lines = lines.iter().map(|line| (*line).to_owned()).collect();
        self.cluster.with(|world| world.play.logs.insert(key, lines));
    }

    /// Whether there is a metrics API from now on.
    pub fn set_metrics(&self, metrics: MetricsApi) {
        self.cluster.with(|world| world.play.metrics = metrics);
    }

    /// What each container uses of pods in a namespace with labels such as `app=web`: thousandths of a processor, and
    /// bytes. Nothing happens where the selector cannot be read.
    pub fn set_usage(&self, namespace: &str, labels: &str, cpu_millis: u64, memory_bytes: u64) {
        if let Ok(labels) = Labels::read(labels) {
            let usage = Usage { namespace: namespace.into(), labels, cpu_millis, memory_bytes };
            self.cluster.with(|world| {
                let is_other =
                    |known: &Usage| (&known.namespace, &known.labels) != (&usage.namespace, &usage.labels);
                world.play.usage.retain(is_other);
                world.play.usage.push(usage);
            });
        }
    }

    /// Whether roles and bindings are obeyed from now on. Until then everybody may do everything.
    pub fn enforce_access(&self, enforces: bool) {
        self.cluster.with(|world| world.play.enforces_access = enforces);
    }

    /// A bearer token for a service account, as its pods have one.
    #[must_use]
    pub fn token_for(&self, namespace: &str, service_account: &str) -> String {
        self.cluster.with(|world| reviews::new_token(world, namespace, service_account))
    }

    /// The bearer token of the administrator.
    #[must_use]
    pub fn admin_token(&self) -> &str {
        &self.token
    }

    /// The misbehaviour to come; the methods are `VERB RESOURCE[/SUBRESOURCE]`, such as `patch deployments`.
    #[must_use]
    pub fn faults(&self) -> &FaultPlan {
        &self.cluster.faults
    }

    /// Every request that changes something, or asks what would change. What the cluster really did stands here.
    #[must_use]
    pub fn writes(&self) -> &Record<Write> {
        &self.cluster.writes
    }

    /// Every request for a resource, in short.
    #[must_use]
    pub fn calls(&self) -> &Record<Call> {
        &self.cluster.calls
    }
}

/// Binds claims at once, and lets them grow.
fn storage_class() -> Value {
    json!({
        "metadata": {
            "name": "standard",
            "annotations": { "storageclass.kubernetes.io/is-default-class": "true" },
        },
        "provisioner": "sandbox.smokejumper.dev/volumes",
        "allowVolumeExpansion": true,
        "volumeBindingMode": "Immediate",
        "reclaimPolicy": "Delete",
    })
}

fn new_node(name: &str) -> Value {
    let condition = |kind: &str, status: &str, reason: &str| json!({ "type": kind, "status": status, "reason": reason, "message": "" });
    let amounts = json!({ "cpu": "4", "memory": "16Gi", "pods": "110", "ephemeral-storage": "100Gi" });
    json!({
        "metadata": { "name": name, "labels": { "kubernetes.io/hostname": name, "kubernetes.io/os": "linux" } },
        "spec": {},
        "status": {
            "capacity": amounts,
            "allocatable": amounts,
            "conditions": [
                condition("MemoryPressure", "False", "KubeletHasSufficientMemory"),
                condition("DiskPressure", "False", "KubeletHasNoDiskPressure"),
                condition("PIDPressure", "False", "KubeletHasSufficientPID"),
                condition("Ready", "True", "KubeletReady"),
            ],
            "addresses": [{ "type": "InternalIP", "address": "192.0.2.1" }, { "type": "Hostname", "address": name }],
            "nodeInfo": { "kubeletVersion": "v1.36.0", "operatingSystem": "linux", "architecture": "amd64" },
        },
    })
}

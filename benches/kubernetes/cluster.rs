//! The simulated cluster in a process of its own: ten workloads of fifty pods, two thousand events, and one pod that
//! has written a lot.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use smokejumper::sandbox::kubernetes::KubernetesSandbox;
use smokejumper::sandbox::kubernetes::behaviour::{LOG_BYTES, LOGS};

/// Where everything lies.
pub const NAMESPACE: &str = "shop";
/// The pod with the long log.
pub const TALKER: &str = "talker";

const WORKLOADS: usize = 10;
const REPLICAS: usize = 50;
const EVENTS: usize = 2_000;
const NODES: usize = 20;

/// Longest time for the cluster to be there.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// A running cluster; dropping it ends it.
pub struct Cluster {
    child: Child,
    folder: tempfile::TempDir,
}

impl Cluster {
    /// Starts one whose talker has written so many bytes.
    pub fn start(log_bytes: u64) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let program = std::env::current_exe().expect("this program has a path");
        let mut command = Command::new(program);
        command.arg("--cluster").arg(folder.path()).arg(log_bytes.to_string()).stdin(Stdio::piped());
        let cluster = Self { child: command.spawn().expect("the cluster starts"), folder };
        let began = Instant::now();
        while !cluster.kubeconfig().exists() {
            assert!(began.elapsed() < START_TIMEOUT, "the cluster does not come up");
            std::thread::sleep(Duration::from_millis(20));
        }
        cluster
    }

    /// How it is reached.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Plays the cluster until its parent is gone, whose end closes the standard input.
pub fn serve(folder: &Path, log_bytes: u64) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let cluster = KubernetesSandbox::start(0).await.expect("a cluster");
        fill(&cluster, log_bytes);
        // Appears at once and whole.
        let draft = folder.join("draft");
        std::fs::write(&draft, cluster.kubeconfig()).expect("written");
        std::fs::rename(&draft, folder.join("kubeconfig")).expect("renamed");
        let until_the_end = || {
            let _ = std::io::stdin().read(&mut [0]);
        };
        let _ = tokio::task::spawn_blocking(until_the_end).await;
    });
}

fn fill(cluster: &KubernetesSandbox, log_bytes: u64) {
    let put = |object: Value| cluster.put(object).expect("put");
    let mut node = cluster.get("nodes", "", "node-1").expect("a node");
    for number in 0..NODES {
        node["metadata"] = json!({"name": format!("worker-{number}"), "labels": node["metadata"]["labels"]});
        put(node.clone());
    }
    for number in 0..WORKLOADS {
        let name = format!("app-{number}");
        put(mk_deployment(&name));
        put(
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"namespace": NAMESPACE, "name": name},
            "spec": {"selector": {"app": name}, "ports": [{"port": 80}]}}),
        );
        put(json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": {"namespace": NAMESPACE, "name": name},
            "spec": {"minReplicas": REPLICAS, "maxReplicas": REPLICAS, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}}}));
    }
    let line =
        "2026-11-21T12:00:00Z INFO request handled method=GET path=/api/v1/items status=200 duration_ms=12";
    put(json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"namespace": NAMESPACE, "name": TALKER,
            "annotations": {LOGS: line, LOG_BYTES: log_bytes.to_string()}},
        "spec": {"containers": [{"name": "main", "image": "talker:1"}]}}));
    cluster.step(Duration::from_secs(60));
    let now = cluster.now().to_string();
    // The controllers have said some things already.
    let said = cluster.list("events", NAMESPACE).len();
    for number in said..EVENTS {
        let of = format!("app-{}", number % WORKLOADS);
        put(json!({"apiVersion": "v1", "kind": "Event",
            "metadata": {"namespace": NAMESPACE, "name": format!("{of}.{number:016x}")},
            "involvedObject": {"kind": "Pod", "namespace": NAMESPACE, "name": format!("{of}-{number}"), "apiVersion": "v1"},
            "type": if number % 3 == 0 { "Warning" } else { "Normal" }, "reason": "BackOff", "count": number % 9 + 1,
            "message": "Back-off restarting failed container main in pod, and what else the kubelet has to say about it",
            "source": {"component": "kubelet", "host": "worker-1"}, "firstTimestamp": now, "lastTimestamp": now}));
    }
    let pods = cluster.list("pods", NAMESPACE).len();
    assert_eq!(pods, WORKLOADS * REPLICAS + 1, "pods");
}

fn mk_deployment(name: &str) -> Value {
    let variables: Vec<Value> = (0..20)
        .map(|n| json!({"name": format!("SETTING_{n}"), "value": format!("a value of setting {n}")}))
        .collect();
    let probe =
        json!({"httpGet": {"path": "/health", "port": 8080}, "periodSeconds": 10, "timeoutSeconds": 1});
    let container = |name: &str| {
        json!({"name": name, "image": format!("registry.example.com/{name}:1.2.3"), "env": variables, "livenessProbe": probe,
            "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}},
            "volumeMounts": [{"name": "settings", "mountPath": "/etc/settings", "readOnly": true}]})
    };
    json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"namespace": NAMESPACE, "name": name},
        "spec": {"replicas": REPLICAS, "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name, "tier": "web", "team": "shop"}},
                "spec": {"containers": [container("main"), container("proxy")],
                    "volumes": [{"name": "settings", "configMap": {"name": name}}]}}}})
}

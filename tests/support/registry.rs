//! A real container registry for tests, on a free loopback port, with its images in a temporary folder.

use std::process::Command;

use serde_json::{Value, json};

use crate::servers::{Server, free_port, http_client, start};

/// Who may pull and push.
pub const USER: &str = "puller";
/// Their password.
pub const PASSWORD: &str = "only-for-tests";
/// The same as the registry keeps it: bcrypt of [`PASSWORD`].
const HTPASSWD: &str = "puller:$2y$05$1Scs2BG62Ng9nXFvbbVu6ehoRTEWRNc/gwf/rlCd9ccrq3s10yTUW\n";
/// Digest of an empty JSON object, which is the configuration of every image here.
const CONFIG_DIGEST: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

/// Starts one that wants a password.
pub async fn registry(folder: &std::path::Path) -> Server {
    let port = free_port();
    let htpasswd = folder.join("htpasswd");
    std::fs::write(&htpasswd, HTPASSWD).expect("the folder takes a file");
    let config = json!({
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": folder.join("images")}},
        "http": {"addr": format!("127.0.0.1:{port}")},
        "auth": {"htpasswd": {"realm": "tests", "path": htpasswd}},
        "health": {"storagedriver": {"enabled": false}},
    });
    let path = folder.join("registry.yml");
    // JSON is YAML, too.
    std::fs::write(&path, config.to_string()).expect("the folder takes a file");
    let mut command = Command::new("docker-registry");
    command.arg("serve").arg(path);
    start(command, "docker-registry", port, folder, "/").await
}

/// Puts an image without layers there; its digest.
pub async fn push(registry: &Server, repository: &str, tag: &str) -> String {
    let client = http_client();
    let url = format!("{}/v2/{repository}", registry.url());
    let begun = client.post(format!("{url}/blobs/uploads/")).basic_auth(USER, Some(PASSWORD)).send().await;
    let begun = begun.expect("an answer");
    let place = begun.headers()["location"].to_str().expect("an address").to_owned();
    let place = format!("{place}&digest={CONFIG_DIGEST}");
    let put = client.put(place).basic_auth(USER, Some(PASSWORD)).body("{}").send().await.expect("an answer");
    assert!(put.status().is_success(), "the blob: {}", put.status());
    let manifest: Value = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": CONFIG_DIGEST, "size": 2},
        "layers": [],
    });
    let put = client
        .put(format!("{url}/manifests/{tag}"))
        .basic_auth(USER, Some(PASSWORD))
        .header("content-type", "application/vnd.oci.image.manifest.v1+json")
        .body(manifest.to_string())
        .send()
        .await
        .expect("an answer");
    assert!(put.status().is_success(), "the manifest: {}", put.status());
    put.headers()["docker-content-digest"].to_str().expect("a digest").to_owned()
}

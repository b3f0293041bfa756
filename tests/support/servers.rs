//! Real servers for tests: the programs of Debian's packages and the built binary, on free loopback ports, each with
//! its own temporary folder, killed when the test ends. Never a system service.

// Each test file is a crate of its own and uses some of this.
#![allow(dead_code, reason = "shared by test crates that each use a part")]

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest time for a server to come up. Most take a second on an idle machine.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A running server; dropping it kills it.
pub struct Server {
    child: Child,
    /// Where it answers.
    pub port: u16,
    log: PathBuf,
    name: String,
}

impl Server {
    /// `http://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The process id, for signals.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, and wait until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, and wait until it is gone; its exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        let _ = Command::new("kill").arg(self.pid().to_string()).status();
        self.child.wait().ok().and_then(|status| status.code())
    }

    /// What it has written so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Whether it is still running.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!("--- the last lines of {}:", self.name);
            for line in tail.into_iter().rev() {
                eprintln!("{line}");
            }
        }
    }
}

/// A port that is free now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
    listener.local_addr().expect("it is bound").port()
}

/// Starts a program and waits until `ready_path` answers 200.
pub async fn start(mut command: Command, name: &str, port: u16, folder: &Path, ready_path: &str) -> Server {
    let log = folder.join(format!("{name}-{port}.log"));
    let out = File::options().create(true).append(true).open(&log).expect("a log file");
    let child = command
        .stdin(Stdio::null())
        .stdout(out.try_clone().expect("a second handle"))
        .stderr(out)
        .spawn()
        .unwrap_or_else(|error| {
            panic!("{name} cannot be started ({error}); `tests/run` installs what is missing")
        });
    let mut server = Server { child, port, log, name: name.to_owned() };
    let url = format!("{}{ready_path}", server.url());
    let began = Instant::now();
    loop {
        if get(&url).await.is_some_and(|status| status == 200) {
            return server;
        }
        assert!(server.is_running(), "{name} ended while starting:\n{}", server.log());
        assert!(began.elapsed() < START_TIMEOUT, "{name} does not answer at {url}:\n{}", server.log());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn get(url: &str) -> Option<u16> {
    let client = http_client();
    client.get(url).send().await.ok().map(|answer| answer.status().as_u16())
}

/// A client for loopback.
pub fn http_client() -> reqwest::Client {
    smokejumper::clients::http::install_crypto_provider();
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().expect("a client")
}

/// The program of a package, or a failure that names the package.
fn program(name: &str, package: &str) -> Command {
    let found = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .chain(["/usr/bin".into(), "/usr/sbin".into()])
        .any(|folder: PathBuf| folder.join(name).is_file());
    assert!(found, "`{name}` is missing: `apt-get install {package}`, or run `tests/run`, which does it");
    Command::new(name)
}

/// Prometheus with this configuration.
pub async fn prometheus(folder: &Path, config: &str) -> Server {
    prometheus_with(folder, config, &[]).await
}

/// The same with further options.
pub async fn prometheus_with(folder: &Path, config: &str, options: &[&str]) -> Server {
    let port = free_port();
    let file = folder.join("prometheus.yml");
    std::fs::write(&file, config).expect("the folder takes a file");
    let mut command = program("prometheus", "prometheus");
    command
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("tsdb").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .args(options);
    start(command, "prometheus", port, folder, "/-/ready").await
}

/// Alertmanager with this configuration.
pub async fn alertmanager(folder: &Path, config: &str) -> Server {
    alertmanager_at(free_port(), folder, config).await
}

/// The same on this port.
pub async fn alertmanager_at(port: u16, folder: &Path, config: &str) -> Server {
    let file = folder.join("alertmanager.yml");
    std::fs::write(&file, config).expect("the folder takes a file");
    let mut command = program("prometheus-alertmanager", "prometheus-alertmanager");
    command
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--storage.path={}", folder.join("alertmanager").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg("--cluster.listen-address=");
    start(command, "alertmanager", port, folder, "/-/ready").await
}

/// The built binary as a service. `settings` must listen on `port`.
pub async fn smokejumper(folder: &Path, settings: &str, port: u16, environment: &[(&str, &str)]) -> Server {
    let file = folder.join("smokejumper.yaml");
    std::fs::write(&file, settings).expect("the folder takes a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_smokejumper"));
    command.arg("serve").arg("--config").arg(&file).current_dir(folder);
    for (name, value) in environment {
        command.env(name, value);
    }
    start(command, "smokejumper", port, folder, "/ready").await
}

/// Waits until `probe` gives something, or fails with `what`.
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    within: Duration,
    mut probe: impl FnMut() -> F,
) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = probe().await {
            return found;
        }
        assert!(began.elapsed() < within, "not within {within:?}: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

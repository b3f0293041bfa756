//! A real RabbitMQ for tests, with its management API: one node, on free loopback ports and in a temporary folder.
//!
//! Erlang starts helpers of its own, and one of them, the port mapper, would go on as a daemon. So it is started here as well,
//! and all of it is the child of a small shell that holds a pipe to the test process: when the process ends, however
//! it ends, the pipe closes, and the shell ends them and removes their files.

// Each test file is a crate of its own and uses some of this.
#![allow(dead_code, reason = "shared by test crates that each use a part")]
#![allow(clippy::disallowed_methods, reason = "it starts a server and waits for it")]

use std::net::{Ipv4Addr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The user that may look, and its password.
pub const USER: &str = "guest";
/// Its password.
pub const PASSWORD: &str = "guest";

/// Longest time for a broker to come up. It takes ten seconds on an idle machine.
const START_TIMEOUT: Duration = Duration::from_secs(180);

const KEEPER: &str = r#"
cd "$1"
epmd -address 127.0.0.1 -port "$ERL_EPMD_PORT" &
mapper=$!
/usr/lib/rabbitmq/bin/rabbitmq-server >>server.log 2>&1 &
server=$!
cat >/dev/null
kill -9 "$(cat pid)" "$server" "$mapper" 2>/dev/null
cd /
# The helpers of a node end with it.
sleep 1
rm -rf "$1"
"#;

/// One broker.
pub struct RabbitMq {
    folder: std::path::PathBuf,
    keeper: Option<Child>,
    /// Where its management API answers.
    pub port: u16,
}

fn free_ports<const N: usize>() -> [u16; N] {
    let held: [TcpListener; N] =
        std::array::from_fn(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free"));
    held.map(|listener| listener.local_addr().expect("it is bound").port())
}

impl RabbitMq {
    /// The broker that the tests of one process share. Each test makes itself a virtual host.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<RabbitMq> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    fn start() -> Self {
        let server = std::path::Path::new("/usr/lib/rabbitmq/bin/rabbitmq-server");
        assert!(server.is_file(), "`apt-get install rabbitmq-server`, or run `tests/run`, which does it");
        let [api, amqp, distribution, mapper] = free_ports();
        let folder =
            tempfile::Builder::new().prefix("smokejumper-rabbitmq-").tempdir().expect("a folder").keep();
        let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).expect("written");
        write("plugins", "[rabbitmq_management].\n");
        write(
            "rabbitmq.conf",
            &format!(
                "management.tcp.ip = 127.0.0.1\nmanagement.tcp.port = {api}\ncollect_statistics_interval = 500\n"
            ),
        );
        let at = |name: &str| folder.join(name);
        let keeper = Command::new("/bin/sh")
            .args(["-c", KEEPER, "keeper"])
            .arg(&folder)
            .env("HOME", &folder)
            .env("RABBITMQ_NODENAME", format!("smokejumper-{api}@localhost"))
            .env("RABBITMQ_MNESIA_BASE", at("mnesia"))
            .env("RABBITMQ_LOG_BASE", at("log"))
            .env("RABBITMQ_LOGS", at("rabbit.log"))
            .env("RABBITMQ_ENABLED_PLUGINS_FILE", at("plugins"))
            .env("RABBITMQ_CONFIG_FILE", at("rabbitmq.conf"))
            .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
            .env("RABBITMQ_PID_FILE", at("pid"))
            .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
            .env("RABBITMQ_NODE_PORT", amqp.to_string())
            .env("RABBITMQ_DIST_PORT", distribution.to_string())
            .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}")
            .env("ERL_EPMD_ADDRESS", "127.0.0.1")
            .env("ERL_EPMD_PORT", mapper.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell runs");
        let broker = Self { folder, keeper: Some(keeper), port: api };
        let began = Instant::now();
        while !broker.is_ready() {
            assert!(began.elapsed() < START_TIMEOUT, "RabbitMQ did not start:\n{}", broker.log());
            std::thread::sleep(Duration::from_millis(200));
        }
        broker
    }

    /// Whether its management API listens.
    fn is_ready(&self) -> bool {
        std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok()
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("server.log")).unwrap_or_default()
    }
}

impl Drop for RabbitMq {
    fn drop(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            drop(keeper.stdin.take());
            let _ = keeper.wait();
        }
    }
}

//! A real Redis for tests, on a free loopback port and in a temporary folder, killed when the test ends.

// Each test file is a crate of its own and uses some of this.
#![allow(dead_code, reason = "shared by test crates that each use a part")]
#![allow(clippy::disallowed_methods, reason = "it starts a server and waits for it")]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest time for a server to come up. It takes a tenth of a second on an idle machine.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// One server.
pub struct Redis {
    child: Child,
    folder: tempfile::TempDir,
    /// Where it answers.
    pub port: u16,
}

impl Redis {
    /// Starts one with these lines of configuration.
    pub fn start(lines: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
        let port = listener.local_addr().expect("it is bound").port();
        drop(listener);
        let plain = if lines.contains("tls-port") { 0 } else { port };
        Self::start_at(port, &format!("port {plain}\n{}", lines.replace("{port}", &port.to_string())))
    }

    fn start_at(port: u16, lines: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("redis.conf");
        let dir = folder.path().display();
        let text = format!("bind 127.0.0.1\ndir {dir}\nsave \"\"\nenable-debug-command yes\n{lines}\n");
        std::fs::write(&config, text).expect("the folder takes a file");
        let child = spawn(folder.path());
        let mut redis = Self { child, folder, port };
        redis.wait();
        redis
    }

    /// Starts it again after it was killed, at the same address.
    pub fn run(&mut self) {
        self.child = spawn(self.folder.path());
        self.wait();
    }

    fn wait(&mut self) {
        let began = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            assert!(matches!(self.child.try_wait(), Ok(None)), "Redis ended:\n{}", self.log());
            assert!(began.elapsed() < START_TIMEOUT, "Redis did not start:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Where it keeps its files.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// What it has written so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Commands as a person types them, one a line; what came back to the last of them.
    pub fn type_in(&self, commands: &str) -> String {
        let mut line = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).expect("a connection");
        line.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        let mut answer = String::new();
        for command in commands.lines() {
            writeln!(line, "{command}\r").expect("it takes a command");
            answer = one_answer(&mut line);
        }
        answer
    }

    /// A connection that does nothing but take a place.
    pub fn idle_client(&self) -> TcpStream {
        let mut line = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).expect("a connection");
        writeln!(line, "PING\r").expect("it takes a command");
        one_answer(&mut line);
        line
    }

    /// The process stands still, and its sockets stay open.
    pub fn freeze(&self) {
        let done = Command::new("kill").args(["-STOP", &self.child.id().to_string()]).status();
        assert!(done.is_ok_and(|status| status.success()), "it was not stopped");
    }

    /// As a power cut would.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(folder: &Path) -> Child {
    let log = File::options().create(true).append(true).open(folder.join("log")).expect("a log file");
    Command::new("redis-server")
        .arg(folder.join("redis.conf"))
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(Stdio::null())
        .spawn()
        .expect(
            "`redis-server` is missing: `apt-get install redis-server`, or run `tests/run`, which does it",
        )
}

/// A simple answer, a number, or a text with its length.
fn one_answer(line: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n") && line.read(&mut byte).is_ok_and(|count| count == 1) {
        bytes.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&bytes).trim().to_owned();
    let Some(length) = text.strip_prefix('$').and_then(|length| length.parse::<usize>().ok()) else {
        return text;
    };
    let mut body = vec![0; length + 2];
    line.read_exact(&mut body).expect("the rest of the answer");
    String::from_utf8_lossy(&body[..length]).into_owned()
}

//! A server under test: a child process on a loopback port.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest time to come up.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// A running server; dropping it kills it.
pub struct Server {
    child: Child,
    /// Where it answers.
    pub address: SocketAddr,
    /// From the start of the process until it took a request.
    pub ready_after: Duration,
}

impl Server {
    /// Starts `command` and waits until `GET path` is answered with 200 at `port`.
    pub fn start(mut command: Command, port: u16, path: &str) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let began = Instant::now();
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("the server starts");
        let mut server = Self { child, address, ready_after: Duration::ZERO };
        while !answers(address, path) {
            assert!(began.elapsed() < START_TIMEOUT, "no answer at {address}{path}");
            assert!(
                matches!(server.child.try_wait(), Ok(None)),
                "the server at {address} ended while starting"
            );
            std::thread::sleep(Duration::from_millis(1));
        }
        server.ready_after = began.elapsed();
        server
    }

    /// A baseline of this program.
    pub fn baseline(name: &str, folder: &Path, more: &[String]) -> Self {
        let port = free_port();
        let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
        command.args(["--serve", name, &port.to_string()]).arg(folder).args(more);
        Self::start(command, port, "/")
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, and wait until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that is free now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback port is free");
    listener.local_addr().expect("it is bound").port()
}

fn answers(address: SocketAddr, path: &str) -> bool {
    use std::io::{Read, Write};
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    let mut answer = String::new();
    stream.write_all(request.as_bytes()).is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.starts_with("HTTP/1.1 200")
}

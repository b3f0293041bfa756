//! A real PostgreSQL for tests: a server of its own, in a temporary directory, on a free loopback port, with fsync on.
//!
//! The server is the child of a small shell that holds a pipe to the test process: when the process ends, however it
//! ends, the pipe closes and the shell stops the server and removes its files.
#![allow(
    clippy::disallowed_methods,
    reason = "it starts a server and waits for it, before any test's clock runs"
)]
// Each test file is a crate of its own and uses some of this.
#![allow(dead_code, reason = "shared by test crates that each use a part")]

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The server's superuser.
pub const USER: &str = "smokejumper";
/// Its password; nothing but this process and its server knows the port.
pub const PASSWORD: &str = "only-for-tests";
/// Longest time for a server to come up. It takes a second on an idle machine.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Runs the server until its standard input closes.
const KEEPER: &str = r#"
"$1/postgres" -D "$2" >>"$2/server.log" 2>&1 &
server=$!
cat >/dev/null
# Its files are thrown away, so it need not end well.
kill -QUIT "$server" 2>/dev/null
wait "$server"
rm -rf "$2"
"#;

/// One server.
pub struct Postgres {
    programs: PathBuf,
    data: PathBuf,
    port: u16,
    environment: Vec<(&'static str, String)>,
    keeper: Option<Child>,
}

impl Postgres {
    /// The server that the tests of one process share. Each test makes itself a database.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Makes and starts a server of one's own.
    pub fn start() -> Self {
        Self::start_with(|_| String::new())
    }

    /// The same with more lines of configuration, which may name files that are put into its folder for it.
    pub fn start_with(prepare: impl FnOnce(&Path) -> String) -> Self {
        Self::start_in(Vec::new(), prepare)
    }

    /// The same with variables of the server's environment, such as those of a clock of its own.
    pub fn start_in(environment: Vec<(&'static str, String)>, prepare: impl FnOnce(&Path) -> String) -> Self {
        let programs = programs();
        let data = tempfile::Builder::new()
            .prefix("smokejumper-postgres-")
            .tempdir()
            .expect("a temporary directory can be made")
            .keep();
        if let Some((user, group)) = server_user() {
            chown(&data, Some(user), Some(group)).expect("the directory can be given to the server's user");
        }
        let port = free_port();
        let mut server = Self { programs, data, port, environment, keeper: None };
        server.initialise();
        let lines = prepare(&server.data);
        server.configure(&lines);
        server.give_away();
        server.run();
        server
    }

    /// Its files belong to its user, and nobody else reads its keys.
    fn give_away(&self) {
        let Some((user, group)) = server_user() else { return };
        for file in std::fs::read_dir(&self.data).expect("its folder").flatten() {
            chown(file.path(), Some(user), Some(group)).expect("the file can be given away");
        }
    }

    fn initialise(&self) {
        let mut password = tempfile::NamedTempFile::new().expect("a temporary file can be made");
        writeln!(password, "{PASSWORD}").expect("the file takes a line");
        if let Some((user, group)) = server_user() {
            chown(password.path(), Some(user), Some(group)).expect("the file can be given away");
        }
        let made = as_server_user(&self.programs.join("initdb"))
            .args(["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "-U", USER, "--pwfile"])
            .arg(password.path())
            .arg("-D")
            .arg(&self.data)
            .output()
            .expect("initdb runs");
        assert!(made.status.success(), "initdb failed: {}", String::from_utf8_lossy(&made.stderr));
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nport = {}\nunix_socket_directories = ''\nfsync = on\nmax_connections = 100\n",
            self.port
        );
        self.configure(&settings);
    }

    fn configure(&self, lines: &str) {
        let mut file = std::fs::File::options()
            .append(true)
            .open(self.data.join("postgresql.conf"))
            .expect("the configuration can be extended");
        file.write_all(lines.as_bytes()).expect("the configuration takes lines");
    }

    /// Starts the server, also after it was stopped.
    pub fn run(&mut self) {
        let keeper = as_server_user(Path::new("/bin/sh"))
            .args(["-c", KEEPER, "keeper"])
            .arg(&self.programs)
            .arg(&self.data)
            .envs(self.environment.iter().map(|(name, value)| (*name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell runs");
        self.keeper = Some(keeper);
        self.wait_until_ready();
    }

    fn wait_until_ready(&self) {
        let began = Instant::now();
        loop {
            let answer = Command::new(self.programs.join("pg_isready"))
                .args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
                .status()
                .expect("pg_isready runs");
            if answer.success() {
                return;
            }
            assert!(began.elapsed() < START_TIMEOUT, "PostgreSQL did not start:\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops the server as a power cut would: no checkpoint, no farewell to its clients.
    pub fn stop_immediately(&mut self) {
        let mut keeper = self.keeper.take().expect("the server runs");
        let stopped = as_server_user(&self.programs.join("pg_ctl"))
            .args(["stop", "-m", "immediate", "-D"])
            .arg(&self.data)
            .stdout(Stdio::null())
            .status()
            .expect("pg_ctl runs");
        assert!(stopped.success(), "PostgreSQL did not stop:\n{}", self.log());
        // The keeper would remove the files: it must not outlive its server here.
        keeper.kill().expect("the keeper can be killed");
        keeper.wait().expect("the keeper ends");
    }

    /// Makes an empty database; returns its URL.
    pub fn database(&self) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.psql("postgres", &format!("CREATE DATABASE {name}"));
        self.url(&name)
    }

    /// The URL of a database.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{USER}:{PASSWORD}@127.0.0.1:{}/{database}", self.port)
    }

    /// The same without user and password, as settings have it.
    pub fn address(&self, database: &str) -> String {
        format!("postgres://127.0.0.1:{}/{database}", self.port)
    }

    /// A process that keeps a session open in a database, as this user, after it has run some SQL.
    pub fn session(&self, user: &str, database: &str, application: &str, sql: &str) -> Child {
        let url = format!("postgres://{user}:{PASSWORD}@127.0.0.1:{}/{database}", self.port);
        let child = Command::new(self.programs.join("psql"))
            .args(["-v", "ON_ERROR_STOP=1", "-qAt", &url])
            .env("PGAPPNAME", application)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("psql runs");
        let mut input = child.stdin.as_ref().expect("it was piped");
        writeln!(input, "{sql}").expect("psql takes a line");
        child
    }

    /// Whether this user gets into a database now.
    pub fn lets_in(&self, user: &str, database: &str) -> bool {
        let url = format!("postgres://{user}:{PASSWORD}@127.0.0.1:{}/{database}", self.port);
        let done = Command::new(self.programs.join("psql"))
            .args(["-qAtc", "SELECT 1", &url])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        done.expect("psql runs").success()
    }

    /// Runs SQL in a database; returns what it printed, columns separated by `|`.
    pub fn psql(&self, database: &str, sql: &str) -> String {
        let done = Command::new(self.programs.join("psql"))
            .args(["-v", "ON_ERROR_STOP=1", "-qAtc", sql, &self.url(database)])
            .output()
            .expect("psql runs");
        assert!(done.status.success(), "psql failed: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.data.join("server.log")).unwrap_or_default()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some(mut keeper) = self.keeper.take() {
            drop(keeper.stdin.take());
            let _ = keeper.wait();
        }
        let _ = std::fs::remove_dir_all(&self.data);
    }
}

/// The newest installed server's programs.
fn programs() -> PathBuf {
    let mut found: Vec<(u32, PathBuf)> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            let programs = entry.path().join("bin");
            programs.join("initdb").exists().then_some((version, programs))
        })
        .collect();
    found.sort();
    let newest = found.pop();
    newest.expect("these tests need a PostgreSQL server: apt-get install postgresql").1
}

/// PostgreSQL refuses to run as root: its package's user is taken then.
fn server_user() -> Option<(u32, u32)> {
    let me = std::fs::metadata("/proc/self").expect("Linux has /proc").uid();
    if me != 0 {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").expect("Linux has /etc/passwd");
    let line = users.lines().find(|line| line.starts_with("postgres:"));
    let mut fields = line.expect("the package of PostgreSQL makes a user `postgres`").split(':').skip(2);
    let mut number = || fields.next().and_then(|field| field.parse().ok()).expect("a user has two numbers");
    Some((number(), number()))
}

fn as_server_user(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir("/");
    if let Some((user, group)) = server_user() {
        command.uid(user).gid(group);
    }
    command
}

fn free_port() -> u16 {
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has a free port");
    socket.local_addr().expect("a bound socket has an address").port()
}

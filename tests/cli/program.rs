//! Runs the built program in an environment of its own.

use std::io::Write;
use std::process::{Command, Stdio};

/// Bad usage or configuration, as scripts know it.
pub const EXIT_USAGE: i32 = 64;

/// A run that is being prepared.
pub struct Program {
    command: Command,
    input: Vec<u8>,
}

/// What a run came to.
#[derive(Debug)]
pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// The program with these arguments. Nothing of the caller's environment reaches it.
pub fn smokejumper<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Program {
    let mut command = Command::new(env!("CARGO_BIN_EXE_smokejumper"));
    command.args(arguments).env_clear().env("COLUMNS", "100").env("TZ", "UTC");
    Program { command, input: Vec::new() }
}

impl Program {
    /// Sets a variable of its environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it in this folder.
    pub fn in_folder(mut self, folder: &std::path::Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Gives it something to read on stdin.
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = bytes.into();
        self
    }

    /// Runs it to its end.
    pub fn run(mut self) -> Outcome {
        let mut child = self
            .command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        // It may end without having read; a closed pipe is its business then.
        let _ = child.stdin.take().expect("a pipe").write_all(&self.input);
        let output = child.wait_with_output().expect("the program ends");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program prints UTF-8");
        Outcome {
            code: output.status.code().expect("the program ends by itself"),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }
}

impl Outcome {
    /// What a good run printed.
    pub fn good(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (0, ""), "stdout: {}", self.stdout);
        self.stdout
    }

    /// The JSON that a good run printed.
    pub fn json(self) -> serde_json::Value {
        serde_json::from_str(&self.good()).expect("JSON on stdout")
    }

    /// What a run with this exit code said on stderr; it printed nothing else.
    pub fn refused(self, code: i32) -> String {
        assert_eq!((self.code, self.stdout.as_str()), (code, ""), "stderr: {}", self.stderr);
        self.stderr
    }
}

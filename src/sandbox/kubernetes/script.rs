//! Just enough of a shell for containers of tests: `echo`, `sleep`, `exit`, `true`, `false`, joined by `;` or `&&`.
//!
//! So a test can say what a container does in words that a real one obeys as well.

use std::time::Duration;

use serde_json::Value;

use super::json::items;

/// What a script does.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Script {
    /// What it prints.
    pub lines: Vec<String>,
    /// How long it runs.
    pub lasts: Duration,
    /// Its exit code; `None` for one that runs for ever.
    pub exit: Option<i32>,
}

/// Sleeping at least this long is running for ever.
const FOREVER_SECONDS: f64 = 600.0;

/// The script of a container whose command is a shell with one.
pub(super) fn of(container: &Value) -> Option<Script> {
    let words = items(container, "/command").iter().chain(items(container, "/args"));
    let words: Vec<&str> = words.filter_map(Value::as_str).collect();
    run_of(&words)
}

/// What a command does, where it is one that this shell knows.
pub(super) fn run_of(words: &[&str]) -> Option<Script> {
    match words {
        ["sh" | "/bin/sh", "-c", script] => Some(run(script)),
        ["echo" | "true" | "false" | "/bin/echo" | "/bin/true" | "/bin/false", ..] => {
            let mut done = Script::default();
            let exit = step(words, &mut done);
            Some(Script { exit: Some(exit.unwrap_or_default()), ..done })
        }
        _ => None,
    }
}

fn run(script: &str) -> Script {
    let mut done = Script::default();
    let mut code = 0;
    for line in script.split([';', '\n']) {
        for (index, one) in line.split("&&").enumerate() {
            if index > 0 && code != 0 {
                break;
            }
            let words: Vec<String> = words(one);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            if words.first() == Some(&"exit") {
                let code = words.get(1).and_then(|code| code.parse().ok()).unwrap_or(code);
                return Script { exit: Some(code), ..done };
            }
            match step(&words, &mut done) {
                Some(ended) => code = ended,
                None => return Script { exit: None, ..done },
            }
        }
    }
    Script { exit: Some(code), ..done }
}

/// One command; its exit code, or nothing where it never ends.
fn step(words: &[&str], done: &mut Script) -> Option<i32> {
    match words {
        [] | ["true" | "/bin/true" | ":" | "trap", ..] => Some(0),
        ["false" | "/bin/false", ..] => Some(1),
        ["echo" | "/bin/echo", said @ ..] => {
            done.lines.push(said.join(" "));
            Some(0)
        }
        ["sleep", "infinity"] => None,
        ["sleep", time] => {
            let seconds: f64 = time.trim_end_matches('s').parse().unwrap_or_default();
            if seconds >= FOREVER_SECONDS {
                return None;
            }
            done.lasts += Duration::from_secs_f64(seconds.max(0.0));
            Some(0)
        }
        // As a shell says for a program that it does not find.
        _ => Some(127),
    }
}

/// Splits at white space outside of quotes.
fn words(command: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in command.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => found.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    found.extend(word);
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_script_prints_waits_and_ends_as_a_shell_would() {
        let script = of(&json!({ "command": ["sh", "-c", "echo 'one two'; sleep 2 && echo three; exit 3"] }));
        let expected = Script {
            lines: vec!["one two".into(), "three".into()],
            lasts: Duration::from_secs(2),
            exit: Some(3),
        };
        assert_eq!(script, Some(expected));
        assert_eq!(run("echo up; sleep infinity").exit, None);
        assert_eq!(run("false && echo never").lines, Vec::<String>::new());
        assert_eq!(run("no-such-program").exit, Some(127));
        assert_eq!(of(&json!({ "image": "a" })), None);
    }
}

//! How a container behaves: what a scenario, an annotation, an image or a small shell script says of it.

use std::time::Duration;

use serde_json::Value;

use super::json::{annotation, items, text};
use super::quantity::amount as quantity;
use super::script::{self, Script};

/// The annotation of a pod (or of a pod template) that says how its containers behave, such as
/// `crash-loop after=5s exit=2`, `oom-kill after=10s needs=300Mi`, `never-ready`, `image-pull-back-off`, `ready after=20s` or
/// `exit code=0 after=3s`.
pub const BEHAVIOUR: &str = "sandbox.smokejumper.dev/behaviour";
/// The annotation with what its containers print when they start.
pub const LOGS: &str = "sandbox.smokejumper.dev/logs";
/// The annotation with the number of bytes to which that text is repeated, made as it is read.
pub const LOG_BYTES: &str = "sandbox.smokejumper.dev/log-bytes";

/// How long a container takes to be ready unless told otherwise.
const READY_AFTER: Duration = Duration::from_secs(1);
/// How long a container that crashes lives unless told otherwise: too short to be ready.
const CRASH_AFTER: Duration = Duration::from_secs(1);

/// How a container behaves.
#[derive(Clone, Debug, PartialEq)]
pub struct Behaviour {
    /// From its start until its readiness.
    pub ready_after: Duration,
    /// What becomes of it.
    pub fate: Fate,
    /// What it prints when it starts, line by line.
    pub logs: Vec<String>,
    /// Bytes to which those lines are repeated; 0 for once.
    pub log_bytes: u64,
    /// Memory that it needs: with a limit of so many bytes or more it is not killed; 0 where no limit helps.
    pub needs_bytes: f64,
}

/// What becomes of a container.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fate {
    /// It runs until somebody stops it.
    Runs,
    /// It runs, but is never ready.
    NeverReady,
    /// It ends by itself; under `restartPolicy: Always` it comes again, and crashes again.
    Exits {
        /// How long it lives.
        after: Duration,
        /// Its exit code.
        code: i32,
    },
    /// The kernel kills it for its memory.
    OomKilled {
        /// How long it lives.
        after: Duration,
    },
    /// Its image cannot be pulled.
    ImagePullBackOff,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self { ready_after: READY_AFTER, fate: Fate::Runs, logs: Vec::new(), log_bytes: 0, needs_bytes: 0.0 }
    }
}

impl Behaviour {
    /// A container with this fate.
    #[must_use]
    pub fn of(fate: Fate) -> Self {
        Self { fate, ..Self::default() }
    }

    /// A container that crashes again and again with exit code 1.
    #[must_use]
    pub fn crash_loop() -> Self {
        Self::of(Fate::Exits { after: CRASH_AFTER, code: 1 })
    }

    /// A container that is killed for its memory again and again, unless its limit is at least so many bytes.
    #[must_use]
    pub fn out_of_memory(after: Duration, needs_bytes: f64) -> Self {
        Self { needs_bytes, ..Self::of(Fate::OomKilled { after }) }
    }

    /// The same, printing these lines at each start.
    #[must_use]
    pub fn saying(mut self, lines: &[&str]) -> Self {
        self.logs = lines.iter().map(|line| (*line).to_owned()).collect();
        self
    }

    /// Reads the text of the annotation [`BEHAVIOUR`].
    ///
    /// # Errors
    /// The word that it does not know.
    pub fn read(words: &str) -> Result<Self, String> {
        let mut words = words.split_whitespace();
        let kind = words.next().unwrap_or_default();
        let mut after = None;
        let mut code = None;
        let mut needs = 0.0;
        for word in words {
            let (key, value) = word.split_once('=').ok_or_else(|| word.to_owned())?;
            match key {
                "after" => after = Some(seconds(value).ok_or_else(|| word.to_owned())?),
                "needs" => needs = quantity(&value.into()).ok_or_else(|| word.to_owned())?,
                "exit" | "code" => code = Some(value.parse().map_err(|_| word.to_owned())?),
                _ => return Err(word.to_owned()),
            }
        }
        let lives = after.unwrap_or(CRASH_AFTER);
        Ok(match kind {
            "ready" => Self { ready_after: after.unwrap_or(READY_AFTER), ..Self::default() },
            "crash-loop" => Self::of(Fate::Exits { after: lives, code: code.unwrap_or(1) }),
            "exit" => Self::of(Fate::Exits { after: lives, code: code.unwrap_or(0) }),
            "oom-kill" => Self::out_of_memory(lives, needs),
            "never-ready" => Self::of(Fate::NeverReady),
            "image-pull-back-off" => Self::of(Fate::ImagePullBackOff),
            other => return Err(other.to_owned()),
        })
    }

    /// How a container of a pod behaves by what the pod itself says; `None` where nothing is said.
    pub(super) fn of_container(pod: &Value, container: &Value) -> Option<Self> {
        let named = format!("{BEHAVIOUR}.{}", text(container, "/name"));
        let said = annotation(pod, &named).or_else(|| annotation(pod, BEHAVIOUR));
        let mut found = said.and_then(|words| Self::read(words).ok());
        if found.is_none() && is_unreachable(text(container, "/image")) {
            found = Some(Self::of(Fate::ImagePullBackOff));
        }
        let probe = items(container, "/readinessProbe/exec/command").first().and_then(Value::as_str);
        if found.is_none() && matches!(probe, Some("false" | "/bin/false")) {
            found = Some(Self::of(Fate::NeverReady));
        }
        let mut found = found.or_else(|| script::of(container).map(Self::of_script));
        if let Some(lines) = annotation(pod, LOGS) {
            let behaviour = found.get_or_insert_default();
            behaviour.logs = lines.lines().map(str::to_owned).collect();
        }
        if let Some(bytes) = annotation(pod, LOG_BYTES).and_then(|bytes| bytes.parse().ok()) {
            found.get_or_insert_default().log_bytes = bytes;
        }
        found
    }

    /// The same in a container whose limit of memory may be enough.
    pub(super) fn within_limits(mut self, container: &Value) -> Self {
        let limit = container.pointer("/resources/limits/memory").and_then(quantity);
        let is_enough = self.needs_bytes > 0.0 && limit.is_none_or(|limit| limit >= self.needs_bytes);
        if is_enough && matches!(self.fate, Fate::OomKilled { .. }) {
            self.fate = Fate::Runs;
        }
        self
    }

    fn of_script(script: Script) -> Self {
        let fate = script.exit.map_or(Fate::Runs, |code| Fate::Exits { after: script.lasts, code });
        Self { fate, logs: script.lines, ..Self::default() }
    }
}

/// Whether an image lies at a host that no resolver ever finds.
fn is_unreachable(image: &str) -> bool {
    let host = image.split(['/', ':']).next().unwrap_or_default();
    host == "invalid" || host.ends_with(".invalid")
}

/// A length of time such as `90s`, `2m` or `1500ms`.
fn seconds(words: &str) -> Option<Duration> {
    let (digits, unit) = words.split_at(words.find(|c: char| !c.is_ascii_digit()).unwrap_or(words.len()));
    let number: u64 = digits.parse().ok()?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "" | "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(number * 60)),
        "h" => Some(Duration::from_secs(number * 3600)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_annotation_says_how_a_container_behaves() {
        let read = |words| Behaviour::read(words).expect(words).fate;
        let after = Duration::from_secs(5);
        assert_eq!(read("crash-loop after=5s exit=2"), Fate::Exits { after, code: 2 });
        assert_eq!(read("oom-kill after=5s"), Fate::OomKilled { after });
        assert_eq!(read("never-ready"), Fate::NeverReady);
        assert_eq!(Behaviour::read("ready after=5s").expect("readable").ready_after, after);
        assert_eq!(read("oom-kill after=5s needs=300Mi"), Fate::OomKilled { after });
        for bad in ["", "sleepy", "oom-kill needs=much", "ready after=soon", "crash-loop loudly"] {
            assert!(Behaviour::read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_container_is_killed_for_its_memory_until_its_limit_is_enough() {
        let behaviour = Behaviour::read("oom-kill needs=300Mi").expect("readable");
        for (limits, killed) in [
            (json!({ "memory": "256Mi" }), true),
            (json!({ "memory": "300Mi" }), false),
            (json!({ "memory": "1Gi" }), false),
            (json!({}), false),
        ] {
            let container = json!({ "resources": { "limits": limits } });
            let fate = behaviour.clone().within_limits(&container).fate;
            assert_eq!(matches!(fate, Fate::OomKilled { .. }), killed, "{container}");
        }
        let always = Behaviour::read("oom-kill").expect("readable").within_limits(&json!({}));
        assert!(matches!(always.fate, Fate::OomKilled { .. }));
    }

    #[test]
    fn what_stands_nearest_to_the_container_counts() {
        let container = json!({ "name": "app", "image": "registry.invalid/a:1" });
        let bare = json!({});
        let fate = |pod: &Value| Behaviour::of_container(pod, &container).map(|behaviour| behaviour.fate);
        assert_eq!(fate(&bare), Some(Fate::ImagePullBackOff));
        let pod = json!({ "metadata": { "annotations": { BEHAVIOUR: "never-ready" } } });
        assert_eq!(fate(&pod), Some(Fate::NeverReady));
        let plain = json!({ "name": "app", "image": "registry.example.com/a:1" });
        assert_eq!(Behaviour::of_container(&bare, &plain), None);
    }
}

//! The tutorial, followed as it stands: what it says to type is typed, its commands are run in order against a real
//! Prometheus, and what they print is what the page shows.

use std::fs;
use std::path::Path;

use crate::docs::shell;
use crate::servers::{self, Server, free_port};

const PAGE: &str = include_str!("../../docs/tutorial.md");
/// What the page copies.
const FILES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/tutorial");
/// Where the page has its Prometheus, and the service.
const PROMETHEUS: &str = "127.0.0.1:9190";
const SERVICE: &str = "127.0.0.1:9119";
/// Files that the page writes step by step.
const GROWN: [&str; 2] = ["mail.yaml", "mail.test.yaml"];
/// What the page shortens ends here.
const SHORTENED: &str = "…";

/// One block of the page, and the line above it.
struct Block {
    above: &'static str,
    language: &'static str,
    body: &'static str,
}

fn blocks() -> Vec<Block> {
    let parts: Vec<&str> = PAGE.split("```").collect();
    let block = |pair: &[&'static str]| {
        let (language, body) = pair[1].split_once('\n').expect("a language");
        let above = pair[0].lines().rfind(|line| !line.is_empty()).unwrap_or_default();
        Block { above, language, body }
    };
    parts[..parts.len() - 1].chunks(2).map(block).collect()
}

/// What a reader has in the folder, and what they have running.
struct Reader {
    folder: tempfile::TempDir,
    prometheus: Option<Server>,
    service_port: u16,
    /// Exports so far.
    exports: String,
    /// What the last commands said.
    said: String,
}

impl Reader {
    /// As the first commands of the page leave it.
    fn begins() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let script = format!(
            "cp -r {FILES}/. . && mv rules finished && mkdir rules && cp finished/people.yaml rules/"
        );
        assert!(PAGE.contains("mv rules finished && mkdir rules && cp finished/people.yaml rules/"));
        let mut reader = Self {
            folder,
            prometheus: None,
            service_port: free_port(),
            exports: String::new(),
            said: String::new(),
        };
        reader.run(&script);
        reader
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs commands, with the addresses of this test.
    fn run(&mut self, script: &str) {
        let prometheus = self.prometheus.as_ref().map_or(0, |server| server.port);
        let script = format!("exec 2>&1\nset +e\n{}{script}", self.exports)
            .replace(PROMETHEUS, &format!("127.0.0.1:{prometheus}"))
            .replace(SERVICE, &format!("127.0.0.1:{}", self.service_port));
        let mut command = shell(self.path(), &script);
        command.env("SMOKEJUMPER__SERVER__LISTEN", format!("127.0.0.1:{}", self.service_port));
        command.env("SMOKEJUMPER_URL", format!("http://127.0.0.1:{}", self.service_port));
        command.env("SMOKEJUMPER__PROMETHEUS__URL", format!("http://127.0.0.1:{prometheus}"));
        let output = command.output().expect("a shell");
        self.said = String::from_utf8_lossy(&output.stdout).into_owned();
        self.exports.extend(
            script.lines().filter(|line| line.starts_with("export ")).map(|line| format!("{line}\n")),
        );
    }

    /// Prometheus over what was made so far; it looks for new blocks only once a minute, so it is started anew.
    async fn start_prometheus(&mut self) {
        self.prometheus = None;
        let config = fs::read_to_string(Path::new(FILES).join("prometheus.yml")).expect("its settings");
        let options = ["--storage.tsdb.retention.time=100y"];
        self.prometheus = Some(servers::prometheus_with(self.path(), &config, &options).await);
    }

    /// Commands of the page, but for those that start Prometheus and wait for it.
    async fn types(&mut self, script: &str) {
        if script.contains("cargo build") || script.contains("kill \"$PROMETHEUS\"") {
            return;
        }
        let is_about_prometheus = |command: &str| {
            ["prometheus ", "PROMETHEUS=", "until promtool "].iter().any(|word| command.starts_with(word))
        };
        let commands = script.replace("\\\n", "");
        let (others, waits): (Vec<&str>, Vec<&str>) =
            commands.lines().partition(|command| !is_about_prometheus(command));
        self.run(&others.join("\n"));
        if !waits.is_empty() {
            self.start_prometheus().await;
        }
    }

    /// Each line of the page, in order, among those that were printed.
    fn sees(&self, shown: &str) {
        let mut printed = self.said.lines();
        for line in shown.lines().map(str::trim_end).filter(|line| line.trim() != SHORTENED) {
            let is_it = |printed: &str| match line.strip_suffix(SHORTENED) {
                Some(beginning) => printed.starts_with(beginning.trim_end()),
                None => {
                    printed.trim_end() == line.replace(SERVICE, &format!("127.0.0.1:{}", self.service_port))
                }
            };
            assert!(printed.any(is_it), "the page shows `{line}`, and this was printed:\n{}", self.said);
        }
    }

    /// A block of YAML: the reader writes it, or it is a part of a file that is there.
    fn writes(&self, block: &Block) {
        let begins = block.above.starts_with("Begin the file `");
        if !begins && !block.above.starts_with("Add to `") {
            let is_there = files().iter().any(|(_, text)| text.contains(block.body));
            assert!(is_there, "no file of examples/tutorial holds:\n{}", block.body);
            return;
        }
        let name = block.above.split('`').nth(1).expect("the name of a file");
        let path = self.path().join("rules").join(name);
        let before = if begins { String::new() } else { fs::read_to_string(&path).expect("it was begun") };
        // A reader puts an empty line between two tests.
        let gap = if before.contains("kind: ResponseTest") { "\n" } else { "" };
        fs::write(path, format!("{before}{gap}{}", block.body)).expect("written");
    }

    fn rule_file(&self, name: &str) -> String {
        fs::read_to_string(self.path().join("rules").join(name)).expect("it is there")
    }
}

/// The files of the tutorial by their names.
fn files() -> Vec<(String, String)> {
    let paths = glob::glob(&format!("{FILES}/**/*.*")).expect("a pattern").map(|path| path.expect("a path"));
    paths
        .filter(|path| path.is_file())
        .map(|path| (path.display().to_string(), fs::read_to_string(&path).expect("a text")))
        .collect()
}

#[tokio::test]
async fn the_tutorial_works_as_it_stands_and_shows_what_is_printed() {
    let mut reader = Reader::begins();
    let mut grown = vec![String::new(); GROWN.len()];
    for block in blocks() {
        match block.language {
            "sh" => reader.types(block.body).await,
            "text" => reader.sees(block.body),
            "yaml" => {
                reader.writes(&block);
                for (kept, name) in grown.iter_mut().zip(GROWN) {
                    if block.above.contains(&format!("`{name}`")) {
                        *kept = reader.rule_file(name);
                    }
                }
            }
            "json" => assert!(files().iter().any(|(_, text)| text == block.body), "{}", block.body),
            _ => {}
        }
    }
    let finished =
        |name: &str| fs::read_to_string(Path::new(FILES).join("rules").join(name)).expect("a file");
    assert_eq!(grown[0], finished(GROWN[0]), "what was typed is the finished rule");
    assert!(finished(GROWN[1]).starts_with(&grown[1]), "and the beginning of its tests:\n{}", grown[1]);
}

//! Changes of rule files are noticed, whichever way they are made.

use super::*;
use crate::rules::book::BookSource;
use crate::rules::test_support::{mk_catalog, mk_known};
use std::os::unix::fs::symlink;
use std::sync::Mutex;
use std::time::Instant;

/// Longest wait for a reload: several times what a loaded machine needs, and no wait where all is well.
const PATIENCE: Duration = Duration::from_secs(20);

fn mk_rule(name: &str) -> String {
    format!(
        "apiVersion: smokejumper.dev/v1\nkind: ResponseRule\nmetadata: {{ name: {name} }}\nspec: {{ matchers: ['alertname=\"A\"'], severity: P1, groupBy: [alertname] }}\n"
    )
}

fn mk_book(pattern: String) -> Arc<RuleBook> {
    let source = BookSource {
        patterns: vec![pattern],
        catalog: Arc::new(mk_catalog()),
        known: mk_known(),
        default_policy: None,
    };
    Arc::new(RuleBook::open(source).unwrap_or_else(|errors| panic!("{errors}")))
}

struct Watched {
    book: Arc<RuleBook>,
    stop: CancellationToken,
    outcomes: Arc<Mutex<Vec<&'static str>>>,
    task: tokio::task::JoinHandle<()>,
}

fn start(book: Arc<RuleBook>) -> Watched {
    let stop = CancellationToken::new();
    let outcomes = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&outcomes);
    let report = move |outcome: &Reload| seen.lock().expect("no panic").push(outcome.as_str());
    let task = tokio::spawn(watch(Arc::clone(&book), stop.clone(), report));
    Watched { book, stop, outcomes, task }
}

impl Watched {
    fn name(&self) -> Option<String> {
        self.book.current().rules().first().map(|kept| kept.rule.name.clone())
    }

    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !holds(self) {
            assert!(
                began.elapsed() < PATIENCE,
                "{what} did not happen; outcomes: {:?}",
                self.outcomes.lock()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn end(self) -> Vec<&'static str> {
        self.stop.cancel();
        self.task.await.expect("ends when told to");
        self.outcomes.lock().expect("no panic").clone()
    }
}

/// A generation of a mounted ConfigMap, swapped in as the kubelet does: a new directory, and one renamed link.
fn mount(root: &Path, generation: &str, text: &str) {
    std::fs::create_dir(root.join(generation)).expect("a generation");
    std::fs::write(root.join(generation).join("rules.yaml"), text).expect("written");
    symlink(generation, root.join("..data_tmp")).expect("a link");
    std::fs::rename(root.join("..data_tmp"), root.join("..data")).expect("swapped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swapped_config_map_is_loaded_once_and_its_generations_are_not_read_twice() {
    let directory = tempfile::tempdir().expect("a directory");
    let root = directory.path();
    mount(root, "..2026_01", &mk_rule("first"));
    symlink("..data/rules.yaml", root.join("rules.yaml")).expect("a link");
    let watched = start(mk_book(format!("{}/**/*.yaml", root.display())));
    assert_eq!(watched.name().as_deref(), Some("first"));

    mount(root, "..2026_02", &mk_rule("second"));
    std::fs::remove_dir_all(root.join("..2026_01")).expect("the old generation goes");
    watched.until("the new generation", |watched| watched.name().as_deref() == Some("second")).await;
    assert_eq!(watched.end().await, ["loaded"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_file_is_reported_once_and_mended_at_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("rules.yaml");
    std::fs::write(&file, mk_rule("good")).expect("written");
    let watched = start(mk_book(file.display().to_string()));

    std::fs::write(&file, &mk_rule("half-written")[..70]).expect("written");
    watched.until("the refusal", |watched| watched.book.refusal().is_some()).await;
    assert_eq!(watched.name().as_deref(), Some("good"));

    let staged = directory.path().join(".rules.yaml.swp");
    std::fs::write(&staged, mk_rule("mended")).expect("written");
    std::fs::rename(staged, &file).expect("renamed, as editors do");
    watched.until("the mended rules", |watched| watched.name().as_deref() == Some("mended")).await;
    assert_eq!(watched.book.refusal(), None);
    assert_eq!(watched.end().await, ["refused", "loaded"]);
}

#[test]
fn each_pattern_watches_the_directory_that_it_starts_from() {
    let found = directories(&[
        "rules/**/*.yaml".into(),
        "/etc/x/*.yaml".into(),
        "one.yaml".into(),
        "a/b.yaml".into(),
    ]);
    let expected = [
        (".", RecursiveMode::NonRecursive),
        ("/etc/x", RecursiveMode::NonRecursive),
        ("a", RecursiveMode::NonRecursive),
        ("rules", RecursiveMode::Recursive),
    ];
    let expected: BTreeSet<_> =
        expected.into_iter().map(|(path, mode)| (PathBuf::from(path), mode)).collect();
    assert_eq!(found, expected);
}

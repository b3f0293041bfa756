//! Reads the repository's text files, and says where something is wrong.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// Folders that are not part of the repository.
const SKIPPED_FOLDERS: [&str; 4] = [".git", "target", "node_modules", "proptest-regressions"];
/// Endings of files that are read as text.
const TEXT_ENDINGS: [&str; 17] = [
    "rs", "md", "toml", "yaml", "yml", "json", "sh", "sql", "html", "css", "js", "snap", "lock", "txt",
    "new", "orig", "rej",
];
/// Files without an ending that are read as text.
const TEXT_NAMES: [&str; 6] = ["run", "LICENSE", "NOTICE", ".gitignore", ".gitattributes", ".editorconfig"];

/// One text file.
pub struct TextFile {
    /// Path from the root, with `/` between the parts.
    pub path: String,
    /// The whole text.
    pub text: String,
    /// Whether it may be executed.
    pub executable: bool,
}

/// All text files of the repository.
pub struct Tree {
    /// In order of their paths.
    pub files: Vec<TextFile>,
    root: PathBuf,
}

impl Tree {
    /// Reads the repository that this test belongs to.
    pub fn load() -> Self {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
        let mut files = Vec::new();
        visit(&root, &root, &mut files);
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Self { files, root }
    }

    /// A tree of samples.
    #[cfg(test)]
    pub fn of(samples: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| TextFile {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
            executable: false,
        };
        Self { files: samples.iter().map(file).collect(), root: PathBuf::from("/nowhere") }
    }

    /// The file at `path`.
    pub fn file(&self, path: &str) -> Option<&TextFile> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Whether there is a file or folder at `path`, of any kind.
    pub fn exists(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        self.file(path).is_some()
            || self.files.iter().any(|file| file.path.starts_with(&folder))
            || self.root.join(path).exists()
    }

    /// Files whose name ends like this.
    pub fn ending(&self, ending: &str) -> impl Iterator<Item = &TextFile> {
        self.files.iter().filter(move |file| file.path.ends_with(ending))
    }
}

fn visit(root: &Path, folder: &Path, files: &mut Vec<TextFile>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let path = entry.expect("the entry of a folder can be read").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            if !SKIPPED_FOLDERS.contains(&name) {
                visit(root, &path, files);
            }
            continue;
        }
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if !TEXT_ENDINGS.contains(&ending) && !TEXT_NAMES.contains(&name) {
            continue;
        }
        // Recorded requests may hold bytes that are no text; those are fixtures and not judged.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let inside = path.strip_prefix(root).expect("the file was found below the root");
        let inside: Vec<&str> = inside.iter().filter_map(|part| part.to_str()).collect();
        files.push(TextFile { path: inside.join("/"), text, executable: is_executable(&path) });
    }
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).is_ok_and(|data| data.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(_: &Path) -> bool {
    true
}

/// Something that is wrong at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    path: String,
    line: usize,
    message: String,
}

impl Finding {
    /// A finding at a line, counted from 1.
    pub fn at(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, message: message.into() }
    }

    /// A finding at a byte of a text.
    pub fn in_text(path: &str, text: &str, position: usize, message: impl Into<String>) -> Self {
        Self::at(path, line_of(text, position), message)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  {}:{}: {}", self.path, self.line, self.message)
    }
}

/// The line of a byte, counted from 1.
pub fn line_of(text: &str, position: usize) -> usize {
    text.as_bytes()[..position.min(text.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}

#[test]
fn the_tree_is_read_from_its_root() {
    let tree = Tree::load();
    assert!(tree.file("Cargo.toml").is_some());
    assert!(tree.exists("src/domain") && !tree.exists("src/nowhere"));
    assert!(tree.files.iter().all(|file| !file.path.starts_with("target/")));
}

#[test]
fn a_finding_names_file_and_line() {
    let finding = Finding::in_text("a.rs", "one\ntwo\n", 4, "wrong: do it right");
    assert_eq!(finding.to_string(), "  a.rs:2: wrong: do it right");
}

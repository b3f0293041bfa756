//! The settings file that a command is told, and a word about the one that it is not told.

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// What settings files are called everywhere in the docs.
const USUAL: &str = "smokejumper.yaml";

/// The file as it was told. Where none was and one lies here, people are told that it is not read: no command looks for
/// settings by itself, so that the folder that it is started in never decides what is acted on.
pub(super) fn told(config: Option<PathBuf>) -> Option<PathBuf> {
    if config.is_none() && Path::new(USUAL).is_file() {
        let note = format!("note: {USUAL} lies here and is not read: add `--config {USUAL}`");
        // Whoever closed this stream wants to hear nothing.
        writeln!(std::io::stderr(), "{note}").ok();
    }
    config
}

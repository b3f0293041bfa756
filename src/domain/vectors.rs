//! Test tables of the systems that must be agreed with; they live beside the repository, never in it.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Reads `file` from the folder that `SMOKEJUMPER_VECTORS` names, or from `../shared/vectors` beside the repository.
/// `None`, said loudly, if there is no such folder; with `CI` set that is a failure.
pub(crate) fn load(file: &str) -> Option<Value> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
    let folder = std::env::var_os("SMOKEJUMPER_VECTORS").map_or(beside, PathBuf::from);
    if !folder.is_dir() {
        assert!(std::env::var_os("CI").is_none(), "{} is missing; set SMOKEJUMPER_VECTORS", folder.display());
        // Written past `eprintln!`, whose text the test harness hides while the test passes.
        let missing = folder.display();
        writeln!(
            io::stderr(),
            "ONLY THE REPOSITORY'S OWN CASES RAN: {missing} is missing; set SMOKEJUMPER_VECTORS"
        )
        .expect("standard error is open");
        return None;
    }
    let path = folder.join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Some(serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

/// The member `key` of a table, which must be a list.
pub(crate) fn rows<'a>(table: &'a Value, key: &str) -> &'a [Value] {
    table[key].as_array().unwrap_or_else(|| panic!("the table `{key}` is a list"))
}

/// The member `key` of a row, which must be a text.
pub(crate) fn text<'a>(row: &'a Value, key: &str) -> &'a str {
    row[key].as_str().unwrap_or_else(|| panic!("`{key}` is a text in {row}"))
}

//! A clock that a test sets: that of Debian's package `faketime`, which reads an offset from a file. Its steady clock runs
//! on, as a real one does.

// Each test file is a crate of its own and uses some of this.
#![allow(dead_code, reason = "shared by test crates that each use a part")]

use std::path::{Path, PathBuf};
use std::time::Duration;

/// The clock of every process that is started with its environment.
pub struct Clock {
    file: PathBuf,
}

impl Clock {
    /// One that is right, kept in this folder.
    pub fn right(folder: &Path) -> Self {
        let clock = Self { file: folder.join("clock") };
        clock.set("+0");
        clock
    }

    /// What a process needs in order to live by it.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("LD_PRELOAD", library().display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file.display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ]
    }

    /// Sets it so far from the right time, such as `-1d`.
    pub fn set(&self, offset: &str) {
        // Written beside and moved over, so that nobody reads half a number.
        let beside = self.file.with_extension("new");
        std::fs::write(&beside, offset).expect("a file");
        std::fs::rename(beside, &self.file).expect("it can be moved");
    }

    /// Sets it so far ahead of the right time.
    pub fn set_ahead(&self, by: Duration) {
        self.set(&format!("+{}", by.as_secs()));
    }
}

/// The library of the package.
fn library() -> PathBuf {
    let found = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten().find_map(|folder| {
        let library = folder.path().join("faketime/libfaketimeMT.so.1");
        library.is_file().then_some(library)
    });
    found.expect("libfaketime is missing: `apt-get install faketime`, or run `tests/run`, which does it")
}

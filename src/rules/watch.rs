//! Reloads the rules when their files change.
//!
//! The directories are watched, not the files: editors replace files, and a mounted ConfigMap swaps one hidden link
//! for all of them. Where no notice comes (network file systems), a look every few seconds finds the change. Files
//! are only read anew when something happened, and rules only loaded when their text has changed.

use super::book::{Reload, RuleBook};
use notify::event::EventKind;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Wait after a notice: a deployment writes several files, an editor several times.
const DEBOUNCE: Duration = Duration::from_millis(300);
/// Time between two looks without a notice.
const POLL: Duration = Duration::from_secs(10);

/// Watches until `stop` is cancelled and hands every outcome but [`Reload::Unchanged`] to `report`.
pub async fn watch(book: Arc<RuleBook>, stop: CancellationToken, report: impl Fn(&Reload) + Send) {
    let (notices, mut noticed) = mpsc::channel(1);
    // Held for as long as we watch.
    let _watcher = watch_directories(book.patterns(), notices);
    let mut poll = tokio::time::interval(POLL);
    poll.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    poll.tick().await;
    let mut hears = true;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            notice = noticed.recv(), if hears => {
                // Without a watcher the channel is closed at once, and only the poll is left.
                hears = notice.is_some();
                if hears {
                    tokio::time::sleep(DEBOUNCE).await;
                    let _ = noticed.try_recv();
                }
            }
            _ = poll.tick() => {}
        }
        let book = Arc::clone(&book);
        match tokio::task::spawn_blocking(move || book.reload_if_changed()).await {
            Ok(Reload::Unchanged) => {}
            Ok(outcome) => report(&outcome),
            Err(error) => {
                tracing::error!(error = %error, "a reload of the rules died; the last good rules stay")
            }
        }
    }
}

/// A watcher over the directories of the patterns, or none where the system has no watches left.
fn watch_directories(patterns: &[String], notices: mpsc::Sender<()>) -> Option<RecommendedWatcher> {
    let on_event = move |event: notify::Result<notify::Event>| {
        // Reading a file is an event too; without this filter a reload would notice itself.
        let matters = event.is_ok_and(|event| {
            matches!(event.kind, EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_))
        });
        if matters {
            // A full channel means that a look is due already.
            let _ = notices.try_send(());
        }
    };
    let mut watcher = match notify::recommended_watcher(on_event) {
        Ok(watcher) => watcher,
        Err(error) => {
            tracing::warn!(error = %error, "rule files cannot be watched; they are looked at every 10 s");
            return None;
        }
    };
    for (directory, mode) in directories(patterns) {
        if let Err(error) = watcher.watch(&directory, mode) {
            let directory = directory.display();
            tracing::warn!(error = %error, %directory, "a rule directory cannot be watched; it is looked at every 10 s");
        }
    }
    Some(watcher)
}

/// The directory that each pattern starts from, with everything below it where the pattern reaches deeper.
fn directories(patterns: &[String]) -> BTreeSet<(PathBuf, RecursiveMode)> {
    patterns
        .iter()
        .map(|pattern| {
            let fixed: PathBuf =
                Path::new(pattern).components().take_while(|part| !is_wild(part.as_os_str())).collect();
            let rest = Path::new(pattern).components().count() - fixed.components().count();
            let directory =
                if rest == 0 { fixed.parent().map(Path::to_path_buf).unwrap_or_default() } else { fixed };
            let directory = if directory.as_os_str().is_empty() { PathBuf::from(".") } else { directory };
            let mode = if rest > 1 { RecursiveMode::Recursive } else { RecursiveMode::NonRecursive };
            (directory, mode)
        })
        .collect()
}

fn is_wild(part: &std::ffi::OsStr) -> bool {
    part.to_string_lossy().contains(['*', '?', '['])
}

#[cfg(test)]
mod tests;

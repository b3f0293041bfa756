//! DiskSpace: real files fill a filesystem, somebody approves the archive, the files are moved there, and nothing is lost.

use crate::platform::{PSS, at_rest};
use crate::world::{CHANNEL, Plan, Scene, action};
use serde_json::json;
use std::path::{Path, PathBuf};

const RULE: &str = "pss-nano-disk-space";
const REMEDY: &str = "archive-logs";

/// What the filesystem of the story holds.
const SIZE_BYTES: u64 = 10_000_000;

/// One day's log.
const LOG_BYTES: usize = 1_000_000;

fn logs(folder: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).expect("a folder").flatten();
    let mut files: Vec<_> = files.map(|entry| entry.path()).collect();
    files.sort();
    files
}

/// What node_exporter would say of the folder if it were a filesystem.
fn node_exporter(disk: &Path) -> String {
    let used: u64 = logs(disk).iter().map(|file| file.metadata().map_or(0, |file| file.len())).sum();
    let labels = r#"device="/dev/sdb",fstype="ext4",mountpoint="/var/log""#;
    format!(
        "node_filesystem_size_bytes{{{labels}}} {SIZE_BYTES}\nnode_filesystem_avail_bytes{{{labels}}} {}\n",
        SIZE_BYTES.saturating_sub(used)
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_logs_of_a_full_disk_are_archived_on_approval_and_nothing_is_lost() {
    let scene = Scene::set(at_rest(|_| ()).await, &[]).await;
    let (disk, archive) = (scene.folder.path().join("disk"), scene.folder.path().join("archive"));
    for folder in [&disk, &archive] {
        std::fs::create_dir(folder).expect("a folder");
    }
    let write = |day: usize| {
        std::fs::write(disk.join(format!("day-{day}.log")), vec![b'x'; LOG_BYTES]).expect("a file");
    };
    (1..=5).for_each(write);
    let shown = disk.clone();
    let labels = [("namespace", PSS), ("instance", "db-1:9100")];
    scene.town.show("node", &labels, move || Some(node_exporter(&shown)));
    // The job that ships with nobody: it moves all but the newest day.
    let (from, to) = (disk.clone(), archive.clone());
    scene.town.when_called("archive", move || {
        let files = logs(&from);
        for file in &files[..files.len() - 1] {
            std::fs::rename(file, to.join(file.file_name().expect("a name"))).expect("moved");
        }
    });
    let world = scene.begin(Plan { rule: "rules/pss-nano/disk-space.yaml", ..Plan::default() }).await;

    // Nine days are 90 %.
    (6..=9).for_each(write);
    let asked = world.once(RULE, REMEDY, "awaiting_approval").await;
    assert_eq!((&asked["severity"], &asked["status"]), (&json!("P1"), &json!("triggered")));
    assert_eq!(
        (world.town.calls(), logs(&disk).len()),
        (vec![], 9),
        "nothing is touched before the approval"
    );

    let card = world.approve(RULE, REMEDY, CHANNEL, &["/var/log", "archive-logs"]).await;
    let acted = world.once(RULE, REMEDY, "succeeded").await;
    assert_eq!(action(&acted, REMEDY)["reason_code"], "verified", "{acted:#}");
    assert_eq!(action(&acted, REMEDY)["approvals"][0], "una: approved");
    let closed = world.closed(RULE).await;
    assert_eq!(world.town.calls(), ["archive"], "it was called once");
    assert_eq!((logs(&disk).len(), logs(&archive).len()), (1, 8), "moved, and not deleted");
    if world.page(&closed).is_some() {
        // Off hours, or after the five minutes of DevOps: whoever was called hears of the end.
        world.page_ends(&closed).await;
    }
    world.card_shows(&card, &["Resolved"]).await;
    assert_eq!(world.cards(CHANNEL).len(), 1, "one message an incident");
    assert_eq!(world.writes(), Vec::<String>::new(), "the cluster has no part in it");
    world.only(&[RULE]).await;
}

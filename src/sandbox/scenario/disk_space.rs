//! Old log files fill the database's disk. Archiving them frees it; otherwise it stays nearly full.

use super::{Cure, Measure, Pace, Scenario, Unit, alert, minutes};
use crate::sandbox::prometheus::series::{Course, Series, Signal};

const SIZE_BYTES: f64 = 200e9;
const DISK: [(&str, &str); 5] = [
    ("namespace", "pss-nano"),
    ("service", "postgres"),
    ("instance", "postgres-0"),
    ("device", "/dev/nvme1n1"),
    ("mountpoint", "/var/lib/postgresql"),
];
const CLAIM: [(&str, &str); 2] = [("namespace", "pss-nano"), ("persistentvolumeclaim", "data-postgres-0")];
const EXPR: &str = r#"1 - node_filesystem_avail_bytes{namespace="pss-nano",mountpoint="/var/lib/postgresql"} / node_filesystem_size_bytes{namespace="pss-nano",mountpoint="/var/lib/postgresql"}"#;

pub(super) fn scenario(pace: Pace) -> Scenario {
    let course = Course::default();
    let free = |salt: u64| {
        let shape =
            pace.shape(&course, (SIZE_BYTES * 0.38, SIZE_BYTES * 0.085), minutes(6), minutes(2), salt);
        // A disk does not jitter.
        Signal::Gauge(crate::sandbox::prometheus::series::Shape { noise: 0.001, ..shape })
    };
    let series = vec![
        Series::new("node_filesystem_avail_bytes", &DISK, free(21)),
        Series::new("node_filesystem_size_bytes", &DISK, Signal::Constant(SIZE_BYTES)),
        Series::new("kubelet_volume_stats_available_bytes", &CLAIM, free(21)),
        Series::new("kubelet_volume_stats_capacity_bytes", &CLAIM, Signal::Constant(SIZE_BYTES)),
    ];
    let mut labels = DISK.to_vec();
    labels.extend([("severity", "warning"), ("cluster", "demo")]);
    let annotations = [
        ("summary", "The disk of postgres-0 is nearly full"),
        ("description", "More than 85 % of /var/lib/postgresql on postgres-0 is in use."),
        ("runbook_url", "https://runbooks.example.com/pss-nano#disk-space"),
    ];
    Scenario {
        name: "disk-space",
        title: "A disk fills up",
        story: "Old log files pile up on the database's disk. It fills beyond 85 %, and stays full until somebody \
                moves them to the archive.",
        alert: alert("DiskSpace", &labels, &annotations, EXPR),
        measure: Measure {
            label: "part of the disk in use",
            expr: EXPR.to_owned(),
            threshold: 0.85,
            unit: Unit::Ratio,
        },
        hold: minutes(2),
        cure: Cure::Call { path: "/disk/archive-logs", fact: "disk_used_ratio" },
        remedy_does: "move log files older than a day to the archive",
        course,
        series,
    }
}

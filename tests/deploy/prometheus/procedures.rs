//! Which procedure of the runbooks begins with which alert, and why some begin with none.

use std::collections::{BTreeMap, BTreeSet};

use super::alerts;

/// What a procedure begins with.
pub enum Beginning {
    /// One of these alerts.
    Alerts(&'static [&'static str]),
    /// None, for this reason.
    None(&'static str),
}

use Beginning::{Alerts, None};

const ON_DEMAND: &str = "somebody asks for it, or another procedure does; nothing is wrong";
const BY_THE_CLOCK: &str = "a rule runs it by the clock; what it finds red has an alert of its own";
const POLICY: &str = "it says who is told, and when: an escalation policy, a contact or a severity";
const ADVICE: &str = "advice that belongs to the alerts of other procedures";

/// Every procedure, in the order of the table. Where the table has another name for the same alert, a comment says so.
pub const PROCEDURES: [(&str, Beginning); 90] = [
    ("P01", Alerts(&["KubeContainerWaiting"])),
    ("P02", Alerts(&["KubePodCrashLooping"])),
    ("P03", Alerts(&["KubeContainerOOMKilled"])),
    ("P04", Alerts(&["KubePodNotReady"])),
    // `HighLatency`, and what makes Redis slow.
    ("P05", Alerts(&["HighLatency", "RedisPingSlow", "RedisMemoryHigh"])),
    ("P06", Alerts(&["ContainerMemoryGrowth"])),
    ("P07", Alerts(&["WebSocketConnectionDrop", "PubSubZero"])),
    // The table's "log alert": a full pool shows in the database's connections as well.
    ("P08", Alerts(&["DatabaseConnectionsHigh"])),
    ("P09", None(ON_DEMAND)),
    ("P10", Alerts(&["CPUHigh", "HighLatency", "ActiveConnectionsHigh", "KubeHpaMaxedOut"])),
    ("P11", Alerts(&["LowUtilisation"])),
    ("P12", Alerts(&["KubeCPUThrottling", "MemoryHigh"])),
    // `HPAMaxedOut` is called as in kube-prometheus.
    ("P13", Alerts(&["KubeHpaMaxedOut"])),
    ("P14", None(ON_DEMAND)),
    ("P15", Alerts(&["PodStuckTerminating"])),
    ("P16", Alerts(&["RecentDeployRegression", "KubeDeploymentRolloutStuck"])),
    ("P17", Alerts(&["BlackboxProbeFailed"])),
    ("P18", Alerts(&["BackupMissing", "CronJobFailed"])),
    ("P19", None("people decide on a restore; no alert may")),
    ("P20", Alerts(&["CronJobMissed", "CronJobFailed", "BackupMissing"])),
    ("P21", Alerts(&["CapacityNear"])),
    (
        "P22",
        Alerts(&["DatabaseConnectionsHigh", "SlowQueries", "DiskSpace", "KubePersistentVolumeFillingUp"]),
    ),
    ("P23", Alerts(&["ServiceDown", "BlackboxProbeFailed", "KubeNodeNotReady", "KubeNodePressure"])),
    ("P24", Alerts(&["EndpointsAll502"])),
    ("P25", Alerts(&["DataIntegrityCheckFailed"])),
    ("P26", Alerts(&["TrafficSpike"])),
    ("P27", None(BY_THE_CLOCK)),
    // By the clock, every four hours; an anomaly of errors has its alert.
    ("P28", Alerts(&["HighErrorRate"])),
    ("P29", None(BY_THE_CLOCK)),
    ("P30", None(BY_THE_CLOCK)),
    ("P31", None(POLICY)),
    ("P32", Alerts(&["HighLatencySevere"])),
    // `redis_connected=false` stands in a health page, which no metric repeats; a hit ratio of 0 is its other sign.
    ("P33", Alerts(&["RedisDown", "CacheHitLow"])),
    ("P34", Alerts(&["RecentDeployRegression"])),
    ("P35", Alerts(&["KubeHpaReplicasMismatch"])),
    ("P36", Alerts(&["CPUHigh", "HighLatency", "ActiveConnectionsHigh", "LowUtilisation"])),
    ("P37", Alerts(&["CacheHitLow"])),
    // `CacheStale`.
    ("P38", None("no metric knows that an answer from the cache is stale: people do, and ask for the flush")),
    ("P39", Alerts(&["CacheHitLow"])),
    ("P40", None(ON_DEMAND)),
    ("P41", None(ON_DEMAND)),
    // "Redis ping … or timeout" is `RedisDown`.
    (
        "P42",
        Alerts(&[
            "HighLatency",
            "HighErrorRate",
            "CacheHitLow",
            "MemoryHigh",
            "CPUHigh",
            "ActiveConnectionsHigh",
            "RedisPingSlow",
            "RedisDown",
        ]),
    ),
    ("P43", None("dashboards and links, in every message")),
    ("P44", None("queries, which diagnostics and recording rules hold")),
    ("P45", Alerts(&["WebSocketErrors"])),
    // `OOMKilled`, and what comes before it.
    ("P46", Alerts(&["KubeContainerOOMKilled", "MemoryHigh"])),
    ("P47", Alerts(&["PdfFetchErrors"])),
    ("P48", Alerts(&["LlmErrors"])),
    ("P49", None(POLICY)),
    ("P50", None(BY_THE_CLOCK)),
    ("P51", None("local development")),
    ("P52", Alerts(&["CacheHitLow", "PubSubZero"])),
    ("P53", Alerts(&["CeleryBacklog"])),
    ("P54", None(ON_DEMAND)),
    ("P55", Alerts(&["LogShippingStopped"])),
    ("P56", None(ADVICE)),
    ("P57", Alerts(&["DatabaseConnectionsHigh"])),
    (
        "P58",
        Alerts(&["KubePodCrashLooping", "KubeContainerWaiting", "KubePodNotReady", "ContainerMemoryGrowth"]),
    ),
    ("P59", None(ADVICE)),
    ("P60", Alerts(&["RecentDeployRegression", "KubeDeploymentRolloutStuck"])),
    ("P61", Alerts(&["MigrationJobFailed"])),
    ("P62", None(BY_THE_CLOCK)),
    ("P63", None("links at the foot of messages")),
    ("P64", None(POLICY)),
    ("P65", Alerts(&["ServiceDown"])),
    ("P66", None("it follows the end of an incident")),
    ("P67", Alerts(&["HighErrorRate", "RabbitmqQueueBacklog"])),
    ("P68", Alerts(&["DatabaseIssues", "HighErrorRate"])),
    ("P69", Alerts(&["EnvoyOutlierEjections"])),
    ("P70", Alerts(&["ContainerMemoryGrowth"])),
    ("P71", Alerts(&["HighLatency", "SlowQueries"])),
    ("P72", Alerts(&["SlowQueries"])),
    ("P73", Alerts(&["KubePodCrashLooping"])),
    ("P74", Alerts(&["KubeContainerWaiting"])),
    ("P75", Alerts(&["CertExpiring", "CertExpired"])),
    ("P76", None("people plan it a day ahead")),
    ("P77", None("people open a maintenance window")),
    ("P78", Alerts(&["PgDeadTuples", "PgStatisticsStale"])),
    ("P79", Alerts(&["RedisMemoryHigh"])),
    // The recovery time of four hours is the clock of an incident, not an alert.
    ("P80", Alerts(&["BackupTooOld"])),
    ("P81", Alerts(&["ClusterUnreachable", "KubeNodeNotReady"])),
    ("P82", Alerts(&["RegionDown"])),
    ("P83", Alerts(&["ServiceDown"])),
    ("P84", Alerts(&["HighErrorRate"])),
    ("P85", Alerts(&["HighLatency"])),
    ("P86", Alerts(&["DatabaseIssues"])),
    ("P87", Alerts(&["DiskSpace", "KubePersistentVolumeFillingUp"])),
    ("P88", None(POLICY)),
    ("P89", None(POLICY)),
    ("P90", None(POLICY)),
];

#[test]
fn every_procedure_has_its_alerts_or_a_reason_to_have_none() {
    let ids: Vec<String> = (1..=90).map(|number| format!("P{number:02}")).collect();
    assert_eq!(PROCEDURES.each_ref().map(|(id, _)| *id).to_vec(), ids);
    for (id, beginning) in &PROCEDURES {
        if let None(reason) = beginning {
            assert!(!reason.is_empty(), "{id}");
        }
    }
}

#[test]
fn the_alerts_of_a_procedure_name_it_and_no_others_do() {
    let mut said: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for alert in alerts() {
        for id in alert.procedures() {
            said.entry(id.to_owned()).or_default().insert(alert.name.clone());
        }
    }
    for (id, beginning) in &PROCEDURES {
        let expected: BTreeSet<String> = match beginning {
            Alerts(names) => names.iter().map(|name| (*name).to_owned()).collect(),
            None(_) => BTreeSet::new(),
        };
        assert_eq!(
            said.remove(*id).unwrap_or_default(),
            expected,
            "the alerts whose annotation `runbook` names {id}"
        );
    }
    assert_eq!(said, BTreeMap::new());
}

#[test]
fn every_alert_belongs_to_a_procedure_or_watches_the_service_itself() {
    for alert in alerts() {
        let own = alert.name.starts_with("Smokejumper") || alert.name == "Watchdog";
        assert_ne!(alert.procedures().is_empty(), !own, "{}", alert.name);
    }
}

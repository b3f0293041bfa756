//! The two handles on the cluster: one that reads, for diagnostics, and one that writes, for actions alone.

use std::collections::BTreeMap;

use anyhow::Context as _;

use crate::actions::ClusterAccess;
use crate::clients::kubernetes::{ActHandle, ConnectOptions, ReadHandle};
use crate::diagnostics::KubernetesAccess;
use crate::settings::{Kubernetes, Settings};

/// Both handles; none where the settings have no cluster, so that nothing of it is made.
pub(super) struct Cluster {
    reads: ReadHandle,
    acts: ActHandle,
    read_commands: BTreeMap<String, Vec<String>>,
    commands: BTreeMap<String, Vec<String>>,
}

impl Cluster {
    /// The handles of the settings. They connect when they are first used.
    pub(super) fn of(settings: &Settings) -> Option<Self> {
        let kubernetes = settings.kubernetes.as_ref()?;
        Some(Self {
            reads: ReadHandle::new(reading(kubernetes)),
            acts: ActHandle::new(acting(kubernetes)),
            read_commands: kubernetes.read_commands.clone(),
            commands: kubernetes.commands.clone(),
        })
    }

    /// For diagnostics.
    pub(super) fn for_diagnostics(&self) -> KubernetesAccess {
        KubernetesAccess { reads: self.reads.clone(), commands: self.read_commands.clone() }
    }

    /// For actions.
    pub(super) fn for_actions(&self) -> ClusterAccess {
        ClusterAccess { acts: self.acts.clone(), commands: self.commands.clone() }
    }

    /// For the look at what both may do, which asks under each identity and writes under none.
    pub(super) fn identities(&self) -> (ReadHandle, ReadHandle) {
        (self.reads.clone(), (*self.acts).clone())
    }

    /// Connects both, so that a start fails where credentials are missing. The cluster itself is not asked: an API server
    /// that is down is no reason not to page people.
    pub(super) async fn connect(&self) -> anyhow::Result<()> {
        self.reads.connect().await.context("`kubernetes` in the settings")?;
        self.acts.connect().await.context("`kubernetes.act` in the settings")
    }
}

fn reading(kubernetes: &Kubernetes) -> ConnectOptions {
    ConnectOptions {
        kubeconfig: kubernetes.kubeconfig.clone(),
        context: kubernetes.context.clone(),
        impersonate: None,
        timeout: kubernetes.timeout.get(),
    }
}

/// The acting identity: another user through the same line, or another context of the same or another kubeconfig.
fn acting(kubernetes: &Kubernetes) -> ConnectOptions {
    let act = &kubernetes.act;
    let same = reading(kubernetes);
    ConnectOptions {
        kubeconfig: act.kubeconfig.clone().or(same.kubeconfig),
        // A context belongs to its file.
        context: act.context.clone().or(same.context.filter(|_| act.kubeconfig.is_none())),
        impersonate: act.impersonate.clone(),
        timeout: same.timeout,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn identities(section: &str) -> (ConnectOptions, ConnectOptions) {
        let text = format!("kubernetes: {section}\n");
        let settings = Settings::from_text("s.yaml", &text, Path::new(""), &BTreeMap::new())
            .unwrap_or_else(|error| panic!("{error}"));
        let kubernetes = settings.kubernetes.expect("is set");
        (reading(&kubernetes), acting(&kubernetes))
    }

    #[test]
    fn actions_have_an_identity_of_their_own_and_diagnostics_never_have_it() {
        let (read, act) = identities("{ context: prod, act: { impersonate: 'system:serviceaccount:a:b' } }");
        assert_eq!((read.context.as_deref(), read.impersonate), (Some("prod"), None));
        assert_eq!(act.context.as_deref(), Some("prod"));
        assert_eq!(act.impersonate.as_deref(), Some("system:serviceaccount:a:b"));

        let (read, act) = identities("{ kubeconfig: r.yaml, context: prod, act: { context: prod-act } }");
        assert_eq!((read.context.as_deref(), act.context.as_deref()), (Some("prod"), Some("prod-act")));
        assert_eq!(act.kubeconfig, read.kubeconfig);

        let (_, act) = identities("{ kubeconfig: r.yaml, context: prod, act: { kubeconfig: a.yaml } }");
        assert_eq!(act.kubeconfig.as_deref(), Some(Path::new("a.yaml")));
        assert_eq!(act.context, None, "a context belongs to its file");
    }

    #[tokio::test]
    async fn without_a_section_there_is_no_cluster_and_a_bad_kubeconfig_fails_the_start() {
        assert!(Cluster::of(&Settings::default()).is_none());
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("kubeconfig");
        std::fs::write(&path, "users: [{ name: x, user: { token: hunter2-in-the-file }").expect("written");
        let file = path.display();
        for (section, complaint) in [
            ("{ kubeconfig: /nowhere/kubeconfig }".to_owned(), "/nowhere/kubeconfig"),
            (format!("{{ kubeconfig: {file} }}"), "not YAML as kubectl writes it"),
        ] {
            let text = format!("kubernetes: {section}\n");
            let settings =
                Settings::from_text("s.yaml", &text, Path::new(""), &BTreeMap::new()).expect("settings");
            let refused = Cluster::of(&settings).expect("is set").connect().await.expect_err("no kubeconfig");
            let shown = format!("{refused:#}");
            assert!(shown.contains(complaint) && shown.contains("`kubernetes`"), "{shown}");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
}

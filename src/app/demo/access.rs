//! Access to the simulated cluster, as an operator would grant it: the output of `smokejumper rbac` is applied, and the
//! service gets a token of the account that reads. The cluster obeys its roles, so that nothing else can be done.

use super::super::rbac::manifest::{Accounts, Manifest};
use super::super::rbac::{grants, needs};
use super::super::rulebook;
use crate::sandbox::kubernetes::KubernetesSandbox;
use crate::settings::Settings;
use anyhow::Context;
use std::path::Path;

/// Grants what the rules of these settings need, and writes the kubeconfig.
pub(super) fn grant(
    cluster: &KubernetesSandbox,
    settings: &Settings,
    kubeconfig: &Path,
) -> anyhow::Result<()> {
    let book = rulebook::open(settings)?;
    let accounts = Accounts::of(settings, None);
    let manifest = Manifest::new(
        &grants(&needs(&book.current(), book.catalog(), settings.guardrails.looks_at_nodes())),
        &accounts,
    );
    cluster.load(&manifest.yaml()).context("the roles cannot be applied")?;
    cluster.enforce_access(true);
    let token = cluster.token_for(&accounts.namespace, &accounts.read);
    std::fs::write(kubeconfig, cluster.kubeconfig_of(&token))
        .with_context(|| format!("{} cannot be written", kubeconfig.display()))
}

//! `rbac`: the permissions that the rules need in a Kubernetes cluster, for `kubectl apply`.

use std::path::PathBuf;

use clap::Args;

use super::answer::Answer;
use super::failure::Failure;
use super::settings_file;
use crate::app::rbac::{RbacOptions, rbac};

const EXAMPLES: &str = "\
Examples:
  See what the rules of an installation need:
    $ smokejumper rbac --config smokejumper.yaml

  Give it to them:
    $ smokejumper rbac --config smokejumper.yaml | kubectl apply -f -

  With the service in another namespace:
    $ smokejumper rbac --config smokejumper.yaml --namespace sre

  For scripts, as one list:
    $ smokejumper rbac --config smokejumper.yaml --output json | jq -r '.items[].kind'

There are two service accounts: one that the service runs under and diagnostics read with, and one
that actions write with. A rule whose namespace is fixed gets a Role there; where the namespace
comes from labels, and for nodes and the like, it must be a ClusterRole.
Run it again when rules change; nothing is asked of a cluster, and no secret has to be there.

Exit codes: 0 good, 64 settings or rules that cannot be used.";

/// Print the roles that exactly the loaded rules need.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct RbacArgs {
    /// The settings file. Without it, defaults and `SMOKEJUMPER__…` variables hold.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Namespace of the service accounts. Default: that of `kubernetes.act.impersonate`, or `smokejumper`.
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
}

pub(super) fn run(args: RbacArgs) -> Result<Answer, Failure> {
    if let Some(namespace) = args.namespace.as_deref().filter(|name| !crate::domain::dns::is_dns_label(name))
    {
        return Err(Failure::usage(format!("{namespace:?} is no name of a namespace")));
    }
    let options = RbacOptions { config: settings_file::told(args.config), namespace: args.namespace };
    let manifest = rbac(&options).map_err(Failure::of)?;
    Ok(Answer::new(manifest.yaml(), &manifest.list()))
}

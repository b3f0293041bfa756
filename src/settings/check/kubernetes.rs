//! Checks of the cluster's section: one way to act, and commands that are commands.

use super::{Findings, require_time};
use crate::period::Period;
use crate::settings::Settings;

/// Longest time for one exchange, which is that of the API server itself.
const EXCHANGE_TIMEOUT_MAX: Period = Period::from_secs(60);

/// Most arguments of one command.
const ARGUMENTS_MAX: usize = 64;

pub(super) fn check_kubernetes(settings: &Settings, out: &mut Findings) {
    let Some(kubernetes) = &settings.kubernetes else { return };
    let section = "kubernetes";
    require_time(kubernetes.timeout, &[section, "timeout"], out);
    if kubernetes.timeout > EXCHANGE_TIMEOUT_MAX {
        out.add(&[section, "timeout"], format!("this time is at most {EXCHANGE_TIMEOUT_MAX}"));
    }
    let act = &kubernetes.act;
    let texts: [(&[&str], &Option<String>); 3] = [
        (&[section, "context"], &kubernetes.context),
        (&[section, "act", "context"], &act.context),
        (&[section, "act", "impersonate"], &act.impersonate),
    ];
    for (path, text) in texts {
        if text.as_ref().is_some_and(|text| text.trim().is_empty()) {
            out.add(path, "this text is empty").help("leave the key out instead");
        }
    }
    if act.impersonate.is_some() && (act.kubeconfig.is_some() || act.context.is_some()) {
        out.add(&[section, "act", "impersonate"], "there are two ways to act here")
            .help("keep this, or `kubeconfig` and `context`");
    }
    let read = kubernetes.read_commands.iter().map(|command| ("read_commands", command));
    let act = kubernetes.commands.iter().map(|command| ("commands", command));
    for (list, (name, argv)) in read.chain(act) {
        let path = [section, list, name];
        if argv.first().is_none_or(|program| program.trim().is_empty()) {
            out.add(&path, "a command begins with a program")
                .help("write a list such as `[redis-cli, info, memory]`");
        }
        if argv.len() > ARGUMENTS_MAX {
            out.add(&path, format!("{} arguments are too many: {ARGUMENTS_MAX} at most", argv.len()));
        }
    }
}

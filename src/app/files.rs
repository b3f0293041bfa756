//! How many files and connections the system lets this process have.
//!
//! Every connection is a file to the system, and so are the database and each call to Slack or PagerDuty. Where
//! connections could use up all of them, nobody could be told any more.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that are kept for the database, calls to others, rule files and logs.
const KEPT_FILES: usize = 128;
/// Fewest connections that a service is worth running with.
const CONNECTIONS_MIN: usize = 16;

/// Asks the system for enough files for `connections`, and says how many connections there may be.
pub(super) fn connections_within_limits(connections: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    let wanted = (connections + KEPT_FILES) as u64;
    let Some(current) = limit.current.filter(|current| *current < wanted) else { return connections };
    // The hard limit is the administrator's; up to it everybody may go.
    let raised = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted)).max(current);
    let rlimit = Rlimit { current: Some(raised), maximum: limit.maximum };
    let files = if setrlimit(Resource::Nofile, rlimit).is_ok() { raised } else { current };
    if files >= wanted {
        return connections;
    }
    let files = usize::try_from(files).unwrap_or(usize::MAX);
    let fewer = files.saturating_sub(KEPT_FILES).clamp(CONNECTIONS_MIN, connections.max(CONNECTIONS_MIN));
    tracing::warn!(
        connections = fewer,
        open_files_max = files,
        "the limit of open files is too low for limits.connections: there are fewer; raise it with `ulimit -n` or \
         LimitNOFILE"
    );
    fewer
}

//! What the service relies on of Kubernetes, as tests against a cluster: the simulator, or a real one.
//!
//! By default each test starts a simulated cluster of its own. With `SMOKEJUMPER_TEST_KUBECONFIG` all of them run
//! against that cluster, each in a namespace that it makes and removes; `docs/conformance.md` says how. Where the two
//! differ, the cluster is right. No test may rely on anything that only the simulator does.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "the suite reads where its cluster is, waits in real time, and says past the harness what was not checked"
)]

mod access;
mod apply;
mod autoscaling;
mod claims;
mod cluster;
mod dry_run;
mod events;
mod eviction;
mod exec;
mod history;
mod jobs;
mod lists;
mod logs;
mod metrics;
mod network;
mod nodes;
mod objects;
mod preconditions;
mod refusals;
mod rollouts;
mod scaling;
mod secrets;
mod stateful;
mod status;
mod strategic;
mod watches;

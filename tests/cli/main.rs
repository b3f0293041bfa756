//! The command line as a user meets it: the built program, its output and its exit codes.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "the program is run as a user runs it, on the machine's clock, and servers show why they failed"
)]

mod backtest;
mod check;
mod demo;
mod docs;
mod explain;
mod explain_cluster;
mod help;
mod online;
mod program;
mod remote;
mod same;
mod send;
#[path = "../support/servers.rs"]
mod servers;
mod stand_in;
mod test_rules;
mod tutorial;
mod usage;

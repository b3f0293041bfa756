//! The real binary and a Slack workspace that keeps to Slack's rules: what people press and write reaches the incident
//! over signed HTTPS and over Socket Mode alike, and SIGKILL at any point neither loses nor doubles it.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test starts the service, and says why it did not start"
)]

mod cheats;
mod commands;
mod direct;
mod kills;
mod modals;
mod people;
mod silences;
mod sockets;
mod two;
mod world;

#[path = "../kill/recorder.rs"]
mod recorder;
#[path = "../support/servers.rs"]
mod servers;

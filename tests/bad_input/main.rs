//! Bad input to the real binary: bodies, labels, rule files, databases, senders and clocks.
//!
//! Each must be answered with a clear error, in bounded memory, and without losing what was answered with 200.
//! What a single room does with such input is tested beside it; here the whole product is asked from outside.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test starts servers, reads its own options and reports"
)]

mod bodies;
mod clocks;
mod databases;
mod house;
mod labels;
mod rule_files;
mod senders;

#[path = "../support/clock.rs"]
mod clock;

#[path = "../support/postgres.rs"]
mod postgres;

#[path = "../support/servers.rs"]
mod servers;

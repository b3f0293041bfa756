//! The command line as a user meets it: the built program, its output and its exit codes.

#![allow(clippy::disallowed_methods, reason = "the program is run as a user runs it, on the machine's clock")]

mod check;
mod help;
mod program;
mod remote;
mod send;
mod stand_in;
mod usage;

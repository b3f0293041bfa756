//! The program: make a TLS provider ready, read the command line, do what it says, and leave with its exit code.

use std::process::ExitCode;

use smokejumper::{cli, clients};

fn main() -> ExitCode {
    // First of all: whatever builds a client before this would panic.
    clients::http::install_crypto_provider();
    cli::run(std::env::args_os())
}

//! The command line: reads it, does what it says, prints what came of it.
//!
//! One file a command. A command returns an [`answer::Answer`], which holds the same result twice, for people and for
//! scripts, or a [`failure::Failure`] with the way out; only [`run`] prints. Exit codes are a contract: 0 good, 1
//! findings or failure, 64 bad usage or configuration. A token is never an argument: arguments show in process lists.
//!
//! Reading order: this page, then [`answer`] and [`failure`], then [`remote`] (how a running service is asked), then
//! the commands.

mod actions;
mod alert;
mod answer;
mod backtest;
mod check;
mod checks;
mod completions;
mod explain;
mod failure;
mod ids;
mod incidents;
mod oncall;
mod pause;
mod rbac;
mod remote;
mod schema;
mod send;
mod serve;
mod settings_file;
mod shadow;
mod terminal;
mod test;
mod time;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use answer::{Answer, Format};
use clap::{Parser, Subcommand};
use failure::{EXIT_USAGE, Failure};

/// Columns that help is wrapped to where the terminal is wider.
const HELP_COLUMNS_MAX: usize = 100;

/// Where options stand that many commands have: below a command's own.
const ORDER_LATE: usize = 100;

const EXAMPLES: &str = "\
Examples:
  See it work, with nothing else installed:
    $ smokejumper demo

  See every mistake in the settings and rules:
    $ smokejumper check --config smokejumper.yaml

  See what would be done about an alert, and why:
    $ smokejumper explain --config smokejumper.yaml --alertname HighErrorRate --label service=api

  Stop every automatic action at once:
    $ smokejumper pause --reason 'deploying by hand'

Exit codes: 0 good, 1 findings or failure, 64 bad usage or configuration.";

/// Answers Prometheus alerts: gathers evidence, takes the remedy that the rules allow, checks that it helped, and
/// reaches the right person where it cannot.
#[derive(Debug, Parser)]
#[command(name = "smokejumper", version, after_long_help = EXAMPLES, max_term_width = HELP_COLUMNS_MAX)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    /// How results are printed: `text` for people, or `json` for scripts, as one document on stdout.
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value_t = Format::Text)]
    #[arg(hide_possible_values = true, display_order = ORDER_LATE)]
    output: Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(serve::DemoArgs),
    Serve(serve::ServeArgs),
    Check(check::CheckArgs),
    Test(test::TestArgs),
    Explain(Box<explain::ExplainArgs>),
    Backtest(Box<backtest::BacktestArgs>),
    Incidents(Box<incidents::IncidentsArgs>),
    Actions(Box<actions::ActionsArgs>),
    Checks(Box<checks::ChecksArgs>),
    Shadow(Box<shadow::ShadowArgs>),
    #[command(name = "oncall")]
    OnCall(Box<oncall::OnCallArgs>),
    Pause(Box<pause::PauseArgs>),
    Resume(Box<pause::ResumeArgs>),
    Rbac(rbac::RbacArgs),
    Schema(schema::SchemaArgs),
    Send(Box<send::SendArgs>),
    Completions(completions::CompletionsArgs),
}

/// Does what the arguments say, program name included, and returns the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    match obey(cli.command, cli.output) {
        Ok(answer) => print(&answer, cli.output),
        Err(failure) => report(&failure),
    }
}

fn obey(command: Command, format: Format) -> Result<Answer, Failure> {
    match command {
        Command::Demo(args) => serve::demo(args, format),
        Command::Serve(args) => serve::serve(args),
        Command::Check(args) => check::run(args),
        Command::Test(args) => test::run(args),
        Command::Explain(args) => explain::run(*args),
        Command::Backtest(args) => backtest::run(*args),
        Command::Incidents(args) => incidents::run(*args),
        Command::Actions(args) => actions::run(*args),
        Command::Checks(args) => checks::run(*args),
        Command::Shadow(args) => shadow::run(*args),
        Command::OnCall(args) => oncall::run(&args),
        Command::Pause(args) => pause::pause(&args),
        Command::Resume(args) => pause::resume(&args),
        Command::Rbac(args) => rbac::run(args),
        Command::Schema(args) => schema::run(&args),
        Command::Send(args) => send::run(&args),
        Command::Completions(args) => completions::run(&args, format),
    }
}

/// Shows help, the version, or what is wrong with the arguments. Clap's own exit code for the latter would be 2.
fn usage(error: &clap::Error) -> ExitCode {
    // Nothing can be said where not even stderr can be written to.
    let _ = error.print();
    if error.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS }
}

fn print(answer: &Answer, format: Format) -> ExitCode {
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(answer.show(format).as_bytes()).and_then(|()| stdout.flush());
    match written {
        Ok(()) => answer.exit_code(),
        // The reader has seen enough, as `head` does.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => answer.exit_code(),
        Err(error) => report(&Failure::failed(format!("the result cannot be printed: {error}"))),
    }
}

fn report(failure: &Failure) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "{failure}");
    failure.exit_code()
}

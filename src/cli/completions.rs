//! `completions`: scripts that let a shell complete our commands.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::answer::{Answer, Format};
use super::failure::Failure;
use super::{Cli, HELP_COLUMNS_MAX};

const EXAMPLES: &str = "\
Examples:
  For bash, in this shell only:
    $ source <(smokejumper completions bash)

  For zsh, for good, into a directory of $fpath:
    $ smokejumper completions zsh > \"${fpath[1]}/_smokejumper\"

  For fish, for good:
    $ smokejumper completions fish > ~/.config/fish/completions/smokejumper.fish

  Each prints a script; completion works in shells that are started afterwards.";

/// Print a script that completes commands in a shell.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs, format: Format) -> Result<Answer, Failure> {
    if format == Format::Json {
        let failure = Failure::usage("`completions` prints a script for a shell, which has no JSON form");
        return Err(failure.with_help("leave out `--output json`"));
    }
    let mut script = Vec::new();
    let mut command = Cli::command().max_term_width(HELP_COLUMNS_MAX);
    clap_complete::generate(args.shell, &mut command, "smokejumper", &mut script);
    let script = String::from_utf8(script).expect("completion scripts are made of our own text");
    Ok(Answer::verbatim(script))
}

//! Help that teaches: every command has examples, and every example is one that the program takes.

use crate::program::smokejumper;
use clap::{Command, CommandFactory, Parser};
use smokejumper::cli::Cli;

/// Every command with the words that lead to it, the program itself included.
fn commands() -> Vec<(Vec<String>, Command)> {
    fn walk(words: Vec<String>, command: &Command, found: &mut Vec<(Vec<String>, Command)>) {
        for below in command.get_subcommands() {
            let words = words.iter().cloned().chain([below.get_name().to_owned()]).collect();
            walk(words, below, found);
        }
        found.push((words, command.clone()));
    }
    let mut found = Vec::new();
    walk(Vec::new(), &Cli::command(), &mut found);
    found
}

fn long_help(words: &[String]) -> String {
    smokejumper(words.iter().map(String::as_str).chain(["--help"])).run().good()
}

/// The example command lines of a help text, continued lines joined.
fn examples(help: &str) -> Vec<String> {
    let joined = help.replace("\\\n", " ");
    joined.lines().filter_map(|line| line.trim_start().strip_prefix("$ ")).map(str::to_owned).collect()
}

#[test]
fn help_reads_as_it_was_written() {
    for (words, _) in commands() {
        let name = if words.is_empty() { "smokejumper".to_owned() } else { words.join("_") };
        insta::assert_snapshot!(format!("help_{name}"), long_help(&words));
    }
}

#[test]
fn every_command_teaches_by_two_to_four_examples() {
    for (words, _) in commands() {
        let count = examples(&long_help(&words)).len();
        assert!((2..=4).contains(&count), "{words:?} has {count} examples");
    }
}

#[test]
fn help_is_never_wrapped_within_an_example() {
    for (words, command) in commands() {
        let examples = command.get_after_long_help().map(ToString::to_string).unwrap_or_default();
        let long: Vec<&str> = examples.lines().filter(|line| line.chars().count() > 100).collect();
        assert!(long.is_empty(), "{words:?}: {long:#?}");
    }
}

#[test]
fn every_example_is_one_that_the_program_takes() {
    let mut taken = 0;
    for (words, _) in commands() {
        for example in examples(&long_help(&words)) {
            for call in calls_within(&example) {
                let parsed = Cli::try_parse_from(split(&call));
                assert!(
                    parsed.is_ok(),
                    "{call:?} of {words:?}: {}",
                    parsed.err().map(|e| e.to_string()).unwrap_or_default()
                );
                taken += 1;
            }
        }
    }
    assert!(taken > 20, "only {taken} examples were found");
}

/// The calls of our program within a shell line: up to a pipe, a redirection or a closing parenthesis.
fn calls_within(line: &str) -> Vec<String> {
    let starts = line.match_indices("smokejumper ").map(|(at, _)| at);
    let is_call = |at: &usize| *at == 0 || line[..*at].ends_with(['(', ' ']) && !line[..*at].ends_with("-u ");
    starts
        .filter(is_call)
        .map(|at| {
            let call = &line[at..];
            let end = [" | ", " > ", " \\", ")", "$("].iter().filter_map(|mark| call.find(mark)).min();
            call[..end.unwrap_or(call.len())].trim().to_owned()
        })
        .filter(|call| !call.ends_with("resolve"))
        .collect()
}

/// Splits as a shell does, as far as our examples need it: blanks and single quotes.
fn split(call: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for char in call.chars() {
        match char {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty())),
            other => word.push(other),
        }
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}

#[test]
fn the_command_tree_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = smokejumper(["completions", shell]).run().good();
        for word in ["incidents", "resolve", "--dry-run"] {
            let word = if shell == "fish" { word.trim_start_matches('-') } else { word };
            assert!(script.contains(word), "the script for {shell} does not know {word}");
        }
    }
}

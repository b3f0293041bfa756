//! `serve` and `demo`: the two commands that run the service until a signal.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser};

use super::answer::{Answer, Format};
use super::failure::Failure;
use super::settings_file;
use crate::app::{self, DemoOptions, FIRST_SCENARIO, ServeOptions};
use crate::sandbox::scenario;
use crate::sandbox::world::DEFAULT_SPEED;

/// How fast the simulated world may run. Slower than the clock nothing would happen for minutes; much faster, a story
/// would be over before its page is open, and its times would be below those that the sender can keep.
const SPEEDS: RangeInclusive<f64> = 1.0..=600.0;

const SERVE_EXAMPLES: &str = "\
Examples:
  Run with the settings in a file, until Ctrl-C or SIGTERM:
    $ smokejumper serve --config smokejumper.yaml

  Change one setting for this run; every key has such a variable:
    $ SMOKEJUMPER__SERVER__LISTEN=127.0.0.1:9200 smokejumper serve --config smokejumper.yaml

  Rules are read again when their files change, at SIGHUP, and at POST /-/reload.
  A new installation runs in `mode: dry_run`: it decides and tells, and touches nothing.";

/// Run the service.
#[derive(Debug, Args)]
#[command(after_long_help = SERVE_EXAMPLES)]
pub(super) struct ServeArgs {
    /// The settings file. Without it, defaults and `SMOKEJUMPER__…` variables hold.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

const DEMO_EXAMPLES: &str = "\
Examples:
  Play an incident in the browser, with a simulated cluster, Prometheus, Slack and PagerDuty:
    $ smokejumper demo

  Begin with a pod that crashes, at half the speed:
    $ smokejumper demo --scenario crash-loop --speed 15

  Nothing outside this machine is touched, and nothing stays behind.";

/// Play an incident against a simulated world, in the browser.
#[derive(Debug, Args)]
#[command(after_long_help = DEMO_EXAMPLES)]
pub(super) struct DemoArgs {
    /// Port of the page; 9118, or a free one where that is taken.
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// What to begin with.
    #[arg(long, value_name = "NAME", value_parser = scenarios(), default_value = FIRST_SCENARIO)]
    scenario: String,
    /// How many times faster than the clock the simulated world runs, from 1 to 600.
    #[arg(long, value_name = "FACTOR", value_parser = speed, default_value_t = DEFAULT_SPEED)]
    speed: f64,
}

/// The stories that the simulated world can tell.
fn scenarios() -> PossibleValuesParser {
    scenario::TITLES.map(|(name, title)| PossibleValue::new(name).help(title)).into()
}

fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| "write a number, such as 30".to_owned())?;
    if SPEEDS.contains(&speed) {
        Ok(speed)
    } else {
        Err(format!("the world runs {} to {} times as fast as the clock", SPEEDS.start(), SPEEDS.end()))
    }
}

pub(super) fn serve(args: ServeArgs) -> Result<Answer, Failure> {
    run(app::serve(ServeOptions { config: settings_file::told(args.config) }))
}

/// What it prints comes at its start, not at its end.
pub(super) fn demo(args: DemoArgs, format: Format) -> Result<Answer, Failure> {
    let DemoArgs { port, scenario, speed } = args;
    run(app::demo(DemoOptions { port, scenario, speed, json: format == Format::Json }))
}

fn run(service: impl Future<Output = anyhow::Result<()>>) -> Result<Answer, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("the runtime cannot start: {error}")))?;
    runtime.block_on(service).map(|()| Answer::silent()).map_err(Failure::of)
}

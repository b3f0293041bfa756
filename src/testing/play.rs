//! Plays one test: what happens, in its order, through the real engine over a store of its own; then what was expected.

use super::complaints::complaints;
use super::files::Suite;
use super::format::{Expect, Input, Person, Test};
use super::judge::{Scene, judge};
use super::people::{self, Press};
use super::platform::{Ground, Platform};
use super::report::{Failure, Mismatch, Outcome, Played};
use super::stage::{Cast, CountingIds, ManualClock, PlainAlerts, Stage, StageError};
use super::trail::{Entry, trail};
use super::world::{Tools, World};
use crate::domain::Labels;
use crate::domain::alert::{Alert, AlertStatus};
use crate::domain::fingerprint::Fingerprint;
use crate::domain::incident::IncidentId;
use crate::engine::ports::{Clock, IncidentView};
use crate::notify::paper::{Paper, Reading, Written};
use crate::store::memory::Memory;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// When tests begin that do not say it: on a Tuesday at eleven in Berlin.
const START: &str = "2026-03-10T10:00:00Z";

/// Where links in messages lead.
const EXTERNAL_URL: &str = "https://smokejumper.example.com";

/// Points in time at which something is due within one test. A test that needs more goes on for weeks.
const STEPS_MAX: u32 = 20_000;

/// Why a test could not be played to its end.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// The engine could not go on.
    #[error("the test cannot go on: {0}")]
    Stage(#[from] StageError),
    /// Something is always due.
    #[error("more than {STEPS_MAX} things are due before its end: expect something earlier")]
    Endless,
}

/// What is read along while a test plays.
type Messages = Arc<Mutex<Vec<(IncidentId, Written)>>>;

/// One test that is being played.
struct Play<'p> {
    suite: &'p Suite,
    index: usize,
    platform: &'p Platform,
    ground: Ground,
    start: Timestamp,
    clock: Arc<ManualClock>,
    world: Arc<World>,
    store: Arc<Memory>,
    stage: Stage,
    messages: Messages,
    /// Alerts that fire, by their labels.
    firing: BTreeMap<Fingerprint, Alert>,
    /// What happened by the test's own words.
    inputs: Vec<Entry>,
    failures: Vec<Failure>,
}

/// Something of the test, in the order of time.
enum Happening<'t> {
    Input(usize, &'t Input),
    Expect(usize, &'t Expect),
}

/// Plays a test.
///
/// # Errors
/// Where it could not be played to its end.
pub async fn play(
    suite: &Suite,
    index: usize,
    platform: &Platform,
    ground: Ground,
    tools: Arc<Tools>,
) -> Result<Played, PlayError> {
    let spec = &suite.document.spec;
    let test = &spec.tests[index];
    let start = test.start.or(spec.start).unwrap_or_else(|| START.parse().expect("a time"));
    let store = Arc::new(Memory::whole());
    let clock = Arc::new(ManualClock::at(start));
    let world = Arc::new(World::new(Arc::clone(&platform.book), tools));
    let messages = Messages::default();
    let reads = test.expect.0.iter().any(|expect| !expect.messages.0.is_empty());
    let stage = Stage::begin(cast(platform, &ground, &store, &clock, &world, paper(&messages, reads)));
    let mut play = Play {
        suite,
        index,
        platform,
        ground,
        start,
        clock,
        world,
        store: Arc::clone(&store),
        stage,
        messages,
        firing: BTreeMap::new(),
        inputs: Vec::new(),
        failures: Vec::new(),
    };
    let told = play.until_its_end(test).await;
    play.stage.end().await;
    told
}

/// Draws messages and keeps them; edits of cards only where the test reads what they say.
fn paper(messages: &Messages, reads: bool) -> Paper {
    let kept = Arc::clone(messages);
    let reading: Reading = Arc::new(move |view: &IncidentView, written| {
        let message = (view.incident.id.clone(), written);
        kept.lock().unwrap_or_else(PoisonError::into_inner).push(message);
    });
    let paper = Paper::new(EXTERNAL_URL.to_owned(), reading);
    if reads { paper } else { paper.without_edits() }
}

fn cast(
    platform: &Platform,
    ground: &Ground,
    store: &Arc<Memory>,
    clock: &Arc<ManualClock>,
    world: &Arc<World>,
    paper: Paper,
) -> Cast {
    Cast {
        store: store.clone(),
        reader: store.clone(),
        playbook: platform.book.clone(),
        diagnoser: world.clone(),
        sentinel: world.clone(),
        surveyor: world.clone(),
        actor: world.clone(),
        alerting: Some(world.clone()),
        notifier: Arc::new(paper),
        clock: clock.clone(),
        ids: Arc::new(CountingIds::default()),
        decoder: Arc::new(PlainAlerts),
        settings: ground.engine.clone(),
    }
}

impl Play<'_> {
    async fn until_its_end(&mut self, test: &Test) -> Result<Played, PlayError> {
        self.world.find(&self.suite.document.spec.findings);
        self.world.find(&test.findings);
        self.world.show(&test.targets);
        self.world.answer(&test.outcomes);
        if let Some(alert) = &test.alert {
            self.fire(&alert.0, &test.annotations).await?;
        }
        let mut earlier = None;
        let mut now = SignedDuration::ZERO;
        for (at, happening) in in_order(test) {
            if at > now {
                (earlier, now) = (expected_until(test, now).or(earlier), at);
            }
            self.pass(at).await?;
            match happening {
                Happening::Input(number, input) => self.happen(number, input).await?,
                Happening::Expect(number, expect) => self.look(number, expect, earlier).await?,
            }
        }
        let views = self.views();
        self.complain(test, &views);
        let outcome = match self.failures.is_empty() {
            true => Outcome::Passed,
            false => Outcome::Failed(std::mem::take(&mut self.failures)),
        };
        let trail = trail(self.start, &self.inputs, &views, &self.messages());
        Ok(Played { outcome, trail, views })
    }

    /// Lets time pass up to a time of the test, stopping wherever something is due.
    async fn pass(&mut self, at: SignedDuration) -> Result<(), PlayError> {
        let end = self.start + at;
        for _ in 0..STEPS_MAX {
            match self.store.next_due() {
                Some(due) if due <= end => {
                    self.clock.set(due.max(self.clock.now()));
                    self.stage.work().await?;
                }
                _ => {
                    self.clock.set(end);
                    return Ok(());
                }
            }
        }
        Err(PlayError::Endless)
    }

    async fn happen(&mut self, number: usize, input: &Input) -> Result<(), PlayError> {
        self.world.find(&input.findings);
        self.world.show(&input.targets);
        self.world.answer(&input.outcomes);
        for what in people::of_the_world(input) {
            self.note(what);
        }
        if let Some(why) = &input.blind {
            self.world.blind(why);
        }
        if let Some(alerts) = &input.fires {
            self.fire(&alerts.0, &input.annotations).await?;
        }
        if let Some(alerts) = &input.resolves {
            self.resolve(number, &alerts.0).await?;
        }
        for (press, person) in people::presses(input) {
            self.press(number, press, person).await?;
        }
        Ok(())
    }

    fn note(&mut self, text: String) {
        self.inputs.push(Entry::of_test(self.clock.now(), text));
    }

    async fn fire(&mut self, alerts: &[Labels], annotations: &Labels) -> Result<(), PlayError> {
        let now = self.clock.now();
        let mut told = Vec::new();
        for labels in alerts {
            let mut whole = self.suite.document.spec.labels.clone();
            whole.extend(labels.clone());
            let alert = Alert {
                fingerprint: Fingerprint::of_labels(&whole),
                status: AlertStatus::Firing,
                labels: whole,
                annotations: annotations.clone(),
                starts_at: now,
                ends_at: None,
                generator_url: None,
            };
            // One that fires already is told again as it began.
            let alert = self.firing.entry(alert.fingerprint).or_insert(alert).clone();
            self.note(format!("fires: {}", shown(&alert.labels)));
            told.push(alert);
        }
        self.post(&told).await
    }

    async fn resolve(&mut self, number: usize, alerts: &[Labels]) -> Result<(), PlayError> {
        let now = self.clock.now();
        let mut told = Vec::new();
        for labels in alerts {
            let fits =
                |alert: &Alert| labels.iter().all(|(name, value)| alert.labels.get(name) == Some(value));
            let ended: Vec<Fingerprint> =
                self.firing.iter().filter(|(_, alert)| fits(alert)).map(|(key, _)| *key).collect();
            if ended.is_empty() {
                let mismatch = Mismatch::said(format!("no alert with {} fires", shown(labels)));
                self.fail(&["input", &number.to_string(), "resolves"], now, vec![mismatch]);
            }
            for alert in ended.iter().filter_map(|key| self.firing.remove(key)) {
                self.inputs.push(Entry::of_test(now, format!("ends: {}", shown(&alert.labels))));
                told.push(Alert { status: AlertStatus::Resolved, ends_at: Some(now), ..alert });
            }
        }
        self.post(&told).await
    }

    async fn post(&mut self, alerts: &[Alert]) -> Result<(), PlayError> {
        if !alerts.is_empty() {
            self.stage.post(alerts).await?;
            self.stage.work().await?;
        }
        Ok(())
    }

    async fn press(&mut self, number: usize, press: Press, person: &Person) -> Result<(), PlayError> {
        let now = self.clock.now();
        self.note(format!("{}: {}", press.key(), person.by));
        let views = self.views();
        let told = people::press(press, person, &views, &self.ground.people, &self.stage.commands, now).await;
        self.stage.work().await?;
        let mismatch = match (told, &person.refused) {
            (Ok(()), None) => return Ok(()),
            (Ok(()), Some(wanted)) => Mismatch::of("refused", wanted.clone(), "it counted".to_owned()),
            (Err(why), Some(wanted)) if why.contains(wanted.as_str()) => return Ok(()),
            (Err(why), Some(wanted)) => Mismatch::of("refused", wanted.clone(), why),
            (Err(why), None) => Mismatch::said(format!("this did not count: {why}")),
        };
        self.fail(&["input", &number.to_string(), press.key()], now, vec![mismatch]);
        Ok(())
    }

    async fn look(
        &mut self,
        number: usize,
        expect: &Expect,
        earlier: Option<SignedDuration>,
    ) -> Result<(), PlayError> {
        let views = self.views();
        let messages = self.messages();
        let scene = Scene {
            start: self.start,
            now: self.clock.now(),
            since: earlier.map(|earlier| self.start + earlier),
            views: &views,
            messages: &messages,
            book: &self.platform.book,
        };
        let mismatches = judge(expect, &scene);
        if !mismatches.is_empty() {
            self.fail(&["expect", &number.to_string()], self.clock.now(), mismatches);
        }
        Ok(())
    }

    fn fail(&mut self, path: &[&str], at: Timestamp, mismatches: Vec<Mismatch>) {
        let index = self.index.to_string();
        let path: Vec<&str> = ["spec", "tests", &index].iter().chain(path).copied().collect();
        let place = self.suite.place(&path);
        self.failures.push(Failure { place, at: at.duration_since(self.start), mismatches });
    }

    /// What is wrong with the test itself.
    fn complain(&mut self, test: &Test, views: &[IncidentView]) {
        let (spec, asked) = (&self.suite.document.spec, self.world.asked());
        for (place, at, mismatch) in complaints(spec, test, &asked, views, &self.platform.book) {
            let place: Vec<&str> = place.iter().map(String::as_str).collect();
            self.fail(&place, at.unwrap_or(self.clock.now()), vec![mismatch]);
        }
    }

    /// All incidents, oldest first.
    fn views(&self) -> Vec<IncidentView> {
        self.store.views()
    }

    fn messages(&self) -> Vec<(IncidentId, Written)> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What happens, in the order of time; what is expected comes after all that happens at its time.
fn in_order(test: &Test) -> Vec<(SignedDuration, Happening<'_>)> {
    let inputs = test.input.iter().enumerate();
    let inputs = inputs.map(|(number, input)| (input.at.signed(), Happening::Input(number, input)));
    let expected = test.expect.0.iter().enumerate();
    let expected = expected.map(|(number, expect)| (expect.at.signed(), Happening::Expect(number, expect)));
    let mut all: Vec<_> = inputs.chain(expected).collect();
    all.sort_by_key(|(at, happening)| (*at, matches!(happening, Happening::Expect(..))));
    all
}

/// The time up to which something was expected, if anything was at this very time.
fn expected_until(test: &Test, at: SignedDuration) -> Option<SignedDuration> {
    test.expect.0.iter().any(|expect| expect.at.signed() == at).then_some(at)
}

fn shown(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join(" ")
}

//! Decisions: which remedy, and why; which not, and why not.
//!
//! [`decide`] walks the ladder once. Its [`Reason`] feeds the timeline, the log field, the metric label and the
//! sentence in Slack, so that all of them tell the same story.

use crate::action::{ActionPlan, Tier};
use crate::catalog::Performer;
use crate::diagnosis::ConditionOutcome;
use crate::guardrail::{self, Guardrail, GuardrailVerdict};
use crate::rule::RuleMode;
use crate::survey::{Survey, SurveyOutcome, SurveyStanding, Surveyed, Touch};
use crate::timeline::{LineKind, TimelineLine};
use crate::verification::after;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What was decided about one remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// Start it now.
    Run,
    /// Ask people first.
    Ask,
    /// Record that it would have run or been asked for.
    Simulate,
    /// A guardrail forbids it.
    Block,
    /// It does not apply.
    Skip,
}

impl Decision {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Run, Self::Ask, Self::Simulate, Self::Block, Self::Skip];

    /// The word used in `explain`, timelines and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Ask => "ask",
            Self::Simulate => "simulate",
            Self::Block => "block",
            Self::Skip => "skip",
        }
    }
}

/// Why something was decided, or why an action stands where it stands. A closed set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Its tier lets it run alone.
    RunsAlone(Tier),
    /// It only observes or tells.
    TouchesNothing,
    /// People carry it out.
    DoneByPeople,
    /// Its tier needs so many approvals.
    NeedsApproval(Tier),
    /// Its condition does not hold.
    ConditionFails,
    /// Its condition cannot be judged.
    ConditionUnknown(String),
    /// The settings lack what it needs, such as an endpoint.
    NotSetUp(String),
    /// Its values could not be rendered, or are not acceptable.
    PlanInvalid(String),
    /// There is nothing to do for it at its target.
    NothingToDo(String),
    /// The look at its target says that it must not or cannot be done.
    SurveyRefused(String),
    /// Its target has changed since it was asked for.
    Stale(String),
    /// It was tried in this incident before.
    AlreadyTried,
    /// A remedy before it on the ladder was taken.
    EarlierRemedyTaken,
    /// A guardrail forbids it.
    Guardrail(Guardrail, String),
    /// Dry run: this would have happened.
    DryRun(Tier),
    /// Its rule is in shadow: this would have happened.
    Shadow(Would),
    /// Enough people approved.
    Approved(String),
    /// A person refused, with their words.
    Rejected(String, Option<String>),
    /// Nobody answered in time.
    ApprovalExpired,
    /// The incident ended first.
    IncidentResolved,
    /// A person has taken over before it began.
    TakenOver(String),
    /// It was carried out.
    Applied,
    /// It certainly was not carried out.
    NotApplied(String),
    /// It was carried out, and failed.
    Failed(String),
    /// Nobody knows whether it was carried out.
    OutcomeUnknown(String),
    /// It helped.
    Verified,
    /// It was carried out, and the incident ended before anybody could see whether it helped.
    NotVerified,
    /// It did not help.
    VerificationFailed(String),
    /// It was carried out, and nobody could see whether it helped.
    Unproven(String),
    /// It did not help and was undone.
    RolledBack(String),
    /// It did not help and could not be undone.
    RollbackFailed(String),
    /// People said that their task is done.
    TaskDone(String),
    /// The time of a temporary change is over.
    TimeIsOver,
    /// Somebody set a temporary change back before we did.
    SetBack(String),
}

/// What a rule in shadow would have done about a remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Would {
    /// Carried it out alone.
    Run(Tier),
    /// Asked people for approval.
    Ask(Tier),
    /// Told somebody, or observed something more.
    Tell,
    /// Given it to people to do.
    HandToPeople,
}

impl Would {
    /// What would become of a remedy that nothing forbids.
    pub fn of(tier: Tier, performer: Performer) -> Self {
        match (tier, performer) {
            (Tier::T0, _) => Self::Tell,
            (_, Performer::People) => Self::HandToPeople,
            (tier, Performer::Machine) if tier.approvals_needed() == 0 => Self::Run(tier),
            (tier, Performer::Machine) => Self::Ask(tier),
        }
    }

    /// Whether the ladder goes on behind it: telling people mends nothing.
    pub fn mends_nothing(self) -> bool {
        self == Self::Tell
    }
}

impl Reason {
    /// The stable word: metric label, log field and filter.
    pub fn word(&self) -> &'static str {
        match self {
            Self::RunsAlone(_) => "runs_alone",
            Self::TouchesNothing => "touches_nothing",
            Self::DoneByPeople => "done_by_people",
            Self::NeedsApproval(_) => "needs_approval",
            Self::ConditionFails => "condition_fails",
            Self::ConditionUnknown(_) => "condition_unknown",
            Self::NotSetUp(_) => "not_set_up",
            Self::PlanInvalid(_) => "plan_invalid",
            Self::NothingToDo(_) => "nothing_to_do",
            Self::SurveyRefused(_) => "survey_refused",
            Self::Stale(_) => "stale",
            Self::AlreadyTried => "already_tried",
            Self::EarlierRemedyTaken => "earlier_remedy_taken",
            Self::Guardrail(guardrail, _) => guardrail.as_str(),
            Self::DryRun(_) => "dry_run",
            Self::Shadow(_) => "shadow",
            Self::Approved(_) => "approved",
            Self::Rejected(..) => "rejected",
            Self::ApprovalExpired => "approval_expired",
            Self::IncidentResolved => "incident_resolved",
            Self::TakenOver(_) => "taken_over",
            Self::Applied => "applied",
            Self::NotApplied(_) => "not_applied",
            Self::Failed(_) => "failed",
            Self::OutcomeUnknown(_) => "outcome_unknown",
            Self::Verified => "verified",
            Self::NotVerified => "not_verified",
            Self::VerificationFailed(_) => "verification_failed",
            Self::Unproven(_) => "unproven",
            Self::RolledBack(_) => "rolled_back",
            Self::RollbackFailed(_) => "rollback_failed",
            Self::TaskDone(_) => "task_done",
            Self::TimeIsOver => "time_is_over",
            Self::SetBack(_) => "set_back",
        }
    }
}

impl std::fmt::Display for Reason {
    /// One sentence for people, without a final stop.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::RunsAlone(tier) => write!(f, "{tier} runs alone"),
            Self::TouchesNothing => f.write_str("it only observes or tells"),
            Self::DoneByPeople => f.write_str("people carry it out"),
            Self::NeedsApproval(tier) => match tier.approvals_needed() {
                1 => write!(f, "{tier} needs one approval"),
                count => write!(f, "{tier} needs {count} approvals by different people"),
            },
            Self::ConditionFails => f.write_str("its condition does not hold"),
            Self::ConditionUnknown(why) => write!(f, "its condition cannot be judged: {why}"),
            Self::NotSetUp(why) => write!(f, "it is not set up: {why}"),
            Self::PlanInvalid(why) => write!(f, "it could not be planned: {why}"),
            Self::NothingToDo(why) => write!(f, "there is nothing to do: {why}"),
            Self::SurveyRefused(why) => write!(f, "its target does not allow it: {why}"),
            Self::Stale(why) => write!(f, "its plan is out of date: {why}"),
            Self::AlreadyTried => f.write_str("it was tried in this incident before"),
            Self::EarlierRemedyTaken => f.write_str("a remedy before it was taken"),
            Self::Guardrail(_, why) => f.write_str(why),
            Self::DryRun(Tier::T0 | Tier::T1) => f.write_str("dry run: it would have run alone"),
            Self::DryRun(tier) => write!(f, "dry run: it would have asked for approval ({tier})"),
            Self::Shadow(Would::Run(tier)) => write!(f, "in shadow: it would have run alone ({tier})"),
            Self::Shadow(Would::Ask(tier)) => {
                write!(f, "in shadow: it would have asked for approval ({tier})")
            }
            Self::Shadow(Would::Tell) => f.write_str("in shadow: it would have observed or told"),
            Self::Shadow(Would::HandToPeople) => {
                f.write_str("in shadow: people would have been asked to carry it out")
            }
            Self::Approved(who) => write!(f, "approved by {who}"),
            Self::Rejected(who, None) => write!(f, "rejected by {who}"),
            Self::Rejected(who, Some(why)) => write!(f, "rejected by {who}: {why}"),
            Self::ApprovalExpired => f.write_str("nobody answered in time"),
            Self::IncidentResolved => f.write_str("the incident ended first"),
            Self::TakenOver(who) => write!(f, "{who} has taken over"),
            Self::Applied => f.write_str("it was carried out"),
            Self::NotApplied(why) => write!(f, "it was not carried out: {why}"),
            Self::Failed(why) => write!(f, "it was carried out, and failed: {why}"),
            Self::OutcomeUnknown(why) => write!(f, "nobody knows whether it was carried out: {why}"),
            Self::Verified => f.write_str("it helped"),
            Self::NotVerified => f.write_str(
                "it was carried out; the incident ended before it could be seen whether it helped",
            ),
            Self::VerificationFailed(why) => write!(f, "it did not help: {why}"),
            Self::Unproven(why) => write!(f, "nobody can see whether it helped: {why}"),
            Self::RolledBack(why) => write!(f, "it did not help ({why}) and was undone"),
            Self::RollbackFailed(why) => write!(f, "it did not help and could not be undone: {why}"),
            Self::TaskDone(who) => write!(f, "{who} says that it is done"),
            Self::TimeIsOver => f.write_str("its time is over, and it is set back"),
            Self::SetBack(what) => write!(f, "somebody has set it back: {what}"),
        }
    }
}

/// One rung of the ladder with everything that deciding needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Name of the remedy.
    pub remedy: String,
    /// Tier at which it would run.
    pub tier: Tier,
    /// Who would carry it out.
    pub performer: Performer,
    /// Its condition, judged over the findings.
    pub condition: ConditionOutcome,
    /// What the settings lack of what it needs.
    pub not_set_up: Option<String>,
    /// Its plan, or why there is none.
    pub plan: Result<ActionPlan, String>,
    /// Its inverse as the rule states it.
    pub inverse: Option<ActionPlan>,
    /// What it would change as far as its draft tells, where that is not its target alone.
    pub touches: Vec<String>,
    /// Where it stands with the look at its target.
    pub survey: SurveyStanding,
    /// What the guardrails say. Empty for what touches nothing.
    pub guardrails: Vec<GuardrailVerdict>,
    /// Whether it was tried in this incident.
    pub tried: bool,
}

impl Candidate {
    /// Takes in the survey of its draft, where it needs one: the plan with all values, its inverse, a tier that may be
    /// higher.
    pub fn take_survey(&mut self, surveys: &[Survey]) {
        let (SurveyStanding::Missing, Ok(draft)) = (&self.survey, &self.plan) else { return };
        let digest = draft.digest();
        let Some(survey) = surveys.iter().find(|one| one.remedy == self.remedy && one.draft == digest) else {
            return;
        };
        match survey.outcome.clone() {
            SurveyOutcome::NothingToDo { reason } => self.survey = SurveyStanding::NothingToDo(reason),
            SurveyOutcome::Refused { reason } => self.survey = SurveyStanding::Refused(reason),
            SurveyOutcome::NotNow { reason, wait } => {
                let until = after(survey.at, wait.unwrap_or_default());
                self.survey = SurveyStanding::NotNow { reason, until };
            }
            SurveyOutcome::Ready(surveyed) => {
                let Surveyed { plan, inverse, tier_floor, notes, impact } = *surveyed;
                self.plan = Ok(plan);
                // What the rule says about undoing comes before what the action has recorded.
                self.inverse = self.inverse.take().or(inverse);
                self.tier = self.tier.max(tier_floor);
                self.survey = SurveyStanding::Done { at: survey.at, impact, notes };
            }
        }
    }

    /// Takes for granted that its target allows it, where nobody has looked. For rehearsals alone.
    pub fn assume_survey(&mut self) {
        if self.survey == SurveyStanding::Missing && self.plan.is_ok() {
            self.survey = SurveyStanding::Assumed;
        }
    }

    /// Whether guardrails have a say about it: it is a plan that the machine would carry out on the world.
    pub fn is_guarded(&self) -> bool {
        use SurveyStanding::{Assumed, Done, NotNeeded};
        let is_possible = matches!(self.survey, NotNeeded | Assumed | Done { .. });
        self.tier > Tier::T0 && self.performer == Performer::Machine && self.plan.is_ok() && is_possible
    }

    /// When its target was looked at.
    pub fn surveyed_at(&self) -> Option<Timestamp> {
        match &self.survey {
            SurveyStanding::Done { at, .. } => Some(*at),
            _ => None,
        }
    }

    /// What is known of how it touches a cluster.
    pub fn touch(&self) -> Touch<'_> {
        match (&self.survey, &self.plan) {
            (SurveyStanding::Done { impact, .. }, _) if impact.kind.is_empty() => Touch::Nothing,
            (SurveyStanding::Done { impact, .. }, _) => Touch::Seen(impact),
            (SurveyStanding::Assumed, Ok(_)) if !self.touches.is_empty() => Touch::Unseen(&self.touches),
            (SurveyStanding::Assumed, Ok(plan)) => Touch::Unseen(std::slice::from_ref(&plan.target)),
            _ => Touch::Nothing,
        }
    }

    /// What it touches beside its target, for limits that are counted by object.
    pub fn other_objects(&self) -> Vec<String> {
        let target = self.plan.as_ref().map_or("", |plan| plan.target.as_str());
        let mut others: Vec<String> =
            self.touch().objects().filter(|object| *object != target).map(str::to_owned).collect();
        others.sort_unstable();
        others.dedup();
        others
    }

    /// What its survey wants people to know.
    pub fn notes(&self) -> &[String] {
        match &self.survey {
            SurveyStanding::Done { notes, .. } => notes,
            _ => &[],
        }
    }
}

/// The decision about one rung.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RemedyDecision {
    /// Name of the remedy.
    pub remedy: String,
    /// What was decided.
    pub decision: Decision,
    /// Why.
    pub reason: Reason,
}

/// What a line of the timeline says was decided about a remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decided<'l> {
    /// The remedy.
    pub remedy: &'l str,
    /// The word of the decision.
    pub decision: &'l str,
    /// Why, in a sentence.
    pub reason: &'l str,
    /// The stable word of the reason.
    pub word: &'l str,
}

/// The decision that a line tells of.
pub fn decided(line: &TimelineLine) -> Option<Decided<'_>> {
    if line.kind != LineKind::Decision {
        return None;
    }
    let (remedy, rest) = line.text.split_once(": ")?;
    let (decision, reason) = rest.split_once("; ")?;
    let word = line.reason.as_deref()?;
    let is_one = Decision::ALL.iter().any(|known| known.as_str() == decision);
    is_one.then_some(Decided { remedy, decision, reason, word })
}

/// Walks the ladder from the top. The first remedy that applies is taken, or blocks the walk when a guardrail
/// forbids it: a later and stronger remedy must not be reached because an earlier one was forbidden.
pub fn decide(candidates: &[Candidate], mode: RuleMode) -> Vec<RemedyDecision> {
    let mut taken = false;
    candidates
        .iter()
        .map(|candidate| {
            let (decision, reason) =
                if taken { (Decision::Skip, Reason::EarlierRemedyTaken) } else { judge(candidate, mode) };
            taken = taken || decision != Decision::Skip;
            RemedyDecision { remedy: candidate.remedy.clone(), decision, reason }
        })
        .collect()
}

/// Judges one rung for itself. In shadow, whatever would be done is recorded instead.
pub fn judge(candidate: &Candidate, mode: RuleMode) -> (Decision, Reason) {
    let judged = judge_live(candidate);
    match judged.0 {
        Decision::Run | Decision::Ask | Decision::Simulate if mode.is_shadow() => {
            (Decision::Simulate, Reason::Shadow(Would::of(candidate.tier, candidate.performer)))
        }
        _ => judged,
    }
}

fn judge_live(candidate: &Candidate) -> (Decision, Reason) {
    if candidate.tried {
        return (Decision::Skip, Reason::AlreadyTried);
    }
    // What the settings lack is no reason to stop the ladder: the next remedy may do.
    match (&candidate.condition, &candidate.not_set_up) {
        (ConditionOutcome::Fails, _) => return (Decision::Skip, Reason::ConditionFails),
        (_, Some(why)) => return (Decision::Skip, Reason::NotSetUp(why.clone())),
        (ConditionOutcome::Unknown(why), None) => {
            return (Decision::Skip, Reason::ConditionUnknown(why.clone()));
        }
        (ConditionOutcome::Holds, None) => {}
    }
    if let Err(why) = &candidate.plan {
        return (Decision::Block, Reason::PlanInvalid(why.clone()));
    }
    match &candidate.survey {
        SurveyStanding::NotNeeded | SurveyStanding::Assumed | SurveyStanding::Done { .. } => {}
        SurveyStanding::NothingToDo(why) => return (Decision::Skip, Reason::NothingToDo(why.clone())),
        SurveyStanding::Refused(why) | SurveyStanding::NotNow { reason: why, .. } => {
            // Where the look failed because nobody could look, that is the reason, and it may pass.
            let denial = guardrail::first_denial(&candidate.guardrails);
            let reason =
                denial.map(|verdict| Reason::Guardrail(verdict.guardrail, verdict.reason.to_string()));
            return (Decision::Block, reason.unwrap_or_else(|| Reason::SurveyRefused(why.clone())));
        }
        SurveyStanding::Missing => {
            let why = "nobody has looked at its target".to_owned();
            return (Decision::Block, Reason::SurveyRefused(why));
        }
    }
    if candidate.tier == Tier::T0 {
        return (Decision::Run, Reason::TouchesNothing);
    }
    if candidate.performer == Performer::People {
        return (Decision::Run, Reason::DoneByPeople);
    }
    judge_guarded(candidate)
}

fn judge_guarded(candidate: &Candidate) -> (Decision, Reason) {
    let denial =
        candidate.guardrails.iter().find(|verdict| !verdict.allowed && !verdict.guardrail.only_simulates());
    if let Some(verdict) = denial {
        return (Decision::Block, Reason::Guardrail(verdict.guardrail, verdict.reason.to_string()));
    }
    // No verdict at all means that nobody judged: acting fails closed.
    if candidate.guardrails.is_empty() {
        let why = "the guardrails could not be judged".to_owned();
        return (Decision::Block, Reason::PlanInvalid(why));
    }
    if candidate.guardrails.iter().any(|verdict| !verdict.allowed) {
        return (Decision::Simulate, Reason::DryRun(candidate.tier));
    }
    match candidate.tier.approvals_needed() {
        0 => (Decision::Run, Reason::RunsAlone(candidate.tier)),
        _ => (Decision::Ask, Reason::NeedsApproval(candidate.tier)),
    }
}

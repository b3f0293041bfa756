//! Approvals: one person for T2, two different people for T3, each for exactly one plan.

use crate::action::{PlanDigest, Tier};
use crate::people::{Actor, Role};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a person decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Do it.
    Approve,
    /// Do not do it.
    Reject,
}

impl Verdict {
    /// The past participle, for sentences: "approved by …".
    pub fn past(self) -> &'static str {
        match self {
            Self::Approve => "approved",
            Self::Reject => "rejected",
        }
    }
}

/// One person's recorded decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalRecord {
    /// Who.
    pub actor: Actor,
    /// Their member id in Slack, where they decided there: the same person may be known by one name today and by another
    /// tomorrow, such as by their mail address and as a member of a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// What.
    pub verdict: Verdict,
    /// When.
    pub at: Timestamp,
    /// In their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The decisions about one action so far.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Approvals {
    /// When an outstanding approval expires; none while nobody was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Decisions in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<ApprovalRecord>,
}

/// Why a decision was not taken. Nothing changes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApprovalRefused {
    /// The caller may not approve.
    #[error("{who} has the role {role}, and approving needs approver")]
    NotAllowed {
        /// Who tried.
        who: String,
        /// Their role.
        role: &'static str,
    },
    /// The plan that they saw is not the plan that stands.
    #[error("the plan has changed since this was asked; look at the new plan and decide again")]
    PlanChanged,
    /// It was decided before.
    #[error("already {verdict} by {who}")]
    AlreadyDecided {
        /// Approved or rejected.
        verdict: &'static str,
        /// By whom.
        who: String,
    },
    /// Too late.
    #[error("the request expired at {0}")]
    Expired(Timestamp),
    /// Nobody is asked at the moment.
    #[error("nobody is asked about this action: it is {0}")]
    NotAsked(&'static str),
    /// Nobody knows which person holds that token, and two people have to approve.
    #[error(
        "{0} may be anybody: what two people have to approve counts by Slack, or by a token whose setting `person` says whose \
         it is"
    )]
    Unnamed(String),
    /// One of two is known by their member id alone, and the other by their name alone.
    #[error(
        "{0} may be the one who approved already; name both under `people`, or let a third person approve"
    )]
    Alike(String),
    /// The same person twice.
    #[error("{0} has approved already; a second, different person is needed")]
    SamePerson(String),
}

/// Where the approvals stand after one more decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApprovalState {
    /// Enough people approved.
    Granted,
    /// So many more are needed.
    Needs(usize),
    /// Somebody refused.
    Refused,
}

/// What a person sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ballot {
    /// Who.
    pub actor: Actor,
    /// Their member id in Slack, where they decided there.
    pub member: Option<String>,
    /// Whether the settings say which person this is: a token may be anybody's.
    #[serde(default)]
    pub is_named: bool,
    /// What.
    pub verdict: Verdict,
    /// The plan that they saw; none means the one that stands (command line and API by hand).
    pub digest: Option<PlanDigest>,
    /// In their words.
    pub reason: Option<String>,
}

/// Adds one decision to `approvals`, or says why it does not count.
pub fn decide(
    approvals: &mut Approvals,
    tier: Tier,
    standing: &PlanDigest,
    ballot: &Ballot,
    now: Timestamp,
) -> Result<ApprovalState, ApprovalRefused> {
    if ballot.actor.role < Role::Approver {
        return Err(ApprovalRefused::NotAllowed {
            who: ballot.actor.name.clone(),
            role: ballot.actor.role.as_str(),
        });
    }
    if let Some(record) = approvals.records.iter().find(|record| record.verdict == Verdict::Reject) {
        return Err(already(record));
    }
    let approved = approvals.records.len();
    if approved >= tier.approvals_needed()
        && let Some(last) = approvals.records.last()
    {
        return Err(already(last));
    }
    if let Some(expires_at) = approvals.expires_at
        && now >= expires_at
    {
        return Err(ApprovalRefused::Expired(expires_at));
    }
    if ballot.digest.as_ref().is_some_and(|seen| seen != standing) {
        return Err(ApprovalRefused::PlanChanged);
    }
    if approvals.records.iter().any(|record| record.is_by_the_same(ballot))
        && ballot.verdict == Verdict::Approve
    {
        return Err(ApprovalRefused::SamePerson(ballot.actor.name.clone()));
    }
    if tier.approvals_needed() > 1 && ballot.verdict == Verdict::Approve {
        different_people(approvals, ballot)?;
    }
    approvals.records.push(ApprovalRecord {
        actor: ballot.actor.clone(),
        member: ballot.member.clone(),
        verdict: ballot.verdict,
        at: now,
        reason: ballot.reason.clone(),
    });
    Ok(match ballot.verdict {
        Verdict::Reject => ApprovalState::Refused,
        Verdict::Approve if approved + 1 >= tier.approvals_needed() => ApprovalState::Granted,
        Verdict::Approve => ApprovalState::Needs(tier.approvals_needed() - approved - 1),
    })
}

/// Where two people have to approve, each of them is known, and known to be another one.
fn different_people(approvals: &Approvals, ballot: &Ballot) -> Result<(), ApprovalRefused> {
    let who = || ballot.actor.name.clone();
    if ballot.member.is_none() && !ballot.is_named {
        return Err(ApprovalRefused::Unnamed(who()));
    }
    let may_be = |record: &ApprovalRecord| match (&record.member, &ballot.member) {
        (Some(_), None) => record.actor.is_bare_member(),
        (None, Some(_)) => ballot.actor.is_bare_member(),
        _ => false,
    };
    if approvals.records.iter().any(may_be) {
        return Err(ApprovalRefused::Alike(who()));
    }
    Ok(())
}

impl ApprovalRecord {
    /// Whether the same person decides once more, under whichever name.
    fn is_by_the_same(&self, ballot: &Ballot) -> bool {
        self.actor.name == ballot.actor.name || (self.member.is_some() && self.member == ballot.member)
    }
}

fn already(record: &ApprovalRecord) -> ApprovalRefused {
    ApprovalRefused::AlreadyDecided { verdict: record.verdict.past(), who: record.actor.name.clone() }
}

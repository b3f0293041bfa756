//! Who is behind Slack's user ids, as far as Slack itself has to be asked: members of user groups, and people of whom
//! the settings know the mail address.
//!
//! Slack is asked ahead of time, since a press is judged without waiting. What was not confirmed for a while does not
//! count any more: whoever was taken out of a group must not approve because Slack cannot be reached.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use tokio::time::Instant;

use super::SlackNotifier;
use crate::domain::people::Role;

/// How often Slack is asked. Both methods take at least twenty calls a minute.
pub const ASK_EVERY: Duration = Duration::from_secs(300);
/// How long an answer counts: two further questions may fail.
const GOOD_FOR: Duration = Duration::from_secs(900);
/// Members of one group that are taken in. A group of more is no group of approvers.
const MEMBERS_MAX: usize = 1_000;

/// What Slack has to be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Roles by the id of a user group.
    pub groups: BTreeMap<String, Role>,
    /// Names and roles by mail address.
    pub emails: BTreeMap<String, (String, Role)>,
}

impl Wanted {
    /// Whether there is nothing to ask.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.emails.is_empty()
    }
}

/// What Slack has answered. Cheap to clone; clones see the same.
#[derive(Debug, Clone, Default)]
pub struct Directory(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    wanted: Wanted,
    known: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Members by group, with when Slack said so.
    groups: BTreeMap<String, (Vec<String>, Instant)>,
    /// User ids by mail address, likewise.
    emails: BTreeMap<String, (String, Instant)>,
    /// Everybody, drawn from both: the name of the settings where there is one, and the role.
    by_user: HashMap<String, Entry>,
}

#[derive(Debug, Clone, PartialEq)]
struct Entry {
    name: Option<String>,
    role: Role,
    good_until: Instant,
}

impl Directory {
    /// A directory that knows nobody yet.
    pub fn new(wanted: Wanted) -> Self {
        Self(Arc::new(Inner { wanted, known: RwLock::default() }))
    }

    /// Whether there is anybody to look for.
    pub fn is_needed(&self) -> bool {
        !self.0.wanted.is_empty()
    }

    /// The name and role of a user, where Slack has lately said who it is.
    pub(super) fn look_up(&self, user: &str) -> Option<(Option<String>, Role)> {
        let known = self.0.known.read().ok()?;
        let entry = known.by_user.get(user)?;
        (Instant::now() < entry.good_until).then(|| (entry.name.clone(), entry.role))
    }

    /// Asks Slack once. What cannot be had stays as it was, until it is too old.
    pub async fn refresh(&self, slack: &SlackNotifier) {
        for group in self.0.wanted.groups.keys() {
            match slack.members_of(group).await {
                Ok(mut members) => {
                    if members.len() > MEMBERS_MAX {
                        tracing::warn!(
                            group,
                            members = members.len(),
                            "a user group is too large; the first {MEMBERS_MAX} count"
                        );
                        members.truncate(MEMBERS_MAX);
                    }
                    self.learn(|known, now| drop(known.groups.insert(group.clone(), (members, now))));
                }
                Err(error) => {
                    tracing::warn!(group, %error, "Slack does not say who is in a user group: its members cannot approve once its last answer is too old")
                }
            }
        }
        for email in self.0.wanted.emails.keys() {
            match slack.user_of(email).await {
                Ok(Some(user)) => {
                    self.learn(|known, now| drop(known.emails.insert(email.clone(), (user, now))));
                }
                Ok(None) => {
                    self.learn(|known, _| drop(known.emails.remove(email)));
                    let name = &self.0.wanted.emails[email].0;
                    tracing::warn!(
                        person = name,
                        "nobody in Slack has the mail address that `people` gives: their presses are a stranger's"
                    );
                }
                Err(error) => tracing::warn!(%error, "Slack does not say whose a mail address is"),
            }
        }
    }

    fn learn(&self, change: impl FnOnce(&mut Known, Instant)) {
        // A panic elsewhere leaves whole entries behind.
        let mut known = self.0.known.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        change(&mut known, Instant::now());
        known.by_user = self.0.wanted.draw(&known);
    }
}

impl Wanted {
    /// Everybody who is known. Who stands under `people` has the role from there, like those with an id of their own;
    /// who is in several groups has the highest role of them.
    fn draw(&self, known: &Known) -> HashMap<String, Entry> {
        let mut by_user: HashMap<String, Entry> = HashMap::new();
        for (group, (members, asked_at)) in &known.groups {
            let Some(role) = self.groups.get(group) else { continue };
            for user in members {
                let entry = Entry { name: None, role: *role, good_until: *asked_at + GOOD_FOR };
                let better = by_user
                    .get(user)
                    .is_none_or(|before| (before.role, before.good_until) < (entry.role, entry.good_until));
                if better {
                    by_user.insert(user.clone(), entry);
                }
            }
        }
        for (email, (user, asked_at)) in &known.emails {
            let Some((name, role)) = self.emails.get(email) else { continue };
            let entry = Entry { name: Some(name.clone()), role: *role, good_until: *asked_at + GOOD_FOR };
            by_user.insert(user.clone(), entry);
        }
        by_user
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_directory() -> Directory {
        let groups = [("S1".to_owned(), Role::Responder), ("S2".to_owned(), Role::Approver)].into();
        let emails = [("una@example.com".to_owned(), ("una".to_owned(), Role::Admin))].into();
        Directory::new(Wanted { groups, emails })
    }

    fn group(directory: &Directory, id: &str, members: &[&str]) {
        let members = members.iter().map(|&member| member.to_owned()).collect();
        directory.learn(|known, now| drop(known.groups.insert(id.to_owned(), (members, now))));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_counts_for_a_quarter_of_an_hour_and_no_longer() {
        let directory = mk_directory();
        group(&directory, "S2", &["U1"]);
        tokio::time::advance(GOOD_FOR - Duration::from_secs(1)).await;
        assert_eq!(directory.look_up("U1"), Some((None, Role::Approver)));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(directory.look_up("U1"), None, "nobody approves by what Slack said long ago");
        group(&directory, "S2", &["U2"]);
        assert_eq!((directory.look_up("U1"), directory.look_up("U2").is_some()), (None, true));
    }

    #[tokio::test(start_paused = true)]
    async fn the_highest_role_counts_and_what_the_settings_say_of_a_person_before_it() {
        let directory = mk_directory();
        group(&directory, "S2", &["U1"]);
        group(&directory, "S1", &["U1", "U2", "U3"]);
        assert_eq!(directory.look_up("U1"), Some((None, Role::Approver)));
        assert_eq!(directory.look_up("U2"), Some((None, Role::Responder)));
        directory.learn(|known, now| {
            drop(known.emails.insert("una@example.com".to_owned(), ("U3".to_owned(), now)));
        });
        assert_eq!(directory.look_up("U3"), Some((Some("una".to_owned()), Role::Admin)));
        assert_eq!(directory.look_up("U4"), None);
    }
}

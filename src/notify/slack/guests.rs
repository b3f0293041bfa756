//! Who may look: people of the workspace, and whoever has a role of their own.
//!
//! Slack lets guests write a slash command and open a home tab, and shows our app to people of other workspaces with which
//! channels are shared. What is open and why is nothing for them, unless the settings or a group name them. Slack has to
//! be asked who is a guest; while it does not say, nothing is shown.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::click::Recognised;
use super::{SlackNotifier, lock};
use crate::clients::slack::people::Account;

/// How long an answer counts: as long as who is in a group.
const GOOD_FOR: Duration = Duration::from_secs(900);
/// People whose answers are kept. When there are more all are asked for again.
const KEPT_MAX: usize = 10_000;

/// Why nothing is shown, and the way to be let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outside {
    /// A guest of the workspace.
    Guest,
    /// Of another workspace.
    Stranger,
    /// Somebody who has left.
    Gone,
    /// Slack did not say who it is.
    Unknown,
}

impl Outside {
    /// In mrkdwn. `member` is the member id of whoever asked.
    pub(super) fn text(self, member: &str) -> String {
        let let_in = format!(
            "Whoever runs Smokejumper lets you in by naming your member id `{member}` under `people`, or a group of yours under \
             `slack.groups`."
        );
        match self {
            Self::Guest => format!("You are a guest of this workspace, and I answer its members. {let_in}"),
            Self::Stranger => {
                format!("You belong to another workspace, and I answer members of this one. {let_in}")
            }
            Self::Gone => "Your account here is closed.".to_owned(),
            Self::Unknown => format!(
                "Slack does not tell me whether you belong to this workspace, so I show nothing; try again in a moment. The app \
                 needs the scope `users:read` for it. {let_in}"
            ),
        }
    }
}

/// What Slack has answered about people without a role of their own.
#[derive(Debug, Default)]
pub(super) struct Guests(Mutex<HashMap<String, (Option<Outside>, Instant)>>);

impl Guests {
    /// Whether somebody may look. `team` is the workspace of the app, where it is known.
    pub(super) async fn admits(
        &self,
        slack: &SlackNotifier,
        who: &Recognised,
        member: &str,
        team: Option<&str>,
    ) -> Result<(), Outside> {
        if who.is_known {
            return Ok(());
        }
        let kept = lock(&self.0).get(member).copied().filter(|(_, until)| Instant::now() < *until);
        if let Some((outside, _)) = kept {
            return outside.map_or(Ok(()), Err);
        }
        let outside = match slack.account(member).await {
            Ok(account) => outside(&account, team),
            Err(error) => {
                tracing::warn!(%error, "Slack does not say whether somebody is a guest: nothing is shown to them");
                return Err(Outside::Unknown);
            }
        };
        let mut kept = lock(&self.0);
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(member.to_owned(), (outside, Instant::now() + GOOD_FOR));
        outside.map_or(Ok(()), Err)
    }
}

fn outside(account: &Account, team: Option<&str>) -> Option<Outside> {
    let is_of_another = matches!((account.team_id.as_deref(), team), (Some(own), Some(here)) if own != here);
    match account {
        Account { deleted: true, .. } => Some(Outside::Gone),
        _ if account.is_stranger || is_of_another => Some(Outside::Stranger),
        _ if account.is_restricted || account.is_ultra_restricted => Some(Outside::Guest),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_look_and_guests_strangers_and_those_who_left_do_not() {
        let member = Account { team_id: Some("T1".to_owned()), ..Account::default() };
        assert_eq!(outside(&member, Some("T1")), None);
        assert_eq!(outside(&member, None), None);
        assert_eq!(outside(&member, Some("T2")), Some(Outside::Stranger));
        assert_eq!(outside(&Account { is_stranger: true, ..member.clone() }, None), Some(Outside::Stranger));
        assert_eq!(
            outside(&Account { is_restricted: true, ..member.clone() }, Some("T1")),
            Some(Outside::Guest)
        );
        assert_eq!(
            outside(&Account { is_ultra_restricted: true, ..member.clone() }, Some("T1")),
            Some(Outside::Guest)
        );
        assert_eq!(outside(&Account { deleted: true, ..member }, Some("T1")), Some(Outside::Gone));
    }
}

//! Who is who in Slack: members of a user group, the user behind a mail address, and whose member somebody is.
//!
//! All methods read forms only; as JSON their arguments would be overlooked.

use serde::Deserialize;

use super::SlackClient;
use crate::clients::answer::SendError;

/// What `usergroups.users.list` answers.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Members {
    users: Vec<String>,
}

/// What `users.lookupByEmail` answers.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Found {
    user: FoundUser,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct FoundUser {
    id: Option<String>,
    deleted: bool,
}

/// What `users.info` answers.
#[derive(Debug, Deserialize)]
struct Shown {
    user: Account,
}

/// Somebody's account, as the workspace sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Account {
    /// The workspace that the person belongs to.
    pub team_id: Option<String>,
    /// Whether they have left.
    pub deleted: bool,
    /// Whether they are a guest who sees some channels, or one alone.
    pub is_restricted: bool,
    /// Whether they are a guest who sees one channel alone.
    pub is_ultra_restricted: bool,
    /// Whether they belong to another workspace, with which channels are shared.
    pub is_stranger: bool,
}

impl SlackClient {
    /// `users.info`: the account behind a user id.
    ///
    /// # Errors
    /// As the table says; never ambiguous.
    pub async fn account(&self, user: &str) -> Result<Account, SendError> {
        let answer: Shown = self.ask("users.info", &[("user", user)]).await?;
        Ok(answer.user)
    }

    /// `usergroups.users.list`: the user ids of the members of a group.
    ///
    /// # Errors
    /// As the table says; never ambiguous.
    pub async fn members_of(&self, group: &str) -> Result<Vec<String>, SendError> {
        let answer: Members = self.ask("usergroups.users.list", &[("usergroup", group)]).await?;
        Ok(answer.users)
    }

    /// `users.lookupByEmail`: the user id behind a mail address, `None` where there is nobody, or nobody any more.
    ///
    /// # Errors
    /// As the table says; never ambiguous.
    pub async fn user_of(&self, email: &str) -> Result<Option<String>, SendError> {
        let answer: Result<Found, _> = self.ask("users.lookupByEmail", &[("email", email)]).await;
        match answer {
            Ok(Found { user }) => Ok(user.id.filter(|_| !user.deleted)),
            Err(SendError::Permanent { code, .. }) if code == "users_not_found" => Ok(None),
            Err(error) => Err(error),
        }
    }
}

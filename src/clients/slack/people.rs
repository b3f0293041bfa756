//! Who is who in Slack: members of a user group, and the user behind a mail address.
//!
//! Both methods read forms only; as JSON their arguments would be overlooked.

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

impl SlackClient {
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

//! Who is who: members of user groups, and people by their mail address. Both are asked by forms only.

use serde_json::{Value, json};

use super::api::{Refusal, refuse};
use super::{Shared, lock};

impl Shared {
    /// `usergroups.users.list`.
    pub(super) fn members_of(&self, group: &str) -> Result<Value, Refusal> {
        match lock(&self.groups).get(group) {
            None => refuse("no_such_subteam"),
            Some(members) => Ok(json!({"ok": true, "users": members})),
        }
    }

    /// `users.info`. A person of another workspace is shown as a stranger.
    pub(super) fn user_info(&self, id: &str) -> Result<Value, Refusal> {
        match self.options.users.iter().find(|user| user.id == id) {
            None => refuse("user_not_found"),
            Some(user) => Ok(json!({"ok": true, "user": {
                "id": user.id, "team_id": user.other_team.as_ref().unwrap_or(&self.options.team_id), "name": user.name,
                "real_name": user.real_name, "deleted": user.deleted, "is_restricted": user.is_guest,
                "is_ultra_restricted": false, "is_stranger": user.other_team.is_some(), "is_bot": false,
            }})),
        }
    }

    /// `users.lookupByEmail`.
    pub(super) fn user_by_email(&self, email: &str) -> Result<Value, Refusal> {
        match self.options.users.iter().find(|user| user.email.eq_ignore_ascii_case(email)) {
            None => refuse("users_not_found"),
            Some(user) => {
                let profile = json!({"email": user.email, "real_name": user.real_name});
                Ok(json!({"ok": true, "user": {
                    "id": user.id, "name": user.name, "deleted": false, "profile": profile,
                }}))
            }
        }
    }
}

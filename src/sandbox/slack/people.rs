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

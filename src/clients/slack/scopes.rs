//! What the token must be allowed: each method that is called, with its scope.
//!
//! The manifest to paste (`deploy/slack-manifest.yaml`) names exactly these, and a test holds it to that.

/// Each method of the Web API that is called, with the scope that it needs of the bot token; none needs one where it is
/// empty. From the reference page of each method.
pub const METHODS: [(&str, &str); 16] = [
    ("apps.connections.open", ""),
    ("auth.test", ""),
    ("chat.postEphemeral", "chat:write"),
    ("chat.postMessage", "chat:write"),
    ("chat.update", "chat:write"),
    ("conversations.history", "channels:history"),
    ("conversations.open", "im:write"),
    ("conversations.replies", "channels:history"),
    ("files.completeUploadExternal", "files:write"),
    ("files.getUploadURLExternal", "files:write"),
    ("usergroups.users.list", "usergroups:read"),
    ("users.conversations", "channels:read"),
    ("users.info", "users:read"),
    ("users.lookupByEmail", "users:read.email"),
    ("views.open", ""),
    ("views.publish", ""),
];

/// Scopes that are needed beside those of the methods, and what for.
pub const OTHERS: [(&str, &str); 4] = [
    ("commands", "the slash command"),
    ("groups:history", "channels:history for private channels"),
    ("groups:read", "channels:read for private channels"),
    ("im:history", "channels:history for direct messages"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    const CLIENT: [&str; 4] = [
        include_str!("../slack.rs"),
        include_str!("people.rs"),
        include_str!("files.rs"),
        include_str!("conversations.rs"),
    ];

    /// The manifest, which is no part of the program.
    fn manifest() -> String {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/slack-manifest.yaml");
        std::fs::read_to_string(file).expect("the manifest ships with the source")
    }

    /// The methods that the client's own text names.
    fn called() -> BTreeSet<&'static str> {
        let is_method = |text: &&str| {
            let family = text.split('.').next().unwrap_or_default();
            ["apps", "auth", "chat", "conversations", "files", "usergroups", "users", "views"]
                .contains(&family)
                && text.contains('.')
                && text.chars().all(|c| c.is_ascii_alphabetic() || c == '.')
        };
        CLIENT.iter().flat_map(|text| text.split('"')).filter(is_method).collect()
    }

    #[test]
    fn every_method_that_is_called_stands_in_the_table_and_no_other() {
        assert_eq!(called(), METHODS.iter().map(|(method, _)| *method).collect::<BTreeSet<_>>());
    }

    #[test]
    fn the_manifest_asks_for_exactly_what_is_used() {
        let manifest: Value = serde_saphyr::from_str(&manifest()).expect("YAML");
        let asked = manifest["oauth_config"]["scopes"]["bot"].as_array().expect("scopes");
        let asked: BTreeSet<&str> = asked.iter().filter_map(Value::as_str).collect();
        let used = METHODS.iter().map(|(_, scope)| *scope).filter(|scope| !scope.is_empty());
        assert_eq!(asked, used.chain(OTHERS.iter().map(|(scope, _)| *scope)).collect::<BTreeSet<_>>());
        assert_eq!(manifest["features"]["slash_commands"][0]["command"], "/smokejumper");
        assert_eq!(manifest["settings"]["event_subscriptions"]["bot_events"][0], "app_home_opened");
        assert_eq!(manifest["settings"]["interactivity"]["is_enabled"], true);
        // Whoever is on call is told in a direct message, which Slack refuses where the tab for it is off.
        assert_eq!(manifest["features"]["app_home"]["messages_tab_enabled"], true);
        assert_eq!(manifest["settings"]["socket_mode_enabled"], true);
    }
}

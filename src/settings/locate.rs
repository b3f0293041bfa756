//! Places of problems that are only found out once the settings are read: in their file, or in the variable that set
//! the value.

use std::collections::BTreeMap;
use std::path::Path;

use super::load::{NO_FILE, place, read_file};
use super::overlay::Overlay;
use super::{Settings, check};
use crate::secret::Keyring;
use crate::yaml::{Places, Problem};

/// Knows where each key of some settings was set.
pub struct Locator {
    name: String,
    text: String,
    overlay: Overlay,
}

impl Locator {
    /// For settings that were read from this file and environment. A file that has gone since gives no lines.
    pub fn new(path: Option<&Path>, environment: &BTreeMap<String, String>) -> Self {
        let name = path.map_or_else(|| NO_FILE.to_owned(), |path| path.display().to_string());
        let text = path.and_then(|path| read_file(path).ok()).unwrap_or_default();
        Self { name, text, overlay: Overlay::of(environment) }
    }

    /// A problem with the value of one key, given by the steps of its path.
    pub fn problem(&self, path: &[&str], message: impl Into<String>, help: impl Into<String>) -> Problem {
        let path = path.iter().map(|step| (*step).to_owned()).collect();
        let finding =
            check::Finding { path, message: message.into(), help: Some(help.into()), hide_value: false };
        self.place(vec![finding]).remove(0)
    }

    /// Secrets that the settings name and that cannot be had here.
    pub(super) fn absent_secrets(&self, settings: &Settings, keyring: &Keyring) -> Vec<Problem> {
        self.place(Self::secrets(settings, keyring))
    }

    fn secrets(settings: &Settings, keyring: &Keyring) -> Vec<check::Finding> {
        let secrets = settings.secret_places().into_iter();
        let absent = secrets.filter_map(|(path, source)| Some((path, keyring.open(&source).err()?)));
        absent.map(|(path, error)| Self::absence(path, error.to_string())).collect()
    }

    fn absence(path: Vec<String>, message: String) -> check::Finding {
        let help = Some("`serve` does not start without it".to_owned());
        check::Finding { path, message, help, hide_value: false }
    }

    /// What the settings name and what cannot be had here: secrets, and files such as certificates.
    pub fn absent(&self, settings: &Settings, environment: &BTreeMap<String, String>) -> Vec<Problem> {
        let secrets = Self::secrets(settings, &Keyring::new(environment.clone()));
        let files = settings.file_places().into_iter().filter_map(|(path, file)| {
            let error = std::fs::File::open(&file).err()?;
            Some((path, format!("{} cannot be read: {error}", file.display())))
        });
        let files = files.map(|(path, message)| Self::absence(path, message));
        self.place(secrets.into_iter().chain(files).collect())
    }

    fn place(&self, findings: Vec<check::Finding>) -> Vec<Problem> {
        place(findings, &Places::of(&self.name, &self.text), &self.overlay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_machine_lacks_is_shown_where_it_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s.yaml");
        let text = "slack:\n  bot_token: { env: GONE }\n  signing_secret: [{ env: HERE }, { env: SHORT }]\n\
                    prometheus:\n  url: http://p\n  ca_file: gone.pem\n  headers: { X_file: plain }\n";
        std::fs::write(&path, text).expect("written");
        let environment = [
            ("HERE", "a-secret-of-some-length"),
            ("SHORT", "abc"),
            ("SMOKEJUMPER__SLACK__BOT_TOKEN__ENV", "GONE_TOO"),
        ];
        let environment =
            environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter().collect();
        let settings = Settings::load(Some(&path), &environment).expect("good settings");
        let absent = Locator::new(Some(&path), &environment).absent(&settings, &environment);
        let shown = absent.iter().map(Problem::warning).collect::<Vec<_>>().join("\n\n");
        let shown = shown.replace(&*folder.path().to_string_lossy(), "[folder]");
        insta::assert_snapshot!(shown);
    }

    #[test]
    fn settings_without_a_file_have_places_too() {
        let environment = BTreeMap::new();
        let problem = Locator::new(None, &environment).problem(&["rules"], "no rules", "write some");
        assert!(problem.to_string().contains("settings: rules: no rules"), "{problem}");
    }
}

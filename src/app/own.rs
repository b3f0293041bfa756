//! Where the service itself runs, so that it never acts on itself: what the settings say, or else what a cluster tells its
//! pods.

use crate::settings::Settings;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

/// The variable that manifests fill from `metadata.namespace`.
const NAMESPACE: &str = "POD_NAMESPACE";

/// Where the kubelet tells a pod its namespace, beside the token of its service account.
const MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// A namespace has at most 63 bytes; whatever is longer than a line is none.
const MOUNT_BYTES_MAX: u64 = 256;

/// Puts the namespace in that it runs in, where the settings do not say it.
pub(super) fn fill_in(settings: &mut Settings, environment: &BTreeMap<String, String>) {
    let own = &mut settings.guardrails.own.namespace;
    *own = own.take().or_else(|| namespace(environment, Path::new(MOUNT)));
}

fn namespace(environment: &BTreeMap<String, String>, mount: &Path) -> Option<String> {
    let of_variable = environment.get(NAMESPACE).and_then(|text| named(text));
    of_variable.or_else(|| named(&mounted(mount)?))
}

fn mounted(mount: &Path) -> Option<String> {
    let mut text = String::new();
    let file = std::fs::File::open(mount).ok()?;
    file.take(MOUNT_BYTES_MAX).read_to_string(&mut text).ok()?;
    Some(text)
}

fn named(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_comes_first_and_then_the_service_account() {
        let folder = tempfile::tempdir().expect("a folder");
        let mount = folder.path().join("namespace");
        let variable = |text: &str| BTreeMap::from([("POD_NAMESPACE".to_owned(), text.to_owned())]);
        assert_eq!(namespace(&BTreeMap::new(), &mount), None);
        std::fs::write(&mount, "mounted\n").expect("written");
        let found = |environment| namespace(&environment, &mount);
        assert_eq!(found(BTreeMap::new()).as_deref(), Some("mounted"));
        assert_eq!(found(variable(" ")).as_deref(), Some("mounted"));
        assert_eq!(found(variable("of-variable")).as_deref(), Some("of-variable"));
        std::fs::write(&mount, "").expect("written");
        assert_eq!(found(BTreeMap::new()), None);
    }

    #[test]
    fn what_the_settings_say_stands() {
        let own = |text: &str| {
            let mut settings = Settings::from_text("s.yaml", text, Path::new(""), &BTreeMap::new())
                .unwrap_or_else(|error| panic!("{error}"));
            let environment = BTreeMap::from([("POD_NAMESPACE".to_owned(), "of-variable".to_owned())]);
            fill_in(&mut settings, &environment);
            let own = settings.guardrails.scope().own.expect("it is known");
            (own.namespace.expect("it is known"), own.name)
        };
        assert_eq!(own("guardrails: { own: { namespace: said } }"), ("said".to_owned(), None));
        let named = own("guardrails: { own: { name: responder } }");
        assert_eq!(named, ("of-variable".to_owned(), Some("responder".to_owned())));
        assert_eq!(own(""), ("of-variable".to_owned(), None));
    }
}

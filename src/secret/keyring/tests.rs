//! Secrets are opened, followed and forgotten, and never shown.

use super::*;

fn mk_ring(variables: &[(&str, &str)]) -> Keyring {
    let environment = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    // Looks at files on each use, so that no test needs to wait.
    Keyring::checking_files_every(environment, Duration::ZERO)
}

fn value(secret: &Secret) -> String {
    secret.current().expose_secret().to_owned()
}

#[test]
fn a_variable_and_a_file_are_resolved_and_the_line_break_is_cut_off() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("token");
    let ring = mk_ring(&[("TOKEN", "0123456789")]);
    assert_eq!(value(&ring.open(&SecretSource::Env("TOKEN".into())).expect("is set")), "0123456789");
    for (written, expected) in
        [("s3cret\n", "s3cret"), ("s3cret\r\n", "s3cret"), (" s3cret \n\n", " s3cret \n")]
    {
        std::fs::write(&path, written).expect("writes");
        let fresh = mk_ring(&[]);
        assert_eq!(value(&fresh.open(&SecretSource::File(path.clone())).expect("is there")), expected);
    }
}

#[test]
fn absent_empty_short_and_huge_secrets_are_refused_by_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let huge = dir.path().join("huge");
    std::fs::write(&huge, "x".repeat(70_000)).expect("writes");
    let ring = mk_ring(&[("EMPTY", " \n"), ("SHORT", "abc")]);
    let error = |source: SecretSource| ring.open(&source).expect_err("is refused");
    assert_eq!(error(SecretSource::Env("GONE".into())), SecretError::NotSet("GONE".into()));
    assert_eq!(
        error(SecretSource::Env("EMPTY".into())),
        SecretError::Empty("<secret from env EMPTY>".into())
    );
    let short = error(SecretSource::Env("SHORT".into()));
    assert!(matches!(short, SecretError::TooShort(_)));
    assert!(!short.to_string().contains("abc"));
    assert!(matches!(error(SecretSource::File(huge)), SecretError::TooLarge(_)));
    assert!(matches!(error(SecretSource::File(dir.path().join("none"))), SecretError::Unreadable { .. }));
}

#[test]
fn a_changed_file_is_followed_and_a_broken_one_keeps_the_last_value() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("token");
    std::fs::write(&path, "first-value").expect("writes");
    let ring = mk_ring(&[]);
    let secret = ring.open(&SecretSource::File(path.clone())).expect("is there");
    std::fs::write(&path, "second-value\n").expect("writes");
    assert_eq!(value(&secret), "second-value");
    std::fs::write(&path, "").expect("writes");
    assert_eq!(value(&secret), "second-value");
    std::fs::remove_file(&path).expect("removes");
    assert_eq!(value(&secret), "second-value");
    std::fs::write(&path, "third-value").expect("writes");
    assert_eq!(value(&secret), "third-value");
    let shown = ring.redactor().redact("first-value second-value third-value").into_owned();
    assert_eq!(shown, "[redacted] [redacted] [redacted]", "replaced values stay on the list");
}

#[test]
fn a_file_is_looked_at_only_once_within_the_interval() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("token");
    std::fs::write(&path, "first-value").expect("writes");
    let ring = Keyring::checking_files_every(BTreeMap::new(), Duration::from_secs(3600));
    let secret = ring.open(&SecretSource::File(path.clone())).expect("is there");
    std::fs::write(&path, "second-value").expect("writes");
    assert_eq!(value(&secret), "first-value");
}

#[test]
fn a_set_holds_both_values_of_a_rotation_and_the_first_is_sent() {
    let ring = mk_ring(&[("NEW", "new-secret"), ("OLD", "old-secret")]);
    let sources: SecretSources =
        serde_json::from_str(r#"[{"env":"NEW"},{"env":"OLD"}]"#).expect("references");
    let set = ring.open_all(&sources).expect("both are set");
    let values: Vec<String> = set.current().map(|v| v.expose_secret().to_owned()).collect();
    assert_eq!(values, ["new-secret", "old-secret"]);
    assert_eq!(set.first().map(value).as_deref(), Some("new-secret"));
    assert!(ring.open_all(&SecretSources::default()).expect("nothing to open").is_empty());
}

#[test]
fn nothing_here_shows_a_value() {
    let ring = mk_ring(&[("TOKEN", "hunter2hunter2")]);
    let secret = ring.open(&SecretSource::Env("TOKEN".into())).expect("is set");
    let set = ring.open_all(&SecretSource::Env("TOKEN".into()).into()).expect("is set");
    let shown = format!("{ring:?} {secret:?} {set:?} {:?}", ring.redactor());
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("<secret from env TOKEN>"), "{shown}");
}

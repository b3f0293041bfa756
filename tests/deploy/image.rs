//! The Dockerfile, as far as it can be judged without building it: it copies what there is, builds what Cargo knows,
//! and ends as the user that the manifests run it as.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::{alone, container, pod, read, root};

/// The instructions, each on one line.
fn instructions() -> Vec<(String, String)> {
    let text = read("deploy/Dockerfile").replace("\\\n", " ");
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (word, rest) = line.split_once(' ').expect("an instruction and what it is about");
            (word.to_owned(), rest.trim().to_owned())
        })
        .collect()
}

/// What follows a word, for each time that it stands there.
fn all(word: &str) -> Vec<String> {
    instructions().into_iter().filter(|(found, _)| found == word).map(|(_, rest)| rest).collect()
}

fn last(word: &str) -> String {
    all(word).pop().unwrap_or_else(|| panic!("no {word}"))
}

/// Files and folders of the repository that are copied.
fn copied() -> Vec<String> {
    let copies = all("COPY").into_iter().filter(|copy| !copy.starts_with("--from"));
    copies
        .flat_map(|copy| {
            let mut words: Vec<String> = copy.split_whitespace().map(str::to_owned).collect();
            words.pop();
            words
        })
        .collect()
}

#[test]
fn what_is_copied_exists_and_is_all_that_the_builder_is_sent() {
    let mut copied = copied();
    assert!(copied.iter().all(|path| root().join(path).exists()), "{copied:?}");
    let ignore = read(".dockerignore");
    let lines: Vec<&str> = ignore.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines[0], "*", "what is not named is left out");
    let mut sent: Vec<&str> =
        lines[1..].iter().map(|line| line.strip_prefix('!').expect("only what is let in")).collect();
    sent.sort_unstable();
    copied.sort_unstable();
    assert_eq!(sent, copied);
}

#[test]
fn cargo_finds_every_target_that_the_manifest_names() {
    let manifest = read("Cargo.toml");
    let paths: Vec<&str> =
        manifest.lines().filter_map(|line| line.strip_prefix("path = \"")?.strip_suffix('"')).collect();
    assert!(paths.len() >= 3, "{paths:?}");
    let copied = copied();
    for path in paths {
        assert!(copied.iter().any(|folder| path.starts_with(&format!("{folder}/"))), "{path} is not copied");
    }
}

#[test]
fn what_the_source_includes_lies_beside_it() {
    fn look(folder: &Path, seen: &mut usize) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                look(&path, seen);
                continue;
            }
            let Some("rs") = path.extension().and_then(|name| name.to_str()) else { continue };
            let text = std::fs::read_to_string(&path).expect("a text");
            for include in ["include_str!(\"", "include_bytes!(\""] {
                for rest in text.split(include).skip(1) {
                    let named = rest.split('"').next().expect("a name");
                    let file = path.parent().expect("a folder").join(named).canonicalize().expect("a file");
                    assert!(
                        file.starts_with(root().join("src")),
                        "{}: {named} is not copied",
                        path.display()
                    );
                    *seen += 1;
                }
            }
        }
    }
    let mut seen = 0;
    look(&root().join("src"), &mut seen);
    assert!(seen > 10, "{seen} files are included");
}

#[test]
fn the_program_needs_no_library_that_the_image_of_the_build_has_not() {
    // The C library, its loader, and what unwinds the stack: a slim Debian has them, and so has any other.
    const THERE: [&str; 5] = ["linux-vdso", "libc.so", "libm.so", "libgcc_s.so", "ld-linux"];
    let listed = Command::new("ldd").arg(env!("CARGO_BIN_EXE_smokejumper")).output().expect("ldd runs");
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let needed: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(
        needed.iter().any(|library| library.starts_with("libc.so")),
        "it is linked dynamically: {listed}"
    );
    for library in needed {
        let name = library.rsplit('/').next().unwrap_or(library);
        assert!(THERE.iter().any(|there| name.starts_with(there)), "{library} is not there: {listed}");
    }
}

#[test]
fn every_image_that_it_begins_with_is_named_by_its_version() {
    for from in all("FROM").iter().filter(|from| *from != "scratch") {
        let image = from.split_whitespace().next().expect("an image");
        let tag = image.rsplit_once(':').map(|(_, tag)| tag).unwrap_or_else(|| panic!("{image} has no tag"));
        assert!(tag.starts_with(|c: char| c.is_ascii_digit()) && tag.contains("bookworm"), "{image}");
    }
}

#[test]
fn it_builds_the_program_as_it_is_shipped() {
    let build = all("RUN").into_iter().find(|run| run.contains("cargo build")).expect("a build");
    for words in ["--locked", "--profile dist", "--bin smokejumper", "install -D target/dist/smokejumper "] {
        assert!(build.contains(words), "{build}");
    }
    let manifest = read("Cargo.toml");
    assert!(
        manifest.contains("\n[profile.dist]\n") && manifest.contains("[[bin]]\nname = \"smokejumper\"\n")
    );
    let version = env!("CARGO_PKG_RUST_VERSION");
    assert!(all("FROM")[0].starts_with(&format!("rust:{version}-slim-")), "rust-version is {version}");
}

#[test]
fn it_starts_the_program_that_was_built_and_not_as_root() {
    assert_eq!(last("FROM"), "scratch");
    let build = all("RUN").into_iter().find(|run| run.contains("cargo build")).expect("a build");
    let word =
        |json: String| -> Vec<String> { serde_json::from_str(&json).expect("the form without a shell") };
    let entry = word(last("ENTRYPOINT"));
    assert!(build.ends_with(&format!("/image{}", entry[0])), "{build}");
    let rendered = alone();
    let arguments: Vec<&str> = container(&rendered)["args"]
        .as_array()
        .expect("arguments")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    assert_eq!(word(last("CMD")), arguments);
    let context = &pod(&rendered)["securityContext"];
    assert_eq!(last("USER"), format!("{}:{}", context["runAsUser"], context["runAsGroup"]));
    assert_eq!(last("EXPOSE"), container(&rendered)["ports"][0]["containerPort"].to_string());
}

#[test]
fn the_tag_is_the_version() {
    let tag = format!("smokejumper:{}", env!("CARGO_PKG_VERSION"));
    assert_eq!(container(&alone())["image"], tag.as_str());
    assert!(read("deploy/Dockerfile").contains(&format!("docker build -f deploy/Dockerfile -t {tag} .")));
}

#[test]
fn the_image_brings_certificates_to_trust_and_the_libraries() {
    let runs = all("RUN").join("\n");
    assert!(runs.contains("/image/etc/ssl/certs/ca-certificates.crt"));
    assert!(runs.contains("ldd /image/usr/local/bin/smokejumper"));
    assert!(all("COPY").contains(&"--from=build /image /".to_owned()));
}

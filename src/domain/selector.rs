//! Selectors over labels, as Kubernetes reads them: `app=api,tier!=cache,env in (prod, stage)`.
//!
//! Stricter than Kubernetes in one thing: a value is never empty, because `app=` selects what nobody meant.

/// Longest name and longest value of a label.
const PART_BYTES_MAX: usize = 63;

/// What is wrong with a selector; `None` where nothing is.
pub fn selector_problem(text: &str) -> Option<String> {
    if text.trim().is_empty() {
        return Some("the selector is empty, which would select everything".to_owned());
    }
    let Some(requirements) = requirements(text) else {
        return Some("a bracket of this selector is not closed".to_owned());
    };
    let wrong = requirements.into_iter().find(|requirement| !is_requirement(requirement.trim()))?;
    Some(format!(
        "`{}` is no part of a selector: write it like `app=api` or `env in (prod, stage)`",
        wrong.trim()
    ))
}

/// The parts between commas that stand outside of brackets.
fn requirements(text: &str) -> Option<Vec<&str>> {
    let (mut parts, mut begin, mut inside) = (Vec::new(), 0, false);
    for (at, c) in text.char_indices() {
        match (c, inside) {
            ('(', false) => inside = true,
            (')', true) => inside = false,
            ('(', true) | (')', false) => return None,
            (',', false) => {
                parts.push(&text[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[begin..]);
    (!inside).then_some(parts)
}

fn is_requirement(text: &str) -> bool {
    if let Some(key) = text.strip_prefix('!') {
        return is_label_key(key.trim());
    }
    if let Some((before, list)) = text.split_once('(') {
        let words: Vec<&str> = before.split_whitespace().collect();
        let [key, "in" | "notin"] = words.as_slice() else { return false };
        let Some(list) = list.strip_suffix(')') else { return false };
        return is_label_key(key) && list.split(',').all(|value| is_label_value(value.trim()));
    }
    for sign in ["!=", "==", "="] {
        if let Some((key, value)) = text.split_once(sign) {
            return is_label_key(key.trim()) && is_label_value(value.trim());
        }
    }
    is_label_key(text)
}

/// Whether `text` is a name of a label, with or without a prefix: `app`, `app.kubernetes.io/name`.
fn is_label_key(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => crate::dns::is_dns_subdomain(prefix) && is_label_value(name),
        None => is_label_value(text),
    }
}

/// Whether `text` is a value of a label that is not empty.
pub fn is_label_value(text: &str) -> bool {
    let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= PART_BYTES_MAX
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubernetes_selects_by_is_taken() {
        for text in [
            "app=api",
            "app == api , tier != cache",
            "app.kubernetes.io/name=api",
            "env in (prod, stage),!canary",
            "env notin (dev),track",
        ] {
            assert_eq!(selector_problem(text), None, "{text}");
        }
    }

    #[test]
    fn what_selects_too_much_or_nothing_that_is_meant_is_refused() {
        for text in [
            "",
            " ",
            "app=",
            "=api",
            "app=api,",
            ",",
            "app in ()",
            "app in (a",
            "app=a)",
            "app=../x",
            "app=a b",
            "in (a)",
            "app=a=b",
            "!",
            "app>1",
            "a/b/c=d",
            "app=-a",
        ] {
            assert!(selector_problem(text).is_some(), "{text}");
        }
    }
}

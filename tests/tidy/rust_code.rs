//! Rust files as the rules see them: comments and texts blanked out, test code told apart, paths read.
//!
//! This is no parser. It knows just enough of the language that a word in a comment, in a string or in a test is
//! never taken for code of the product.

use crate::tree::{TextFile, Tree};
use std::collections::BTreeSet;
use std::ops::Range;

/// One Rust file.
pub struct RustFile {
    /// Path from the root.
    pub path: String,
    /// The text as written.
    pub text: String,
    /// The text with comments and strings replaced by spaces; bytes keep their positions.
    pub code: String,
    /// Whether the whole file is test code.
    pub is_test: bool,
    test_items: Vec<Range<usize>>,
}

/// A path in the code, such as `crate::store::sql`, with its position.
pub struct PathUse {
    /// Where it begins.
    pub position: usize,
    /// Its parts after `crate::`.
    pub parts: Vec<String>,
}

impl RustFile {
    /// All Rust files of the tree.
    pub fn all(tree: &Tree) -> Vec<Self> {
        let mut files: Vec<Self> = tree.ending(".rs").map(Self::new).collect();
        let test_modules: BTreeSet<String> = files.iter().flat_map(RustFile::test_modules).collect();
        for file in &mut files {
            let stem = file.path.trim_end_matches(".rs");
            file.is_test = !file.path.starts_with("src/")
                || test_modules.iter().any(|module| {
                    stem.strip_prefix(module.as_str())
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                });
        }
        files
    }

    fn new(file: &TextFile) -> Self {
        let code = blank(&file.text);
        let test_items = test_items(&code);
        Self { path: file.path.clone(), text: file.text.clone(), code, is_test: false, test_items }
    }

    /// A sample.
    #[cfg(test)]
    pub fn sample(path: &str, text: &str) -> Self {
        Self::all(&Tree::of(&[(path, text)])).remove(0)
    }

    /// Whether the code at a byte is only compiled for tests.
    pub fn is_test_at(&self, position: usize) -> bool {
        self.is_test || self.test_items.iter().any(|item| item.contains(&position))
    }

    /// Positions of a word in the code: not as a part of a longer name.
    pub fn positions<'a>(&'a self, word: &'a str) -> impl Iterator<Item = usize> + 'a {
        let bytes = self.code.as_bytes();
        self.code.match_indices(word).map(|(position, _)| position).filter(move |position| {
            let starts_name = word.starts_with(is_name_char);
            let ends_name = word.ends_with(is_name_char);
            let before = position.checked_sub(1).map(|at| bytes[at]);
            let after = bytes.get(position + word.len()).copied();
            let goes_on_before = starts_name && before.is_some_and(is_name_byte);
            let goes_on_after = ends_name && after.is_some_and(is_name_byte);
            !goes_on_before && !goes_on_after
        })
    }

    /// Number of lines that are not test code.
    pub fn lines_without_tests(&self) -> usize {
        let mut position = 0;
        let mut count = 0;
        for line in self.text.split_inclusive('\n') {
            count += usize::from(!self.is_test_at(position + line.len() - line.trim_start().len()));
            position += line.len();
        }
        count
    }

    /// The module that the file is, as parts below its crate's root: `b.rs in src/a` is `["a", "b"]`.
    pub fn module(&self) -> Vec<&str> {
        let inside = self.path.strip_prefix("src/domain/").or_else(|| self.path.strip_prefix("src/"));
        let stem = inside.unwrap_or(&self.path).trim_end_matches(".rs").trim_end_matches("/mod");
        stem.split('/').filter(|part| !["lib", "main"].contains(part)).collect()
    }

    /// Every path that starts at the crate's root, by `crate::` or by climbing with `super::`.
    pub fn crate_paths(&self) -> Vec<PathUse> {
        let mut uses = Vec::new();
        for position in self.positions("crate") {
            if let Some(rest) = self.code[position..].strip_prefix("crate::") {
                uses.extend(parts_of(rest).into_iter().map(|parts| PathUse { position, parts }));
            }
        }
        for position in self.positions("super") {
            if self.code[..position].ends_with("super::") {
                continue;
            }
            let mut rest = &self.code[position..];
            let mut climbed = 0;
            while let Some(after) = rest.strip_prefix("super::") {
                rest = after;
                climbed += 1;
            }
            if climbed > 0 && climbed >= self.module().len() + self.inline_depth(position) {
                uses.extend(parts_of(rest).into_iter().map(|parts| PathUse { position, parts }));
            }
        }
        uses
    }

    /// In how many `mod name { … }` of this file a position lies.
    fn inline_depth(&self, position: usize) -> usize {
        let opens = |start: usize| {
            let rest = &self.code[start..];
            let open = rest.find(['{', ';']).filter(|at| rest.as_bytes()[*at] == b'{')?;
            Some(start + open..closing(&self.code, start + open))
        };
        self.positions("mod").filter_map(opens).filter(|block| block.contains(&position)).count()
    }

    /// Modules that are declared for tests only, as paths without ending.
    fn test_modules(&self) -> Vec<String> {
        let stem = self.path.trim_end_matches(".rs");
        let folder = match stem.rsplit_once('/') {
            Some((parent, "lib" | "main" | "mod")) => parent,
            _ => stem,
        };
        let declared = |item: &Range<usize>| {
            let words: Vec<&str> = self.code[item.clone()].split_whitespace().collect();
            let at = words.iter().position(|word| *word == "mod")?;
            let name = words.get(at + 1)?.strip_suffix(';')?;
            Some(format!("{folder}/{name}"))
        };
        self.test_items.iter().filter_map(declared).collect()
    }
}

fn is_name_char(c: char) -> bool {
    c == '_' || c.is_ascii_alphanumeric()
}

fn is_name_byte(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric()
}

/// The paths that a `use` tree or an expression path spells: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn parts_of(text: &str) -> Vec<Vec<String>> {
    let text = text.trim_start();
    if text.starts_with('{') {
        let inside = text.get(1..closing(text, 0).saturating_sub(1)).unwrap_or_default();
        return split_top(inside).into_iter().flat_map(parts_of).collect();
    }
    let length = text.find(|c| !is_name_char(c)).unwrap_or(text.len());
    if length == 0 {
        return Vec::new();
    }
    let head = text[..length].to_owned();
    let tails = text[length..].strip_prefix("::").map(parts_of).unwrap_or_default();
    if tails.is_empty() {
        return vec![vec![head]];
    }
    tails.into_iter().map(|tail| std::iter::once(head.clone()).chain(tail).collect()).collect()
}

fn split_top(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut pieces) = (0_usize, 0, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                pieces.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    pieces.push(&text[start..]);
    pieces
}

/// The position after the brace that closes the one at `open`.
fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

/// Where items stand that carry `#[cfg(test)]` or `#[test]`.
fn test_items(code: &str) -> Vec<Range<usize>> {
    let mut items = Vec::new();
    for (start, _) in code.match_indices("#[") {
        let Some(length) = code[start..].find(']') else { continue };
        let attribute = &code[start..start + length];
        let for_tests = attribute == "#[test"
            || attribute == "#[tokio::test"
            || (attribute.starts_with("#[cfg(") && attribute.contains("test") && !attribute.contains("not("));
        if for_tests {
            items.push(start..end_of_item(code, start + length + 1));
        }
    }
    items
}

/// The end of the item that follows at `from`: its closing brace, or its semicolon.
fn end_of_item(code: &str, from: usize) -> usize {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(from) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            b';' if depth == 0 => return at + 1,
            b'{' if depth == 0 => return closing(code, at),
            _ => {}
        }
    }
    code.len()
}

/// Replaces comments, strings and character literals by spaces.
pub fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let length = length_to_blank(text, at).unwrap_or(0);
        for byte in &mut out[at..at + length] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at += length.max(1);
    }
    String::from_utf8(out).expect("only whole characters are replaced")
}

/// The length of the comment or literal that begins at `at`, where one does.
fn length_to_blank(text: &str, at: usize) -> Option<usize> {
    let rest = text.get(at..)?;
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return Some(block_comment(rest));
    }
    let after_name = at > 0 && is_name_byte(text.as_bytes()[at - 1]);
    if let Some(length) = raw_string(rest).filter(|_| !after_name) {
        return Some(length);
    }
    if rest.starts_with('"') {
        return Some(quoted(rest, '"'));
    }
    // What is no character literal is a lifetime.
    let inside = rest.strip_prefix('\'')?;
    let first = inside.chars().next()?;
    let is_literal = first == '\\' || inside[first.len_utf8()..].starts_with('\'');
    is_literal.then(|| quoted(rest, '\''))
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < rest.len() {
        let here = &rest.as_bytes()[at..];
        if here.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn raw_string(rest: &str) -> Option<usize> {
    let inside = rest.strip_prefix("br").or_else(|| rest.strip_prefix('r'))?;
    let hashes = inside.bytes().take_while(|byte| *byte == b'#').count();
    let body = inside[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let start = rest.len() - body.len();
    Some(body.find(&end).map_or(rest.len(), |at| start + at + end.len()))
}

/// The length of a quoted text with backslash escapes, quotes included.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_strings_and_literals_are_blanked() {
        let code =
            blank("a(\"x // y\"); // z\nb('\"', '\\'', r#\"q\"w\"#, b\"k\"); /* /* m */ n */ c::<'life>()");
        for word in ["x", "y", "z", "q", "w", "m", "n", "k"] {
            assert!(!code.contains(word), "{word} is left in {code:?}");
        }
        assert!(code.contains("a(") && code.contains("b(") && code.contains("c::<'life>()"), "{code:?}");
    }

    #[test]
    fn test_items_and_test_modules_are_told_apart() {
        let tree = Tree::of(&[
            (
                "src/a.rs",
                "fn work() {}\n#[cfg(test)]\nmod tests;\n#[cfg(test)]\nfn only() { x(); }\nfn more() {}\n",
            ),
            ("src/a/tests.rs", "fn helper() {}\n"),
            ("src/a/tests/deep.rs", "fn helper() {}\n"),
            ("src/a/tests_of_speed.rs", "fn helper() {}\n"),
        ]);
        let files = RustFile::all(&tree);
        let is_test = |path: &str| files.iter().find(|file| file.path == path).map(|file| file.is_test);
        assert_eq!(is_test("src/a/tests.rs"), Some(true));
        assert_eq!(is_test("src/a/tests/deep.rs"), Some(true));
        assert_eq!(is_test("src/a/tests_of_speed.rs"), Some(false));
        assert_eq!(files[0].lines_without_tests(), 2);
        assert!(files[0].is_test_at(files[0].code.find("x()").expect("it is there")));
    }

    #[test]
    fn paths_are_read_from_groups_and_from_climbing() {
        let text =
            "use crate::{a::{b, c}, d as e};\nuse super::super::f;\nuse super::g;\nmod m { use super::h; }";
        let file = RustFile::sample("src/one/two.rs", text);
        let paths: Vec<String> = file.crate_paths().iter().map(|found| found.parts.join("::")).collect();
        assert_eq!(paths, ["a::b", "a::c", "d", "f"]);
    }
}

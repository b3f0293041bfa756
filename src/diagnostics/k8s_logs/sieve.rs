//! Parts of a log in, the newest lines that pass a filter out, within a fixed number of bytes.

use std::collections::VecDeque;

use regex::Regex;
use serde_json::Value;

/// Bytes of one line that are looked at. What is longer is no line that a person wrote; its rest is read past.
pub(super) const LINE_BYTES_MAX: usize = 16 << 10;

/// Bytes of lines that are kept of one log. Several times what is shown, so that a block such as a key in PEM is still
/// whole when secrets are taken out.
pub(super) const KEPT_BYTES_MAX: usize = 64 << 10;

/// Which lines pass.
#[derive(Debug, Default)]
pub(super) struct Filter {
    pub(super) grep: Option<Regex>,
    pub(super) json: Vec<(String, Value)>,
}

impl Filter {
    fn passes(&self, line: &str) -> bool {
        if self.grep.as_ref().is_some_and(|grep| !grep.is_match(line)) {
            return false;
        }
        if self.json.is_empty() {
            return true;
        }
        let Ok(document) = serde_json::from_str::<Value>(line) else { return false };
        self.json.iter().all(|(pointer, wanted)| document.pointer(pointer).unwrap_or(&Value::Null) == wanted)
    }
}

/// Lines on their way.
#[derive(Debug, Default)]
pub(super) struct Sieve {
    /// Lines that were read.
    pub(super) read: u64,
    /// Lines that passed.
    pub(super) passed: u64,
    /// Whether there was more to read.
    pub(super) truncated: bool,
    /// The line that is not at its end yet.
    open: Vec<u8>,
    /// Whether a line is open at all: an empty one has no bytes.
    is_open: bool,
    kept: VecDeque<String>,
    kept_bytes: usize,
}

impl Sieve {
    /// Takes the next part.
    pub(super) fn take(&mut self, part: &[u8], filter: &Filter) {
        let mut rest = part;
        while let Some(at) = memchr(rest) {
            self.extend(&rest[..at]);
            self.close(filter);
            rest = &rest[at + 1..];
        }
        if !rest.is_empty() {
            self.extend(rest);
        }
    }

    /// The log has ended, perhaps within a line.
    pub(super) fn end(&mut self, filter: &Filter) {
        if self.is_open {
            self.close(filter);
        }
    }

    /// The lines that are kept, oldest first.
    pub(super) fn text(&self) -> String {
        let mut text = String::with_capacity(self.kept_bytes);
        for line in &self.kept {
            text.push_str(line);
            text.push('\n');
        }
        text
    }

    fn extend(&mut self, bytes: &[u8]) {
        self.is_open = true;
        let room = LINE_BYTES_MAX - self.open.len();
        self.open.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn close(&mut self, filter: &Filter) {
        self.read += 1;
        self.is_open = false;
        let line = String::from_utf8_lossy(&self.open);
        let line = line.trim_end_matches('\r');
        if filter.passes(line) {
            self.passed += 1;
            self.kept_bytes += line.len() + 1;
            self.kept.push_back(line.to_owned());
            while self.kept_bytes > KEPT_BYTES_MAX {
                let Some(oldest) = self.kept.pop_front() else { break };
                self.kept_bytes -= oldest.len() + 1;
            }
        }
        self.open.clear();
    }
}

fn memchr(bytes: &[u8]) -> Option<usize> {
    bytes.iter().position(|byte| *byte == b'\n')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sieve(parts: &[&[u8]], filter: &Filter) -> Sieve {
        let mut sieve = Sieve::default();
        parts.iter().for_each(|part| sieve.take(part, filter));
        sieve.end(filter);
        sieve
    }

    #[test]
    fn lines_are_whole_wherever_the_parts_are_cut() {
        let text = b"one\n\ntwo\r\nthree";
        for cut in 0..text.len() {
            let got = sieve(&[&text[..cut], &text[cut..]], &Filter::default());
            assert_eq!(got.text(), "one\n\ntwo\nthree\n", "cut at {cut}");
            assert_eq!((got.read, got.passed), (4, 4));
        }
    }

    #[test]
    fn both_filters_must_pass() {
        let grep = Regex::new("pool").expect("a pattern");
        let filter = Filter { grep: Some(grep), json: vec![("/level".to_owned(), json!("error"))] };
        let log = concat!(
            "{\"level\":\"error\",\"msg\":\"pool\"}\n",
            "{\"level\":\"info\",\"msg\":\"pool\"}\n",
            "{\"level\":\"error\",\"msg\":\"disk\"}\n",
            "pool in plain text\n"
        );
        let got = sieve(&[log.as_bytes()], &filter);
        assert_eq!((got.read, got.passed), (4, 1));
        assert!(got.text().contains("\"error\",\"msg\":\"pool\""));
    }

    #[test]
    fn however_long_a_log_or_a_line_is_little_is_kept_and_it_is_the_newest() {
        let mut sieve = Sieve::default();
        let filter = Filter::default();
        for number in 0..50_000 {
            sieve.take(format!("line {number}\n").as_bytes(), &filter);
        }
        assert!(sieve.kept_bytes <= KEPT_BYTES_MAX && sieve.text().ends_with("line 49999\n"));
        assert_eq!(sieve.passed, 50_000);
        let part = [b'x'; 4096];
        for _ in 0..1000 {
            sieve.take(&part, &filter);
        }
        assert!(sieve.open.capacity() <= 2 * LINE_BYTES_MAX, "{}", sieve.open.capacity());
        sieve.end(&filter);
        assert_eq!(sieve.passed, 50_001);
        assert!(sieve.kept.iter().map(String::len).sum::<usize>() <= KEPT_BYTES_MAX);
    }
}

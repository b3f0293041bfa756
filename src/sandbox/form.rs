//! `application/x-www-form-urlencoded`, both ways, with control over how spaces are written.
//!
//! Slack's interactions arrive with spaces as `+`, some of its own tools write `%20`; a receiver must verify the
//! signature over either, so the sandbox can send either.

use std::fmt::Write;

/// How a space is written in a form body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spaces {
    /// `+`, as browsers and Slack do.
    #[default]
    Plus,
    /// `%20`, as RFC 3986 does.
    Percent,
}

/// Percent-encodes one value.
#[must_use]
pub fn encode(value: &str, spaces: Spaces) -> String {
    let mut encoded = String::with_capacity(value.len() * 3);
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' => encoded.push(char::from(byte)),
            b' ' if spaces == Spaces::Plus => encoded.push('+'),
            _ => write!(encoded, "%{byte:02X}").expect("writing to a String cannot fail"),
        }
    }
    encoded
}

/// Takes a form body apart; what is not valid percent-encoding or UTF-8 is replaced, as browsers do.
#[must_use]
pub fn decode(body: &str) -> Vec<(String, String)> {
    let pairs = body.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (decode_value(key), decode_value(value)))
        .collect()
}

fn decode_value(value: &str) -> String {
    let bytes = value.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let hex = (bytes[index] == b'%')
            .then(|| bytes.get(index + 1..index + 3))
            .flatten()
            .and_then(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        match hex {
            Some(byte) => {
                decoded.push(byte);
                index += 2;
            }
            None if bytes[index] == b'+' => decoded.push(b' '),
            None => decoded.push(bytes[index]),
        }
        index += 1;
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_comes_back_in_both_spellings() {
        let text = "a b+c&d=e%f ü\n{\"x\":1}~*";
        for spaces in [Spaces::Plus, Spaces::Percent] {
            let body = format!("payload={}&empty=", encode(text, spaces));
            assert_eq!(decode(&body), [("payload".into(), text.into()), ("empty".into(), String::new())]);
        }
        assert_eq!((encode(" ", Spaces::Plus).as_str(), encode(" ", Spaces::Percent).as_str()), ("+", "%20"));
    }

    #[test]
    fn broken_percent_signs_stay_as_they_are() {
        assert_eq!(
            decode("a=100%&b=%zz&c=%4"),
            [("a".into(), "100%".into()), ("b".into(), "%zz".into()), ("c".into(), "%4".into())]
        );
    }
}

//! Lines of the trail as they are stored: those of one step in one row, which says once what they share.
//!
//! Each line keeps its own hash. What it follows is the line before it, so a line that is taken out of a row, moved or
//! changed shows in the chain as it would between rows.

use super::codec::{from_json, json_of_about};
use super::error::Failure;
use crate::domain::people::Actor;
use crate::domain::timeline::{LineKind, TimelineLine};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What the body of a row of several lines begins with. Rows of one line were written before there was a format.
const HEAD: &str = r#"{"format":2,"#;

/// About what the head of a row and one of its lines take.
const HEAD_BYTES: usize = 256;
const LINE_BYTES: usize = 192;

/// Lines of one row: bounds what a step that concerns a thousand alerts writes in one piece.
const LINES_MAX: usize = 64;

#[derive(Serialize)]
struct Written<'l> {
    format: u32,
    seq: u64,
    at: Timestamp,
    actor: &'l Actor,
    previous_hash: &'l str,
    lines: Vec<WrittenLine<'l>>,
}

#[derive(Serialize)]
struct WrittenLine<'l> {
    kind: LineKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'l str>,
    text: &'l str,
    hash: &'l str,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<&'l Actor>,
}

#[derive(Deserialize)]
struct Read {
    seq: u64,
    at: Timestamp,
    actor: Actor,
    previous_hash: String,
    lines: Vec<ReadLine>,
}

#[derive(Deserialize)]
struct ReadLine {
    kind: LineKind,
    reason: Option<String>,
    text: String,
    hash: String,
    at: Option<Timestamp>,
    actor: Option<Actor>,
}

/// The rows of a step's lines, each with the number of its first line.
pub(super) fn rows(lines: &[TimelineLine]) -> impl Iterator<Item = (u64, String)> {
    lines
        .chunk_by(|line, next| next.seq == line.seq + 1 && next.previous_hash == line.hash)
        .flat_map(|chain| chain.chunks(LINES_MAX))
        .filter_map(|lines| lines.first().map(|first| (first.seq, row(first, lines))))
}

fn row(first: &TimelineLine, lines: &[TimelineLine]) -> String {
    let lines = lines.iter().map(|line| WrittenLine {
        kind: line.kind,
        reason: line.reason.as_deref(),
        text: &line.text,
        hash: &line.hash,
        at: (line.at != first.at).then_some(line.at),
        actor: (line.actor != first.actor).then_some(&line.actor),
    });
    json_of_about(
        HEAD_BYTES + lines.len() * LINE_BYTES,
        &Written {
            format: 2,
            seq: first.seq,
            at: first.at,
            actor: &first.actor,
            previous_hash: &first.previous_hash,
            lines: lines.collect(),
        },
    )
}

/// Adds the lines of a row to those before it.
pub(super) fn read(
    what: impl std::fmt::Display,
    body: &str,
    into: &mut Vec<TimelineLine>,
) -> Result<(), Failure> {
    if !body.starts_with(HEAD) {
        into.push(from_json(what, body)?);
        return Ok(());
    }
    let Read { seq, at, actor, mut previous_hash, lines } = from_json(what, body)?;
    for (line, seq) in lines.into_iter().zip(seq..) {
        let hash = line.hash;
        into.push(TimelineLine {
            seq,
            at: line.at.unwrap_or(at),
            kind: line.kind,
            actor: line.actor.unwrap_or_else(|| actor.clone()),
            reason: line.reason,
            text: line.text,
            previous_hash: std::mem::replace(&mut previous_hash, hash.clone()),
            hash,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::timeline::{TimelineHead, verify_chain};
    use crate::store::codec::json;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_790_000_000_000 + millis).expect("a time")
    }

    fn mk_lines(count: u32) -> Vec<TimelineLine> {
        let mut head = TimelineHead::default();
        let someone = Actor { name: "una".to_owned(), ..Actor::machine() };
        let line = |number: u32| {
            let actor = if number % 3 == 2 { someone.clone() } else { Actor::machine() };
            let reason = number.is_multiple_of(2).then_some("word");
            head.append(
                at(i64::from(number / 5)),
                LineKind::Alert,
                &actor,
                reason,
                format!("line {number}\0"),
            )
        };
        (0..count).map(line).collect()
    }

    fn read_back(rows: &[(u64, String)]) -> Vec<TimelineLine> {
        let mut lines = Vec::new();
        for (_, body) in rows {
            read("a row", body, &mut lines).expect("readable");
        }
        lines
    }

    #[test]
    fn lines_read_back_equal_and_in_one_chain() {
        let lines = mk_lines(150);
        let rows: Vec<_> = rows(&lines).collect();
        assert_eq!(rows.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [1, 65, 129]);
        assert_eq!(read_back(&rows), lines);
        verify_chain(&read_back(&rows)).expect("whole");
    }

    #[test]
    fn lines_that_do_not_follow_each_other_keep_what_they_say() {
        let mut lines = mk_lines(4);
        lines[2].previous_hash = "forged".to_owned();
        lines[3].seq = 9;
        let rows: Vec<_> = rows(&lines).collect();
        assert_eq!(rows.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [1, 3, 9]);
        assert_eq!(read_back(&rows), lines);
    }

    #[test]
    fn a_line_that_is_taken_out_of_a_row_shows() {
        let (_, body) = rows(&mk_lines(3)).next().expect("one row");
        let mut row: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        row["lines"].as_array_mut().expect("lines").remove(1);
        let body = format!("{HEAD}{}", json(&row).replacen("{", "", 1).replace(r#""format":2,"#, ""));
        assert!(verify_chain(&read_back(&[(1, body)])).is_err());
    }

    #[test]
    fn a_row_of_one_line_from_before_is_readable() {
        let lines = mk_lines(2);
        let old: Vec<(u64, String)> = lines.iter().map(|line| (line.seq, json(line))).collect();
        assert_eq!(read_back(&old), lines);
    }
}

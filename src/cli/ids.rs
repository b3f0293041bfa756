//! Identities as people type them: whole, or as a part that leads to exactly one incident.
//!
//! Identities begin with the time, so that those of one night begin alike; what tells them apart is the end. Lists
//! therefore show the end, and commands take it back.

use super::failure::Failure;
use super::remote::{Call, Remote};
use super::terminal;

/// Characters of a whole identity: a UUID without dashes.
const WHOLE_CHARS: usize = 32;

/// Characters of the end that lists show: 32 random bits tell a few hundred incidents apart.
const SHORT_CHARS: usize = 8;

/// Least characters of a part; fewer are more likely a slip than a name.
const PART_CHARS_MIN: usize = 4;

/// Newest incidents that a part is looked up among: the most that one page holds.
const LOOKED_THROUGH: u32 = 500;

/// Between an incident's identity and the number of its action, in the identity of the action.
const ACTION_MARK: &str = "-a";

/// The end of an identity, for lists. An action keeps its number: `6b1f03aa-a1`.
pub(super) fn short(id: &str) -> String {
    let (incident, action) = split(id);
    let skipped = incident.chars().count().saturating_sub(SHORT_CHARS);
    let end: String = incident.chars().skip(skipped).collect();
    format!("{end}{action}")
}

/// An identity and, for an action, its mark and number.
fn split(id: &str) -> (&str, &str) {
    id.find(ACTION_MARK).map_or((id, ""), |at| id.split_at(at))
}

/// The whole identity of the incident or action that `typed` leads to.
pub(super) async fn whole(remote: &Remote, typed: &str) -> Result<String, Failure> {
    let typed = typed.trim();
    let (incident, action) = split(typed);
    let length = incident.chars().count();
    if length >= WHOLE_CHARS {
        return Ok(typed.to_owned());
    }
    if length < PART_CHARS_MIN {
        let message = format!("`{}` is too short for an identity", terminal::line(typed));
        return Err(Failure::usage(message).with_help(format!(
            "give it whole, or at least {PART_CHARS_MIN} characters of its beginning or end"
        )));
    }
    let path = ["api", "v1", "incidents"];
    let page = remote.ask(Call::get(&path).query("limit", Some(LOOKED_THROUGH))).await?;
    let known: Vec<&str> =
        page["incidents"].as_array().into_iter().flatten().filter_map(|one| one["id"].as_str()).collect();
    Ok(format!("{}{action}", pick(incident, &known)?))
}

fn pick<'k>(part: &str, known: &[&'k str]) -> Result<&'k str, Failure> {
    let fits = |id: &&&str| id.starts_with(part) || id.ends_with(part);
    let found: Vec<&str> = known.iter().filter(fits).copied().collect();
    let part = terminal::line(part);
    match found[..] {
        [one] => Ok(one),
        [] => Err(Failure::failed(format!(
            "none of the newest {LOOKED_THROUGH} incidents begins or ends with `{part}`"
        ))
        .with_help(
            "`smokejumper incidents list --status all` shows them; an older one needs its whole identity",
        )),
        _ => Err(Failure::failed(format!("{} incidents begin or end with `{part}`", found.len()))
            .with_help(format!("give more characters; they are: {}", found.join(", ")))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 3] = [
        "019532f0a1b27c3d8e4f000000000001",
        "019532f0a1b27c3d8e4f00000000beef",
        "019632f0a1b27c3d8e4f00000000cafe",
    ];

    #[test]
    fn a_part_leads_to_one_incident_or_to_an_explanation() {
        assert_eq!(pick("beef", &KNOWN), Ok(KNOWN[1]));
        assert_eq!(pick("0196", &KNOWN), Ok(KNOWN[2]));
        let none = pick("dead", &KNOWN).expect_err("none").to_string();
        assert!(none.contains("--status all"), "{none}");
        let both = pick("0195", &KNOWN).expect_err("two").to_string();
        assert!(both.contains("2 incidents") && both.contains(KNOWN[0]) && both.contains(KNOWN[1]), "{both}");
    }

    #[test]
    fn lists_show_what_tells_incidents_apart() {
        assert_eq!(short(KNOWN[1]), "0000beef");
        assert_eq!(short(&format!("{}-a12", KNOWN[2])), "0000cafe-a12");
        assert_eq!(short("x"), "x");
    }
}

//! Silences as a value: made, changed and ended by Alertmanager's rules, and which of them keep an alert quiet.
//!
//! From Alertmanager's `silence` package and the answers of a real 0.25: a change of what a silence is for ends it and
//! makes another; one that is over cannot be ended again; the end may not lie in the past.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::payload::LabelSet;

use crate::domain::matcher::{MatchOp, Matcher, parse_utf8};
use crate::sandbox::seed::random_hex;

/// Why a silence is not made, changed or ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// There is none of this identity: 404.
    #[error("silence not found")]
    NotFound,
    /// It makes no sense: 400.
    #[error("{0}")]
    Invalid(String),
    /// It was ended before: 500, as Alertmanager answers.
    #[error("silence {0} already expired")]
    Expired(String),
}

/// A silence as it is posted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Posted {
    #[serde(default)]
    id: Option<String>,
    matchers: Vec<Condition>,
    starts_at: Timestamp,
    ends_at: Timestamp,
    created_by: String,
    comment: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Condition {
    name: String,
    value: String,
    is_regex: bool,
    #[serde(default = "yes")]
    is_equal: bool,
}

fn yes() -> bool {
    true
}

impl Condition {
    fn matcher(&self) -> Result<Matcher, Refused> {
        let op = match (self.is_regex, self.is_equal) {
            (false, true) => MatchOp::Equal,
            (false, false) => MatchOp::NotEqual,
            (true, true) => MatchOp::Regex,
            (true, false) => MatchOp::NotRegex,
        };
        Matcher::new(&self.name, op, &self.value).map_err(|error| Refused::Invalid(error.to_string()))
    }
}

/// A silence that is kept.
#[derive(Debug, Clone)]
struct Kept {
    id: String,
    posted: Posted,
    matchers: Vec<Matcher>,
    updated_at: Timestamp,
}

impl Kept {
    fn state(&self, now: Timestamp) -> &'static str {
        match now {
            now if now >= self.posted.ends_at => "expired",
            now if now < self.posted.starts_at => "pending",
            _ => "active",
        }
    }

    fn json(&self, now: Timestamp) -> Value {
        let Posted { matchers, starts_at, ends_at, created_by, comment, .. } = &self.posted;
        json!({
            "id": self.id, "status": { "state": self.state(now) }, "updatedAt": self.updated_at.to_string(),
            "matchers": matchers, "startsAt": starts_at.to_string(), "endsAt": ends_at.to_string(),
            "createdBy": created_by, "comment": comment,
        })
    }
}

/// All silences, those that are over among them.
#[derive(Debug, Default)]
pub(super) struct Silences(Vec<Kept>);

impl Silences {
    /// Makes or changes one; returns its identity.
    pub(super) fn put(&mut self, mut posted: Posted, now: Timestamp) -> Result<String, Refused> {
        let matchers: Vec<Matcher> =
            posted.matchers.iter().map(Condition::matcher).collect::<Result<_, _>>()?;
        let matches_nothing = matchers.iter().all(|matcher| matcher.matches_value(""));
        let fault = match &posted {
            Posted { matchers, .. } if matchers.is_empty() => Some("at least one matcher required"),
            _ if matches_nothing => Some("at least one matcher must not match the empty string"),
            Posted { starts_at, ends_at, .. } if ends_at <= starts_at => {
                Some("start time must be before end time")
            }
            Posted { ends_at, .. } if *ends_at <= now => Some("end time can't be in the past"),
            _ => None,
        };
        if let Some(fault) = fault {
            return Err(Refused::Invalid(fault.to_owned()));
        }
        if let Some(id) = posted.id.clone() {
            let kept = self.0.iter_mut().find(|kept| kept.id == id).ok_or(Refused::NotFound)?;
            let is_same = kept.posted.matchers == posted.matchers && kept.state(now) == "active";
            if is_same {
                posted.starts_at = kept.posted.starts_at;
                (kept.posted, kept.updated_at) = (posted, now);
                return Ok(id);
            }
            if kept.state(now) != "expired" {
                kept.posted.ends_at = now;
            }
        }
        posted.starts_at = posted.starts_at.max(now);
        let id = format!("{}-0000-4000-8000-{}", random_hex(4), random_hex(6));
        self.0.push(Kept { id: id.clone(), posted, matchers, updated_at: now });
        Ok(id)
    }

    /// Ends one now.
    pub(super) fn expire(&mut self, id: &str, now: Timestamp) -> Result<(), Refused> {
        let kept = self.0.iter_mut().find(|kept| kept.id == id).ok_or(Refused::NotFound)?;
        if kept.state(now) == "expired" {
            return Err(Refused::Expired(id.to_owned()));
        }
        (kept.posted.ends_at, kept.updated_at) = (now, now);
        Ok(())
    }

    /// One of them, as it is told.
    pub(super) fn one(&self, id: &str, now: Timestamp) -> Option<Value> {
        self.0.iter().find(|kept| kept.id == id).map(|kept| kept.json(now))
    }

    /// Those whose conditions, taken as labels, match all filters.
    pub(super) fn list(&self, filters: &[String], now: Timestamp) -> Result<Vec<Value>, Refused> {
        let mut wanted = Vec::new();
        for filter in filters {
            let parsed = parse_utf8(filter).map_err(|error| Refused::Invalid(error.to_string()))?;
            wanted.extend(parsed.iter().cloned());
        }
        let fits = |kept: &&Kept| {
            let conditions: LabelSet =
                kept.posted.matchers.iter().map(|one| (one.name.clone(), one.value.clone())).collect();
            wanted.iter().all(|matcher| matcher.matches(&conditions))
        };
        Ok(self.0.iter().filter(fits).map(|kept| kept.json(now)).collect())
    }

    /// Identities of those that keep an alert with these labels quiet.
    pub(super) fn quieting(&self, labels: &LabelSet, now: Timestamp) -> Vec<String> {
        let quiets = |kept: &&Kept| {
            kept.state(now) == "active" && kept.matchers.iter().all(|matcher| matcher.matches(labels))
        };
        self.0.iter().filter(quiets).map(|kept| kept.id.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).expect("in range")
    }

    fn mk_posted(service: &str, from: i64, until: i64) -> Posted {
        let condition = |name: &str, value: &str| Condition {
            name: name.to_owned(),
            value: value.to_owned(),
            is_regex: false,
            is_equal: true,
        };
        Posted {
            id: None,
            matchers: vec![condition("alertname", "Errors"), condition("service", service)],
            starts_at: at(from),
            ends_at: at(until),
            created_by: "una".to_owned(),
            comment: "known".to_owned(),
        }
    }

    fn mk_labels(service: &str) -> LabelSet {
        [("alertname", "Errors"), ("service", service)].map(|(n, v)| (n.to_owned(), v.to_owned())).into()
    }

    #[test]
    fn a_silence_keeps_quiet_what_it_is_for_until_its_end() {
        let mut silences = Silences::default();
        let id = silences.put(mk_posted("api", -300, 60), at(0)).expect("made");
        assert_eq!(silences.quieting(&mk_labels("api"), at(59)), std::slice::from_ref(&id));
        assert_eq!(silences.quieting(&mk_labels("web"), at(59)), [""; 0]);
        assert_eq!(silences.quieting(&mk_labels("api"), at(60)), [""; 0]);
        assert_eq!(silences.one(&id, at(60)).expect("kept")["status"]["state"], "expired");
        assert_eq!(
            silences.one(&id, at(1)).expect("kept")["startsAt"],
            at(0).to_string(),
            "never in the past"
        );
    }

    #[test]
    fn one_that_is_changed_keeps_its_identity_unless_it_is_for_something_else() {
        let mut silences = Silences::default();
        let id = silences.put(mk_posted("api", 0, 60), at(0)).expect("made");
        let longer = Posted { id: Some(id.clone()), ..mk_posted("api", 30, 600) };
        assert_eq!(silences.put(longer, at(30)), Ok(id.clone()));
        assert_eq!(silences.quieting(&mk_labels("api"), at(500)), std::slice::from_ref(&id));
        let other = Posted { id: Some(id.clone()), ..mk_posted("web", 40, 600) };
        assert_ne!(silences.put(other, at(40)), Ok(id.clone()));
        assert_eq!(silences.quieting(&mk_labels("api"), at(41)), [""; 0]);
        assert_eq!(silences.expire(&id, at(42)), Err(Refused::Expired(id)));
        assert_eq!(silences.expire("x", at(42)), Err(Refused::NotFound));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let mut silences = Silences::default();
        let wrong = |posted| matches!(posted, Err(Refused::Invalid(_)));
        assert!(wrong(silences.put(mk_posted("api", 60, 30), at(0))));
        assert!(wrong(silences.put(mk_posted("api", -60, -30), at(0))));
        assert!(wrong(silences.put(Posted { matchers: Vec::new(), ..mk_posted("api", 0, 60) }, at(0))));
        let mut everything = mk_posted("api", 0, 60);
        everything.matchers.iter_mut().for_each(|one| (one.is_regex, one.value) = (true, ".*".to_owned()));
        assert!(wrong(silences.put(everything, at(0))));
    }

    #[test]
    fn a_list_has_those_whose_conditions_fit() {
        let mut silences = Silences::default();
        silences.put(mk_posted("api", 0, 60), at(0)).expect("made");
        let count = |filter: &str| silences.list(&[filter.to_owned()], at(0)).expect("a list").len();
        assert_eq!(
            (count("service=\"api\""), count("service=\"web\""), count("alertname=~\"Err.*\"")),
            (1, 0, 1)
        );
        assert!(silences.list(&["{".to_owned()], at(0)).is_err());
    }
}

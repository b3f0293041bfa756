//! How an object stands to what is to be written to it: whether the plan still holds, whether it is made already, and
//! who has the last word.

use serde_json::Value;

use super::edit::{Edit, REPLICAS, Write, mark};
use super::workload::template_digest;
use crate::clients::kubernetes::changes::FieldPath;
use crate::clients::kubernetes::managers::{FieldManager, managers};

/// How an object stands to a plan.
pub(super) enum Standing {
    /// The write may be made.
    Open,
    /// It was made, and bears our mark.
    Ours,
    /// It is so already, though not by this.
    Already,
    /// The plan is void; says why.
    Void(String),
}

impl Edit {
    pub(super) fn standing(&self, now: &Value, key: &str) -> Standing {
        let shown_subject = self.subject().shown();
        if now.pointer("/metadata/uid").and_then(Value::as_str) != Some(self.uid.as_str()) {
            return Standing::Void(format!(
                "{shown_subject} was replaced by another of that name since this was planned"
            ));
        }
        if mark(now) == Some(key) {
            return Standing::Ours;
        }
        let digest = template_digest(now);
        if self.is_made(now, &digest) {
            return Standing::Already;
        }
        if self.template.as_ref().is_some_and(|planned| *planned != digest) {
            return Standing::Void(format!(
                "somebody changed the template of {shown_subject} since this was planned"
            ));
        }
        for change in self.changes() {
            if let Some(value) = change.is_stale(now) {
                return Standing::Void(format!(
                    "somebody changed {} of {shown_subject} since this was planned: it is {}, and was {}",
                    change.path,
                    change.shown(value),
                    change.shown(&change.from)
                ));
            }
        }
        match self.taken_over(now) {
            Some(who) => Standing::Void(format!(
                "{who} set the replicas of {shown_subject} since this was planned, and has the last word"
            )),
            None => self.kept_by(now).map_or(Standing::Open, Standing::Void),
        }
    }

    /// Who has set a field since we did, to what it is. A way back undoes what we have set, and a value that somebody keeps
    /// on purpose is theirs. Our write took a single value over from all others, so whoever manages it beside us
    /// came later; of what has parts, others keep theirs, so it is theirs where nothing of it is ours.
    fn kept_by(&self, now: &Value) -> Option<String> {
        let changes = if self.restores { self.changes() } else { &[] };
        changes
            .iter()
            .filter(|change| !matches!(self.write, Write::Scale(_)) && !change.is_made(now))
            .find_map(|change| {
                let managers = managers(now, &change.path);
                let who = managers.iter().find(|manager| !manager.is_us())?;
                let has_parts = change.from.is_object() || change.from.is_array();
                let is_shared = has_parts && managers.iter().any(FieldManager::is_us);
                let (path, shown) = (&change.path, self.subject().shown());
                (!is_shared)
                    .then(|| format!("{who} set {path} of {shown} since we did, and has the last word"))
            })
    }

    /// Who has set the number of replicas since the plan, though it is what it was. A way back undoes what we have set,
    /// and nobody else's number.
    fn taken_over(&self, now: &Value) -> Option<String> {
        if !matches!(self.write, Write::Scale(_)) {
            return None;
        }
        let managers = managers(now, &FieldPath::fields(REPLICAS));
        let is_the_same = match &self.set_by {
            Some(planned) => managers.iter().map(ToString::to_string).eq(planned.iter().cloned()),
            None => !self.restores || managers.is_empty() || managers.iter().any(FieldManager::is_us),
        };
        let who = managers.iter().find(|manager| !manager.is_us()).or(managers.first());
        (!is_the_same).then(|| who.map_or_else(|| "somebody".to_owned(), ToString::to_string))
    }

    fn is_made(&self, now: &Value, digest: &str) -> bool {
        match &self.write {
            Write::Revision { template, .. } => template == digest,
            _ => self.changes().iter().all(|change| change.is_made(now)),
        }
    }

    /// Whether the object shows that our write arrived.
    pub(super) fn bears_us(&self, now: &Value, key: &str) -> bool {
        // `scale` keeps no mark: a number that is as it should be is all there is to see.
        let by_value = matches!(self.write, Write::Scale(_)) && self.is_made(now, &template_digest(now));
        mark(now) == Some(key) || by_value
    }
}

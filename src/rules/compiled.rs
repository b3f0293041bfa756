//! A rule made ready: its templates and conditions compiled, once for all its incidents.
//!
//! Compiling never fails as a whole. A rule that an incident keeps may be older than this build; what this build
//! cannot compile says why when it is used, and everything else works.

use super::condition::CompiledCondition;
use super::render::Templates;
use crate::domain::catalog::{Catalog, CheckedParams, Slot};
use crate::domain::rule::{ActionSpec, Condition, RemedySpec, ResponseRule, SeveritySpec, Template};
use serde_json::Value;
use std::sync::OnceLock;

/// A compiled rule. What is only needed to decide is compiled when it is first asked for, since most alerts only
/// ask which incident they belong to.
#[derive(Debug)]
pub struct CompiledRule {
    pub(super) opening: Templates,
    ladder: OnceLock<CompiledLadder>,
}

/// Diagnostics, remedies and what follows the end.
#[derive(Debug)]
pub(super) struct CompiledLadder {
    pub(super) templates: Templates,
    /// Slots of each diagnostic, or why it cannot be used.
    pub(super) diagnostics: Vec<Result<Vec<Slot>, String>>,
    pub(super) remedies: Vec<CompiledRemedy>,
    pub(super) on_resolve: Vec<Result<Vec<Slot>, String>>,
}

/// One remedy.
#[derive(Debug)]
pub(super) struct CompiledRemedy {
    /// `None` for a remedy that always applies.
    pub(super) when: Option<Result<CompiledCondition, String>>,
    pub(super) checks: Vec<Result<CompiledCondition, String>>,
    pub(super) action: Result<Vec<Slot>, String>,
    pub(super) rollback: Option<Result<Vec<Slot>, String>>,
}

impl CompiledRule {
    /// Compiles what opening an incident needs.
    pub fn new(rule: &ResponseRule) -> Self {
        let mut texts: Vec<&Template> = Vec::new();
        texts.extend(&rule.runbook);
        texts.extend(&rule.summary);
        if let SeveritySpec::Template(severity) = &rule.severity {
            texts.push(severity);
        }
        if let Some(target) = &rule.target {
            texts.extend([&target.namespace, &target.name]);
        }
        let opening = Templates::compile_sound(texts.into_iter().map(|text| text.0.as_str()));
        Self { opening, ladder: OnceLock::new() }
    }

    /// The rest, compiled now or before. `rule` must be the rule that this was made from.
    pub(super) fn ladder(&self, rule: &ResponseRule, catalog: &Catalog) -> &CompiledLadder {
        self.ladder.get_or_init(|| CompiledLadder::new(rule, catalog))
    }
}

impl CompiledLadder {
    fn new(rule: &ResponseRule, catalog: &Catalog) -> Self {
        let mut texts = Vec::new();
        let diagnostics = rule
            .diagnostics
            .iter()
            .map(|spec| {
                let checked = catalog.diagnostic(&spec.kind).map(|kind| (kind.check)(&spec.params));
                slots(&spec.kind, &spec.params, checked.transpose(), &mut texts)
            })
            .collect();
        let remedies =
            rule.remedies.iter().map(|spec| CompiledRemedy::new(spec, catalog, &mut texts)).collect();
        let on_resolve = rule.on_resolve.iter().map(|spec| action_slots(spec, catalog, &mut texts)).collect();
        Self { templates: Templates::compile_sound(texts), diagnostics, remedies, on_resolve }
    }
}

impl CompiledRemedy {
    fn new<'r>(spec: &'r RemedySpec, catalog: &Catalog, texts: &mut Vec<&'r str>) -> Self {
        let compile = |condition: &Condition| {
            CompiledCondition::compile(&condition.0).map_err(|error| error.to_string())
        };
        Self {
            when: spec.when.as_ref().map(compile),
            checks: spec.verify.iter().flat_map(|verify| &verify.checks).map(compile).collect(),
            action: action_slots(&spec.action, catalog, texts),
            rollback: spec.rollback.as_ref().map(|rollback| action_slots(rollback, catalog, texts)),
        }
    }
}

fn action_slots<'r>(
    spec: &'r ActionSpec,
    catalog: &Catalog,
    texts: &mut Vec<&'r str>,
) -> Result<Vec<Slot>, String> {
    let checked = catalog.action(&spec.kind).map(|kind| (kind.check)(&spec.params));
    slots(&spec.kind, &spec.params, checked.transpose(), texts)
}

/// The slots of one use; adds their texts to `texts`.
fn slots<'r>(
    kind: &str,
    params: &'r Value,
    checked: Result<Option<CheckedParams>, crate::domain::catalog::ParamsError>,
    texts: &mut Vec<&'r str>,
) -> Result<Vec<Slot>, String> {
    let checked = checked.map_err(|error| format!("`{kind}` refuses its parameters: {error}"))?;
    let slots = checked.ok_or_else(|| format!("this build knows no `{kind}`"))?.slots;
    texts.extend(slots.iter().filter_map(|slot| params.pointer(&slot.pointer)?.as_str()));
    Ok(slots)
}

//! A rule made ready: its templates and conditions compiled, once for all its incidents.
//!
//! Compiling never fails as a whole. A rule that an incident keeps may be older than this build; what this build
//! cannot compile says why when it is used, and everything else works.

use super::condition::CompiledCondition;
use super::render::Templates;
use crate::domain::catalog::{Catalog, CheckedParams, ParamsError};
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
    pub(super) diagnostics: Vec<Compiled>,
    pub(super) remedies: Vec<CompiledRemedy>,
    pub(super) on_resolve: Vec<Compiled>,
}

/// One use of a diagnostic or an action, or why it cannot be used.
pub(super) type Compiled = Result<CheckedParams, String>;

/// One remedy.
#[derive(Debug)]
pub(super) struct CompiledRemedy {
    /// `None` for a remedy that always applies.
    pub(super) when: Option<Result<CompiledCondition, String>>,
    pub(super) checks: Vec<Result<CompiledCondition, String>>,
    pub(super) action: Compiled,
    pub(super) rollback: Option<Compiled>,
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
                compile_use(&spec.kind, &spec.params, checked.transpose(), &mut texts)
            })
            .collect();
        let remedies =
            rule.remedies.iter().map(|spec| CompiledRemedy::new(spec, catalog, &mut texts)).collect();
        let on_resolve =
            rule.on_resolve.iter().map(|spec| compile_action(spec, catalog, &mut texts)).collect();
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
            action: compile_action(&spec.action, catalog, texts),
            rollback: spec.rollback.as_ref().map(|rollback| compile_action(rollback, catalog, texts)),
        }
    }
}

fn compile_action<'r>(spec: &'r ActionSpec, catalog: &Catalog, texts: &mut Vec<&'r str>) -> Compiled {
    let checked = catalog.action(&spec.kind).map(|kind| (kind.check)(&spec.params));
    compile_use(&spec.kind, &spec.params, checked.transpose(), texts)
}

/// Compiles one use; adds the texts of its slots to `texts`.
fn compile_use<'r>(
    kind: &str,
    params: &'r Value,
    checked: Result<Option<CheckedParams>, ParamsError>,
    texts: &mut Vec<&'r str>,
) -> Compiled {
    let checked = checked.map_err(|error| format!("`{kind}` refuses its parameters: {error}"))?;
    let checked = checked.ok_or_else(|| format!("this build knows no `{kind}`"))?;
    texts.extend(checked.slots.iter().filter_map(|slot| params.pointer(&slot.pointer)?.as_str()));
    Ok(checked)
}

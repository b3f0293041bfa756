//! Looks at a parsed condition before it is used: its limits, and the names and functions in it.

use super::rewrite::is_finding;
use super::{ConditionError, DEPTH_MAX, LOOPS_MAX, NODES_MAX};
use crate::rules::vocabulary::{UnknownName, Vocabulary};
use crate::yaml::nearest;
use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators};

/// Functions that conditions may call. CEL's macros (`has`, `all`, `exists`, …) are no calls once parsed.
const FUNCTIONS: [&str; 11] = [
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "size",
    "double",
    "int",
    "string",
    "bool",
    "uint",
    "type",
];

/// Checks the limits on size and loops.
pub(super) fn limits(expression: &IdedExpr) -> Result<(), ConditionError> {
    let mut count = Count::default();
    count.walk(expression, false, 1);
    if count.nodes > NODES_MAX || count.depth > DEPTH_MAX {
        return Err(ConditionError::TooComplex(format!(
            "this condition has more than {NODES_MAX} names and operators, or more than {DEPTH_MAX} within each other: \
             split it over several remedies"
        )));
    }
    if count.loops > LOOPS_MAX || count.nested {
        return Err(ConditionError::TooComplex(format!(
            "a condition may hold {LOOPS_MAX} loops (all, exists, map, filter), and none within another"
        )));
    }
    Ok(())
}

#[derive(Default)]
struct Count {
    nodes: usize,
    depth: usize,
    loops: usize,
    nested: bool,
}

impl Count {
    fn walk(&mut self, expression: &IdedExpr, in_loop: bool, depth: usize) {
        self.nodes += 1;
        self.depth = self.depth.max(depth);
        // Deep enough to be refused: no reason to go on.
        if depth > DEPTH_MAX {
            return;
        }
        if let Expr::Comprehension(comprehension) = &expression.expr {
            self.loops += 1;
            self.nested |= in_loop;
            self.walk(&comprehension.iter_range, in_loop, depth + 1);
            self.walk(&comprehension.loop_step, true, depth + 1);
            return;
        }
        for child in children(&expression.expr) {
            self.walk(child, in_loop, depth + 1);
        }
    }
}

fn children(expression: &Expr) -> Vec<&IdedExpr> {
    match expression {
        Expr::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Expr::Select(select) => vec![&select.operand],
        Expr::List(list) => list.elements.iter().collect(),
        Expr::Map(map) => map.entries.iter().flat_map(|entry| entry_values(&entry.expr)).collect(),
        Expr::Struct(fields) => fields.entries.iter().flat_map(|entry| entry_values(&entry.expr)).collect(),
        Expr::Comprehension(loops) => vec![&loops.iter_range, &loops.loop_step],
        Expr::Ident(_) | Expr::Literal(_) | Expr::Unspecified => Vec::new(),
    }
}

fn entry_values(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
        EntryExpr::StructField(field) => vec![&field.value],
    }
}

/// All names that lead nowhere, and all functions that are not available.
pub(super) fn names(expression: &IdedExpr, vocabulary: &Vocabulary) -> Vec<UnknownName> {
    let mut names = Names { vocabulary, bound: Vec::new(), unknown: Vec::new() };
    names.walk(expression);
    names.unknown.dedup();
    names.unknown
}

struct Names<'v> {
    vocabulary: &'v Vocabulary,
    /// Variables of the loops around.
    bound: Vec<String>,
    unknown: Vec<UnknownName>,
}

impl Names<'_> {
    fn walk(&mut self, expression: &IdedExpr) {
        if let Some(path) = path(&expression.expr) {
            let bound = self.bound.iter().any(|name| name == path[0]) || path[0].starts_with('@');
            if !bound && let Err(unknown) = self.vocabulary.check(&path) {
                self.unknown.push(unknown);
            }
            return;
        }
        match &expression.expr {
            Expr::Comprehension(comprehension) => {
                self.walk(&comprehension.iter_range);
                self.bound.push(comprehension.iter_var.clone());
                self.walk(&comprehension.loop_step);
                self.bound.pop();
            }
            Expr::Struct(object) => self.refuse(&object.type_name, "conditions build no objects"),
            Expr::Call(call) => {
                self.check_call(call);
                children(&expression.expr).into_iter().for_each(|child| self.walk(child));
            }
            other => children(other).into_iter().for_each(|child| self.walk(child)),
        }
    }

    fn check_call(&mut self, call: &CallExpr) {
        let name = call.func_name.as_str();
        let is_operator = !name.starts_with(char::is_alphabetic);
        if is_operator {
            return;
        }
        if !FUNCTIONS.contains(&name) {
            let help = match nearest(name, FUNCTIONS) {
                Some(close) => format!("did you mean `{close}`?"),
                None => format!(
                    "there are: {}, and has, all, exists, exists_one, map, filter",
                    FUNCTIONS.join(", ")
                ),
            };
            self.refuse(&format!("{name}()"), &help);
        }
        if name == "matches" {
            self.check_pattern(call);
        }
    }

    /// A pattern must be written in the rule: a label is data and must not become one.
    fn check_pattern(&mut self, call: &CallExpr) {
        match call.args.last().map(|argument| &argument.expr) {
            Some(Expr::Literal(LiteralValue::String(pattern))) => {
                if let Err(error) = regex::Regex::new(pattern.inner()) {
                    let why = error.to_string().lines().last().unwrap_or_default().to_owned();
                    self.unknown.push(UnknownName {
                        message: "the pattern of `matches` is no regular expression".to_owned(),
                        help: why,
                    });
                }
            }
            _ => self.refuse("matches()", "its pattern must be a text in quotes"),
        }
    }

    fn refuse(&mut self, what: &str, help: &str) {
        let message = format!("`{what}` is not available in conditions");
        self.unknown.push(UnknownName { message, help: help.to_owned() });
    }
}

/// A dotted name such as `findings.errors.last`, also where the finding is written as `findings["errors"]`.
fn path(expression: &Expr) -> Option<Vec<&str>> {
    match expression {
        Expr::Ident(name) => Some(vec![name]),
        Expr::Select(select) => {
            let mut path = path(&select.operand.expr)?;
            path.push(&select.field);
            Some(path)
        }
        Expr::Call(call) if call.func_name == operators::INDEX && is_finding(expression) => {
            match (&call.args[0].expr, &call.args[1].expr) {
                (Expr::Ident(findings), Expr::Literal(LiteralValue::String(name))) => {
                    Some(vec![findings, name.inner()])
                }
                _ => None,
            }
        }
        _ => None,
    }
}

//! Puts our rules into a parsed condition: findings must be known where they are read, and arithmetic and equality
//! go through [`super::functions`], which answer with an error where CEL would answer with a guess.

use cel::common::ast::{CallExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators};

/// Returns the finding given as its argument, or an error if it is unknown. No rule can write such a name.
pub(super) const KNOWN_FINDING: &str = "@known_finding";

/// Operators that are replaced, and the functions that stand in for them.
pub(super) const REPLACED: [(&str, &str, &str); 6] = [
    (operators::EQUALS, "@equal", "=="),
    (operators::NOT_EQUALS, "@not_equal", "!="),
    (operators::ADD, "@add", "+"),
    (operators::SUBSTRACT, "@subtract", "-"),
    (operators::MULTIPLY, "@multiply", "*"),
    (operators::DIVIDE, "@divide", "/"),
];

/// Fields that can be read of an unknown finding.
const ALWAYS_THERE: [&str; 2] = ["status", "reason"];

/// An operator as people write it, for an internal name.
pub(super) fn operator(internal: &str) -> &str {
    let replaced = REPLACED.iter().find(|(from, to, _)| internal == *from || internal == *to);
    replaced.map_or_else(|| internal.trim_matches(['_', '@']), |(_, _, shown)| shown)
}

/// Rewrites an expression in place.
pub(super) fn rewrite(expression: &mut IdedExpr) {
    if let Expr::Select(select) = &mut expression.expr
        && !select.test
        && ALWAYS_THERE.contains(&select.field.as_str())
        && is_finding(&select.operand.expr)
    {
        return;
    }
    if is_finding(&expression.expr) {
        let finding = std::mem::take(expression);
        *expression = IdedExpr { id: finding.id, expr: call(KNOWN_FINDING, vec![finding]) };
        return;
    }
    match &mut expression.expr {
        Expr::Call(call) => rewrite_call(call),
        Expr::Select(select) => rewrite(&mut select.operand),
        Expr::List(list) => list.elements.iter_mut().for_each(rewrite),
        Expr::Map(map) => {
            for entry in &mut map.entries {
                if let EntryExpr::MapEntry(entry) = &mut entry.expr {
                    rewrite(&mut entry.key);
                    rewrite(&mut entry.value);
                }
            }
        }
        Expr::Comprehension(comprehension) => {
            rewrite(&mut comprehension.iter_range);
            rewrite(&mut comprehension.loop_step);
        }
        Expr::Ident(_) | Expr::Literal(_) | Expr::Struct(_) | Expr::Unspecified => {}
    }
}

fn rewrite_call(call: &mut CallExpr) {
    // A loop collects its result with operators of its own, which stay as they are.
    let collects = |argument: &IdedExpr| matches!(&argument.expr, Expr::Ident(name) if name.starts_with('@'));
    if !call.args.iter().any(collects)
        && let Some((_, to, _)) = REPLACED.iter().find(|(from, ..)| call.func_name == *from)
    {
        (*to).clone_into(&mut call.func_name);
    }
    if let Some(target) = &mut call.target {
        rewrite(target);
    }
    call.args.iter_mut().for_each(rewrite);
}

fn call(function: &str, args: Vec<IdedExpr>) -> Expr {
    Expr::Call(CallExpr { func_name: function.to_owned(), target: None, args })
}

/// Whether an expression is `findings.NAME` or `findings["NAME"]`.
pub(super) fn is_finding(expression: &Expr) -> bool {
    match expression {
        Expr::Select(select) => !select.test && is_findings(&select.operand.expr),
        Expr::Call(call) => {
            call.func_name == operators::INDEX
                && matches!(call.args.as_slice(), [map, key]
                    if is_findings(&map.expr) && matches!(key.expr, Expr::Literal(LiteralValue::String(_))))
        }
        _ => false,
    }
}

fn is_findings(expression: &Expr) -> bool {
    matches!(expression, Expr::Ident(name) if name == "findings")
}

//! Conditions: CEL expressions over labels, annotations, the incident and findings.
//!
//! A condition holds, fails, or is unknown; what is unknown never counts as true. The rules:
//! - A finding that is unknown, or missing, makes everything that reads it unknown, `has(…)`, `!…` and `in` included.
//!   Only `findings.NAME.status` and `.reason` can be read of it.
//! - `&&` and `||` are CEL's: `false && unknown` is false, `true || unknown` is true, in either order.
//! - A missing label, a comparison of a number with a text, a division by zero and anything else that is no finite
//!   number are unknown as well. Whole numbers and fractions mix freely in arithmetic (stricter CEL refuses that).
//!
//! Conditions must end soon whatever they are fed: their length, nesting and loops are bounded when they are
//! compiled, the lists that they may walk over when they are evaluated. [`mod@rewrite`] puts the rules above into
//! the expression tree; [`functions`] has the arithmetic.

mod functions;
mod inspect;
mod rewrite;
mod values;

use super::scope::Scope;
use super::vocabulary::{UnknownName, Vocabulary};
use crate::domain::diagnosis::ConditionOutcome;
use cel::common::ast::IdedExpr;
use cel::{Context, Env, ExecutionError, Value};
use std::cell::OnceCell;
use std::sync::{Arc, LazyLock};

pub use values::LIST_ITEMS_MAX;

/// Longest condition, in bytes.
pub const CONDITION_BYTES_MAX: usize = 2_000;
/// Deepest nesting of a condition, which bounds the stack that parsing and evaluating take.
const NESTING_MAX: u16 = 24;
/// Stack of the thread that parses: the parser takes up to 200 KiB for one level of nesting in a debug build, and
/// running out of stack would end the process.
const PARSER_STACK_BYTES: usize = 32 << 20;
/// Deepest expression tree, which bounds the stack that evaluating takes.
const DEPTH_MAX: usize = 40;
/// Most operators and names in one condition; long chains nest in the expression tree.
const NODES_MAX: usize = 300;
/// Most loops (`all`, `exists`, `map`, `filter`) in one condition. None may stand within another: a list of a
/// thousand items walked within itself is a million steps.
const LOOPS_MAX: usize = 4;

/// Why a condition cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// It cannot be parsed.
    #[error("column {column}: {message}")]
    Syntax {
        /// Column in characters, from 1.
        column: usize,
        /// What the parser expected.
        message: String,
    },
    /// It is too long, too deep or loops too much.
    #[error("{0}")]
    TooComplex(String),
    /// It uses a name, function or form that is not available.
    #[error(transparent)]
    Unknown(#[from] UnknownName),
}

/// A compiled condition.
#[derive(Debug)]
pub struct CompiledCondition {
    expression: IdedExpr,
}

impl CompiledCondition {
    /// Compiles a condition that was checked before, such as one of a rule that an incident keeps.
    ///
    /// # Errors
    /// If it cannot be parsed or exceeds a limit.
    pub fn compile(text: &str) -> Result<Self, ConditionError> {
        let mut expression = parse(text)?;
        inspect::limits(&expression)?;
        rewrite::rewrite(&mut expression);
        Ok(Self { expression })
    }

    /// Judges the condition. Never fails: what cannot be judged is unknown, with its reason.
    pub fn evaluate(&self, facts: &ConditionFacts) -> ConditionOutcome {
        match Value::resolve(&self.expression, facts.context()) {
            Ok(Value::Bool(true)) => ConditionOutcome::Holds,
            Ok(Value::Bool(false)) => ConditionOutcome::Fails,
            Ok(other) => {
                ConditionOutcome::Unknown(format!("it yields {}, not true or false", functions::kind(&other)))
            }
            Err(error) => ConditionOutcome::Unknown(reason(error)),
        }
    }
}

/// Checks a condition against what may be named at its place. All unknown names are reported, a syntax error alone.
pub fn check(text: &str, vocabulary: &Vocabulary) -> Vec<ConditionError> {
    let expression = match parse(text) {
        Ok(expression) => expression,
        Err(error) => return vec![error],
    };
    if let Err(error) = inspect::limits(&expression) {
        return vec![error];
    }
    inspect::names(&expression, vocabulary).into_iter().map(ConditionError::Unknown).collect()
}

/// Whether a condition is the constant `true`, so that nothing after it is ever reached.
pub fn is_always_true(text: &str) -> bool {
    text.trim() == "true"
}

fn parse(text: &str) -> Result<IdedExpr, ConditionError> {
    if text.len() > CONDITION_BYTES_MAX {
        let message = format!("this condition is longer than {CONDITION_BYTES_MAX} bytes");
        return Err(ConditionError::TooComplex(message));
    }
    let parser = || cel::parser::Parser::default().max_recursion_depth(NESTING_MAX).parse(text);
    on_parser_stack(parser)
        .unwrap_or_else(|| Err(cel::ParseErrors { errors: Vec::new() }))
        .map_err(syntax_error)
}

thread_local! {
    static HAS_PARSER_STACK: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Runs `work` on a thread whose stack is large enough for the parser: this one, if it is. `None` if there is no
/// such thread to be had or it died: then there is no answer, and the service goes on.
pub(super) fn on_parser_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    if HAS_PARSER_STACK.get() {
        return Some(work());
    }
    let work = || {
        HAS_PARSER_STACK.set(true);
        work()
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new()
            .name("rule-parser".to_owned())
            .stack_size(PARSER_STACK_BYTES)
            .spawn_scoped(scope, work);
        thread.ok()?.join().ok()
    })
}

fn syntax_error(errors: cel::ParseErrors) -> ConditionError {
    let Some(first) = errors.errors.first() else {
        return ConditionError::TooComplex("this condition could not be parsed".to_owned());
    };
    if first.msg.contains("Recursion limit") {
        return ConditionError::TooComplex(format!("this condition nests deeper than {NESTING_MAX} levels"));
    }
    let column = usize::try_from(first.pos.1).unwrap_or(1).max(1);
    // The parser lists every token that it could go on with; what stands there is what a reader looks for.
    let quoted = first.msg.split_once('\'').and_then(|(_, rest)| rest.split_once('\''));
    let message = match quoted {
        Some(("<EOF>", _)) => "it ends too early".to_owned(),
        Some((token, _)) => format!("`{token}` is not expected here"),
        None if first.msg.contains("<EOF>") => "it ends too early".to_owned(),
        None => first.msg.trim_start_matches("Syntax error: ").trim().to_owned(),
    };
    ConditionError::Syntax { column, message }
}

/// What conditions are judged over, made once for all conditions of one decision, and only where there is one.
pub struct ConditionFacts {
    scope: Scope,
    context: OnceCell<Context<'static, 'static>>,
}

impl std::fmt::Debug for ConditionFacts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConditionFacts").finish_non_exhaustive()
    }
}

impl ConditionFacts {
    /// The values of a scope as conditions see them.
    pub fn new(scope: &Scope) -> Self {
        Self { scope: scope.clone(), context: OnceCell::new() }
    }

    fn context(&self) -> &Context<'static, 'static> {
        self.context.get_or_init(|| context(&self.scope))
    }
}

fn context(scope: &Scope) -> Context<'static, 'static> {
    // Without values: our functions are the same for all of them.
    static BARE: LazyLock<Context<'static, 'static>> = LazyLock::new(|| {
        let mut bare = Context::with_env(Arc::new(Env::stdlib()));
        functions::add_to(&mut bare);
        bare
    });
    let mut context = BARE.new_inner_scope();
    for (name, value) in scope.values() {
        context.add_variable_from_value(name.as_str(), values::from_json(value));
    }
    context
}

/// The error as a reason for people: short, and without dumps of values.
fn reason(error: ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => format!("there is no `{key}`"),
        ExecutionError::UndeclaredReference(name) => format!("`{name}` is not known"),
        ExecutionError::NoSuchOverload(overload) => {
            let types = overload.argument_types().join(" and ");
            format!("`{}` does not work on {types}", rewrite::operator(overload.function()))
        }
        ExecutionError::FunctionError { message, .. } => message,
        ExecutionError::ValuesNotComparable(..) => "values of different kinds are compared".to_owned(),
        ExecutionError::UnsupportedBinaryOperator(operator, ..) => {
            format!("`{operator}` does not work on these values")
        }
        ExecutionError::DivisionByZero(_) | ExecutionError::RemainderByZero(_) => {
            "division by zero".to_owned()
        }
        ExecutionError::Overflow(..) => "a number grows too large".to_owned(),
        other => crate::domain::timeline::cut(other.to_string(), 200),
    }
}

#[cfg(test)]
mod tests;

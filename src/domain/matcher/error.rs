//! Why a matcher cannot be read: where, what was expected, and the way out.

use std::fmt;

use thiserror::Error;

/// A matcher, or a list of them, that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("column {column}: {problem}")]
pub struct MatcherError {
    /// Where the problem begins, in bytes from the start of the text, from 0.
    pub offset: usize,
    /// Where the problem begins, in characters from the start of the text, from 1.
    pub column: usize,
    /// What is wrong, what was expected, and the way out.
    pub problem: MatcherProblem,
}

impl MatcherError {
    /// Points at byte `offset` of `input`; an offset inside a character points at that character's end.
    pub(super) fn at(input: &str, offset: usize, problem: MatcherProblem) -> Self {
        let column = input.char_indices().take_while(|(at, _)| *at < offset).count() + 1;
        Self { offset, column, problem }
    }
}

/// What is wrong with a matcher.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MatcherProblem {
    /// A token stands where another was expected.
    #[error("unexpected {found}: expected {expected}")]
    Unexpected {
        /// The token that is there.
        found: Found,
        /// What may stand there instead.
        expected: Expected,
    },
    /// `!` or `~` that is not part of an operator.
    #[error(
        "`{0}` is not an operator: use `=`, `!=`, `=~` or `!~`, and put a value that holds `{0}` in double quotes"
    )]
    BadOperator(char),
    /// A reserved character outside quotes.
    #[error("`{0}` may not stand outside double quotes: put the whole name or value in double quotes")]
    Reserved(char),
    /// A quoted text without its end.
    #[error(
        "the double quote that opens here is never closed: add a `\"`, or write a quote inside the text as `\\\"`"
    )]
    UnclosedQuote,
    /// An escape that a double-quoted text may not hold.
    #[error(
        "this double-quoted text holds an escape that does not exist, a raw line break, or bytes that are not UTF-8: \
         write a backslash as `\\\\` and a line break as `\\n`"
    )]
    BadEscape,
    /// A label name of length zero.
    #[error("the label name is empty: write a name such as `alertname` before the operator")]
    EmptyName,
    /// A text that is no matcher by the classic grammar.
    #[error(
        "this is not a matcher: expected a label name, an operator (`=`, `!=`, `=~` or `!~`) and a value, such as \
         `severity=\"critical\"`; a name with other characters than letters, digits, `_` and `:` needs the UTF-8 syntax"
    )]
    NotClassic,
    /// A double quote inside a value of the classic grammar.
    #[error(
        "the value holds a double quote that is not escaped: put the value in double quotes and write a quote inside as `\\\"`"
    )]
    StrayQuote,
    /// No matcher where one is required.
    #[error("there is no matcher: write one such as `alertname=\"HighErrorRate\"`")]
    NoMatcher,
    /// Several matchers where one is required.
    #[error("there are {0} matchers where one is expected: give each its own entry")]
    TooMany(usize),
    /// Braces around a single matcher.
    #[error("a single matcher has no braces: remove the `{{` and `}}`")]
    Braces,
    /// A regular expression that RE2 refuses or that this engine does not offer.
    #[error("the regular expression of `{name}` is not usable: {source}")]
    Regex {
        /// The label name of the matcher.
        name: String,
        /// What is wrong with the expression.
        source: RegexError,
    },
}

/// A token that stands where another was expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing more.
    End,
    /// The text of the token.
    Token(String),
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::End => f.write_str("end of input"),
            Self::Token(text) => write!(f, "`{text}`"),
        }
    }
}

/// What may stand at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Expected {
    /// A closing brace came without an opening one.
    #[error("`{{` at the start, because there is a `}}`")]
    OpenBrace,
    /// An opening brace was never closed.
    #[error("`}}`, because there is a `{{` at the start")]
    CloseBrace,
    /// The start of a matcher.
    #[error("a label name, such as `alertname`")]
    LabelName,
    /// After a label name.
    #[error("an operator: `=`, `!=`, `=~` or `!~`")]
    Operator,
    /// After an operator.
    #[error(
        "a label value; an empty one is written `\"\"`, and one with other characters than letters needs double quotes"
    )]
    LabelValue,
    /// After a matcher.
    #[error("a comma or `}}`; put a value with blanks or special characters in double quotes")]
    CommaOrCloseBrace,
    /// After a comma.
    #[error("another matcher or `}}` after the comma")]
    MatcherOrCloseBrace,
    /// After the closing brace.
    #[error("nothing more")]
    End,
}

/// A regular expression that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("at its character {position}: {problem}")]
pub struct RegexError {
    /// Where in the expression the problem begins, in characters, from 1.
    pub position: usize,
    /// What is wrong, and the way out.
    pub problem: RegexProblem,
}

/// What is wrong with a regular expression.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RegexProblem {
    /// `(` without `)`.
    #[error("this parenthesis is never closed; write a literal one as `\\(`")]
    UnclosedGroup,
    /// `)` without `(`.
    #[error("this parenthesis closes nothing; write a literal one as `\\)`")]
    UnopenedGroup,
    /// `[` without `]`.
    #[error("this bracket is never closed; write a literal one as `\\[`")]
    UnclosedClass,
    /// `(?` with something that RE2 does not know.
    #[error(
        "RE2 knows only `(?:…)`, `(?P<name>…)`, `(?<name>…)` and the flags `i`, `m`, `s` and `U` here; look-around does not exist"
    )]
    BadGroup,
    /// A named group with a bad name, or look-behind.
    #[error(
        "a group name is made of letters, digits and `_`, as in `(?P<name>…)`; look-behind does not exist in RE2"
    )]
    BadGroupName,
    /// A repetition operator without an item before it.
    #[error(
        "there is nothing to repeat; write a literal operator with a backslash, and flags before the expression"
    )]
    NothingToRepeat,
    /// A repetition operator after another.
    #[error("a repetition cannot be repeated; put the first in a group, as in `(?:a*)*`")]
    StackedRepetition,
    /// A count above the limit.
    #[error("repetition counts, multiplied where they nest, may not exceed {}", super::re2::REPEAT_LIMIT)]
    RepetitionTooLarge,
    /// `{m,n}` with m above n.
    #[error("the first count of a repetition may not be larger than the second")]
    RepetitionReversed,
    /// `z-a` in a class.
    #[error("the range `{0}-{1}` runs backwards")]
    ReversedRange(char, char),
    /// `[:name:]` with an unknown name.
    #[error(
        "`[:{0}:]` is not a POSIX class; there are alnum, alpha, ascii, blank, cntrl, digit, graph, lower, print, punct, space, upper, word and xdigit"
    )]
    UnknownPosixClass(String),
    /// `\p{Name}` with an unknown name.
    #[error("`{0}` is neither a Unicode category such as `Lu` nor a script such as `Greek`")]
    UnknownUnicodeClass(String),
    /// `\p` without a name, or without its closing brace.
    #[error("a Unicode class is written `\\pL` or `\\p{{Greek}}`")]
    UnclosedUnicodeClass,
    /// A backslash before a letter or digit that means nothing.
    #[error(
        "`\\{0}` does not exist in RE2; write the character without the backslash, or a backslash as `\\\\`"
    )]
    UnknownEscape(char),
    /// `\1` and the like.
    #[error("back-references do not exist in RE2; write an octal code with two or three digits")]
    BackReference,
    /// `\x` without a usable code.
    #[error("a character code is written `\\x41` or `\\x{{1F642}}` and must be a Unicode scalar value")]
    BadHexEscape,
    /// A backslash at the very end.
    #[error("the expression ends in a backslash; write a literal one as `\\\\`")]
    TrailingBackslash,
    /// `\Q` without `\E`.
    #[error("`\\Q` needs its `\\E`")]
    UnterminatedQuote,
    /// Groups inside groups beyond the limit.
    #[error("groups may not nest deeper than {}", super::re2::NEST_LIMIT)]
    TooDeep,
    /// More compiled program than the limit.
    #[error(
        "the compiled expression would need more than {} bytes; use smaller repetition counts or fewer Unicode classes",
        super::pattern::SIZE_LIMIT_BYTES
    )]
    TooLarge,
    /// Anything else; no expression is known that leads here.
    #[error("the regex engine refuses it: {0}")]
    Engine(String),
}

//! Regular expressions: what RE2 means by them, and what it refuses.

use crate::matcher::pattern::Pattern;
use crate::matcher::{MatchOp, Matcher, RegexProblem};

fn mk_regex(expression: &str) -> Matcher {
    Matcher::new("label", MatchOp::Regex, expression).unwrap_or_else(|error| panic!("{expression}: {error}"))
}

fn refusal(expression: &str) -> (usize, RegexProblem) {
    match Pattern::compile(expression) {
        Err(error) => (error.position, error.problem),
        Ok(pattern) => panic!("{expression} compiles to {pattern:?}"),
    }
}

/// Every line: an expression, texts that match as a whole, texts that do not.
#[test]
fn expressions_mean_what_re2_means() {
    let cases: &[(&str, &[&str], &[&str])] = &[
        // Perl classes and word boundaries are ASCII.
        (r"\d", &["7"], &["٣", "x"]),
        (r"\D", &["٣", "x"], &["7"]),
        (r"\w+", &["aZ_9"], &["é", "ж"]),
        (r"\W", &["é"], &["e"]),
        (r"\s", &["\t", "\n", "\x0C", "\r", " "], &["\x0B", "\u{A0}"]),
        (r"\S", &["\x0B", "\u{A0}"], &[" "]),
        (r"é\b.*", &["ée"], &["é", "éé"]),
        (r"é\B.*", &["é", "éé"], &["ée"]),
        // Folding is Unicode's simple folding, in RE2 too; the Perl and POSIX classes are folded like any other.
        ("(?i)straße", &["STRAßE", "ſtraße", "straẞe"], &["strasse"]),
        ("(?i)k", &["K", "k", "\u{212A}"], &["x"]),
        (r"(?i)\w", &["\u{212A}", "\u{17F}"], &["é"]),
        (r"\w", &["k"], &["\u{212A}"]),
        (r"(?i)[[:upper:]]", &["a", "A"], &["1"]),
        (r"(?i)[^k]", &["x"], &["K", "\u{212A}"]),
        (r"(?i)\W", &["é"], &["k", "\u{212A}"]),
        (r"(?i)\p{Lu}", &["a"], &["1"]),
        // Brackets know neither nesting nor set operations.
        ("[a&&b]", &["a", "&", "b"], &["&&"]),
        ("[+--b]", &["+", ",", "-", "b"], &["c", "."]),
        ("[a~~b]", &["~", "a", "b"], &["c"]),
        ("[a[b]", &["a", "[", "b"], &["c"]),
        ("[[a]]", &["[]", "a]"], &["a"]),
        ("[]a]", &["]", "a"], &["b"]),
        ("[^]a]", &["b", "\n"], &["]", "a"]),
        ("[a-]", &["a", "-"], &["b"]),
        ("[-a]", &["a", "-"], &["b"]),
        (r"[\d-z]", &["5", "-", "z"], &["a"]),
        (r"[\]\-\\]", &["]", "-", "\\"], &["a"]),
        (r"[[:alpha:][:digit:]_]", &["a", "1", "_"], &["-", "é"]),
        (r"[[:^alpha:]]", &["1", "é"], &["a"]),
        ("[[:foo]+", &["[:fo"], &["a"]),
        (r"[\D\d]", &["x", "1", "\n"], &[""]),
        (r"[^\D]", &["1"], &["x"]),
        ("[#x ]+", &["# x"], &["y"]),
        // Escapes.
        (r"\Qa.b*\E+", &["a.b*", "a.b**"], &["axb", "a.b"]),
        (r"\07\12\x41\x{1F642}\a\f\t\v", &["\x07\nA🙂\x07\x0C\t\x0B"], &[""]),
        (r"\0\08", &["\0\08"], &["\0\0"]),
        (r"\_\-\<\>\~\&\#\@", &["_-<>~&#@"], &[""]),
        (r"a\z", &["a"], &["a\n"]),
        (r"\Aa", &["a"], &["ba"]),
        (r"\pL\p{Greek}\P{Lu}\p{^Lu}\PN", &["éλxxx"], &["1λxxx", "éλXxx", "éλxXx", "éλxx1"]),
        (r"[\pN\p{Han}]+", &["1漢"], &["a"]),
        (r"\p{Letter}\p{lowercase letter}\p{Any}\p{ASCII}", &["Aa🙂a"], &["AA🙂a", "Aa🙂é"]),
        (r"\b{start}", &[], &["", "start"]),
        // Braces that are no counts are characters.
        ("a{,3}", &["a{,3}"], &["", "aaa"]),
        ("a{1,2,3}", &["a{1,2,3}"], &["a"]),
        ("a{01}", &["a{01}"], &["a"]),
        ("a{x}", &["a{x}"], &["a"]),
        ("{}", &["{}"], &[""]),
        ("a{2}", &["aa"], &["a", "aaa"]),
        ("a{1,}?", &["a", "aaa"], &[""]),
        ("a{0}b{1,2}", &["b", "bb"], &["ab"]),
        // Groups and flags.
        (r"(?P<n>a)(?<m>b)(?:c)(d)", &["abcd"], &["abc"]),
        (r"(?P<9>a)", &["a"], &[""]),
        ("(?U)a+?b*", &["aab"], &["b"]),
        ("(?i-i)a", &["a"], &["A"]),
        ("(?iis-m:a.)b", &["A\nb"], &["A\nB"]),
        ("(?)a", &["a"], &[""]),
        ("(a(?i)b|c)d", &["aBd", "Cd"], &["aBD", "Ab"]),
        ("(|a)b", &["b", "ab"], &["a"]),
        ("()", &[""], &["a"]),
        ("^*a$+", &["a"], &["b"]),
        // Anchors, line ends, blanks.
        ("a|b", &["a", "b"], &["ab", "a|b"]),
        ("a|", &["a", ""], &["b"]),
        (".", &["é", "\r"], &["\n"]),
        ("(?s).", &["\n"], &[""]),
        ("(?m)a$\n^b", &["a\nb"], &["a\n\nb"]),
        ("a$", &["a"], &["a\n"]),
        ("a b#c", &["a b#c"], &["ab"]),
        ("a]b}", &["a]b}"], &["ab"]),
        (r"a\.b", &["a.b"], &["axb"]),
    ];
    for (expression, matching, other) in cases {
        let regex = mk_regex(expression);
        for text in *matching {
            assert!(regex.matches_value(text), "{expression} must match {text:?}");
        }
        for text in *other {
            assert!(!regex.matches_value(text), "{expression} must not match {text:?}");
        }
    }
}

#[test]
fn what_re2_refuses_is_refused_at_its_place() {
    use RegexProblem as P;
    for (expression, position, problem) in [
        ("a(b", 2, P::UnclosedGroup),
        ("a)b", 2, P::UnopenedGroup),
        ("a)|(b", 2, P::UnopenedGroup),
        ("éa[b", 3, P::UnclosedClass),
        ("[]", 1, P::UnclosedClass),
        ("[a-", 1, P::UnclosedClass),
        ("*a", 1, P::NothingToRepeat),
        ("a|*", 3, P::NothingToRepeat),
        ("(+)", 2, P::NothingToRepeat),
        ("{2}", 1, P::NothingToRepeat),
        ("a(?i)*", 6, P::NothingToRepeat),
        ("a**", 3, P::StackedRepetition),
        ("a*+", 3, P::StackedRepetition),
        ("a{2}{3}", 5, P::StackedRepetition),
        ("a??*", 4, P::StackedRepetition),
        ("a{1001}", 2, P::RepetitionTooLarge),
        ("a{2,99999999999}", 2, P::RepetitionTooLarge),
        ("(a{100}){11}", 9, P::RepetitionTooLarge),
        ("((a{10}b{2}){10}){11}", 18, P::RepetitionTooLarge),
        ("a{3,2}", 2, P::RepetitionReversed),
        ("[a--b]", 2, P::ReversedRange('a', '-')),
        ("[z-a]", 2, P::ReversedRange('z', 'a')),
        ("[[:foo:]]", 2, P::UnknownPosixClass("foo".to_owned())),
        ("[[::]]", 2, P::UnknownPosixClass(String::new())),
        (r"\p{Klingon}", 1, P::UnknownUnicodeClass("Klingon".to_owned())),
        (r"\p{sc=Greek}", 1, P::UnknownUnicodeClass("sc=Greek".to_owned())),
        (r"\p{Alphabetic}", 1, P::UnknownUnicodeClass("Alphabetic".to_owned())),
        (r"\p{Greek", 1, P::UnclosedUnicodeClass),
        (r"a\p", 2, P::UnclosedUnicodeClass),
        (r"\C", 1, P::UnknownEscape('C')),
        (r"\Z", 1, P::UnknownEscape('Z')),
        (r"\u0041", 1, P::UnknownEscape('u')),
        (r"\E", 1, P::UnknownEscape('E')),
        (r"\é", 1, P::UnknownEscape('é')),
        (r"\8", 1, P::UnknownEscape('8')),
        (r"[\b]", 2, P::UnknownEscape('b')),
        (r"[a-\d]", 4, P::UnknownEscape('d')),
        (r"(a)\1", 4, P::BackReference),
        (r"\x4", 1, P::BadHexEscape),
        (r"\x{}", 1, P::BadHexEscape),
        (r"\x{110000}", 1, P::BadHexEscape),
        (r"\x{d800}", 1, P::BadHexEscape),
        (r"\xé", 1, P::BadHexEscape),
        ("a\\", 2, P::TrailingBackslash),
        ("[\\", 2, P::TrailingBackslash),
        (r"\Qa", 1, P::UnterminatedQuote),
        ("(?=a)", 1, P::BadGroup),
        ("(?!a)", 1, P::BadGroup),
        ("(?x)a", 1, P::BadGroup),
        ("(?u:a)", 1, P::BadGroup),
        ("(?R)a", 1, P::BadGroup),
        ("(?i-)a", 1, P::BadGroup),
        ("(?P=n)", 1, P::BadGroup),
        ("(?", 1, P::BadGroup),
        ("(?<=a)b", 1, P::BadGroupName),
        ("(?P<a-b>c)", 1, P::BadGroupName),
        ("(?P<>c)", 1, P::BadGroupName),
    ] {
        assert_eq!(refusal(expression), (position, problem), "{expression}");
    }
}

#[test]
fn re2s_largest_repetitions_fit_and_monsters_do_not() {
    assert!(mk_regex(".{1000}").matches_value(&"é".repeat(1000)));
    assert!(mk_regex("(a{10}){100}").matches_value(&"a".repeat(1000)));
    assert_eq!(refusal(r"\pL{1000}\pL{1000}").1, RegexProblem::TooLarge);
    let deep = format!("{}a{}", "(".repeat(200), ")".repeat(200));
    assert!(mk_regex(&deep).matches_value("a"));
    let deeper = format!("{}a{}", "(".repeat(201), ")".repeat(201));
    assert_eq!(refusal(&deeper), (201, RegexProblem::TooDeep));
    let unclosed = "(".repeat(100_000);
    assert_eq!(refusal(&unclosed).1, RegexProblem::TooDeep);
}

#[test]
fn a_list_of_plain_texts_needs_no_engine() {
    for plain in ["foo", "foo|bar", "", "a|", "high-error rate|x&&y"] {
        assert!(matches!(Pattern::compile(plain), Ok(Pattern::Literals(_))), "{plain}");
    }
    for other in ["foo.*", "fo{2}", "(a|b)", "a]"] {
        assert!(matches!(Pattern::compile(other), Ok(Pattern::Regex(_))), "{other}");
    }
}

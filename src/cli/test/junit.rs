//! What came of tests as JUnit's XML, which pipelines read. One suite for each document with tests; mistakes in files are
//! a suite of their own, so that nobody takes a file that was not played for one that passed.

use crate::testing::report::{Outcome, Report, Tested};
use crate::yaml::Problem;
use std::fmt::Write;
use std::time::Duration;

pub(super) fn write(report: &Report) -> String {
    let mut suites: Vec<(&str, Vec<&Tested>)> = Vec::new();
    for tested in &report.tests {
        match suites.iter_mut().find(|(name, _)| *name == tested.suite) {
            Some((_, tests)) => tests.push(tested),
            None => suites.push((&tested.suite, vec![tested])),
        }
    }
    let (failures, errors) = (count(&report.tests, is_failed), count(&report.tests, is_broken));
    let errors = errors + report.problems.len();
    let tests = report.tests.len() + report.problems.len();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    put(
        &mut xml,
        &format!(
            "<testsuites name=\"smokejumper\" tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" time=\"{}\">",
            seconds(report.took)
        ),
    );
    for (name, tests) in &suites {
        suite(&mut xml, name, tests);
    }
    if !report.problems.is_empty() {
        mistakes(&mut xml, &report.problems);
    }
    put(&mut xml, "</testsuites>");
    xml
}

fn put(xml: &mut String, line: &str) {
    writeln!(xml, "{line}").expect("writing to a string cannot fail");
}

fn is_failed(tested: &Tested) -> bool {
    matches!(tested.outcome, Outcome::Failed(_))
}

fn is_broken(tested: &Tested) -> bool {
    matches!(tested.outcome, Outcome::Broken(_))
}

fn count<'t>(tests: impl IntoIterator<Item = &'t Tested>, fits: fn(&Tested) -> bool) -> usize {
    tests.into_iter().filter(|tested| fits(tested)).count()
}

fn seconds(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64())
}

fn suite(xml: &mut String, name: &str, tests: &[&Tested]) {
    let took: Duration = tests.iter().map(|tested| tested.took).sum();
    let (failures, errors) =
        (count(tests.iter().copied(), is_failed), count(tests.iter().copied(), is_broken));
    put(
        xml,
        &format!(
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failures}\" errors=\"{errors}\" time=\"{}\">",
            escaped(name),
            tests.len(),
            seconds(took)
        ),
    );
    for tested in tests {
        let head = format!(
            "    <testcase classname=\"{}\" name=\"{}\" file=\"{}\" time=\"{}\"",
            escaped(name),
            escaped(&tested.name),
            escaped(&tested.file),
            seconds(tested.took)
        );
        let element = match &tested.outcome {
            Outcome::Passed => {
                put(xml, &format!("{head}/>"));
                continue;
            }
            Outcome::Failed(_) => "failure",
            Outcome::Broken(_) => "error",
        };
        put(xml, &format!("{head}>"));
        let (message, told) = (escaped(&message(&tested.outcome)), escaped(&super::page::failed(tested)));
        put(xml, &format!("      <{element} message=\"{message}\">{told}</{element}>"));
        put(xml, "    </testcase>");
    }
    put(xml, "  </testsuite>");
}

/// The first thing that went wrong.
fn message(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Passed => String::new(),
        Outcome::Broken(why) => why.lines().next().unwrap_or_default().to_owned(),
        Outcome::Failed(failures) => {
            let first = failures.iter().flat_map(|failure| &failure.mismatches).next();
            first.map_or_else(String::new, |first| match &first.expected {
                Some(expected) => format!("{}: expected {expected}, got {}", first.what, first.got),
                None => first.got.clone(),
            })
        }
    }
}

fn mistakes(xml: &mut String, problems: &[Problem]) {
    let count = problems.len();
    put(
        xml,
        &format!(
            "  <testsuite name=\"files\" tests=\"{count}\" failures=\"0\" errors=\"{count}\" time=\"0.000\">"
        ),
    );
    for (number, problem) in problems.iter().enumerate() {
        put(
            xml,
            &format!("    <testcase classname=\"files\" name=\"mistake {}\" time=\"0.000\">", number + 1),
        );
        let (message, told) = (escaped(&problem.message), escaped(&problem.to_string()));
        put(xml, &format!("      <error message=\"{message}\">{told}</error>"));
        put(xml, "    </testcase>");
    }
    put(xml, "  </testsuite>");
}

/// A text as XML holds it. Characters that XML 1.0 cannot hold at all are shown as a mark.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(char),
            char if char.is_control() || matches!(char, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            char => out.push(char),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::report::{Failure, Mismatch};
    use crate::yaml::Place;
    use jiff::SignedDuration;

    fn mk_tested(name: &str, outcome: Outcome) -> Tested {
        Tested {
            file: "a.test.yaml".to_owned(),
            suite: "a & b".to_owned(),
            name: name.to_owned(),
            place: Place::At { file: "a.test.yaml".to_owned(), line: 7, column: 3 },
            outcome,
            trail: Vec::new(),
            took: Duration::from_millis(12),
        }
    }

    #[test]
    fn each_end_has_its_element_and_no_name_can_end_one() {
        let place = Place::File { file: "a.test.yaml".to_owned() };
        let mismatches = vec![Mismatch::of("status", "resolved", "triggered")];
        let failed = Outcome::Failed(vec![Failure { place, at: SignedDuration::from_mins(3), mismatches }]);
        let report = Report {
            problems: vec![Problem::in_file("b.test.yaml", "unknown key `expct`")],
            tests: vec![
                mk_tested("good", Outcome::Passed),
                mk_tested("</testcase> \"quoted\" \u{1b}[2J", failed),
                mk_tested("odd", Outcome::Broken("it never ends".to_owned())),
            ],
            ..Report::default()
        };
        insta::assert_snapshot!(write(&report));
    }
}

//! What a chart shows, and what it never lets a label do.

use super::palette::Tone;
use super::*;
use crate::domain::chart::{Chart, ChartLine};
use jiff::{Timestamp, ToSpan as _};
use resvg::usvg::fontdb::Database;

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn mk_chart(lines: Vec<(&str, Vec<Option<f64>>)>) -> Chart {
    let lines = lines.into_iter().map(|(name, values)| ChartLine { name: name.to_owned(), values }).collect();
    Chart {
        from: at("2026-11-21T09:04:00Z"),
        step_ms: 60_000,
        threshold: Some(0.05),
        lines,
        left_out: 0,
        asked_for: false,
    }
}

/// An error ratio that rises, is acted upon and falls; with a gap.
fn mk_story() -> (Chart, Vec<Mark>) {
    let wave = |place: usize| match place {
        0..20 => 0.004 + 0.002 * (place % 3) as f64,
        20..40 => 0.004 + 0.006 * (place - 20) as f64,
        40..50 => 0.124 - 0.011 * (place - 40) as f64,
        _ => 0.006,
    };
    let values = (0..=60).map(|place| (!(8..11).contains(&place)).then(|| wave(place))).collect();
    let canary = (0..=60).map(|place| Some(0.01 + 0.0005 * (place % 7) as f64)).collect();
    let chart = mk_chart(vec![("{service=\"checkout\"}", values), ("{service=\"canary\"}", canary)]);
    let mark = |minute: i64, kind, label: &str| Mark {
        at: chart.from + minute.minutes(),
        kind,
        label: label.to_owned(),
    };
    let marks = vec![
        mark(29, MarkKind::Alert, "alert"),
        mark(36, MarkKind::Action, "restart-api (undone)"),
        mark(39, MarkKind::Action, "raise-connection-pool"),
    ];
    (chart, marks)
}

/// Everything that is written in a drawing.
fn texts(svg: &str) -> Vec<String> {
    let bodies = svg.split("<text ").skip(1).filter_map(|part| part.split_once('>'));
    bodies.filter_map(|(_, rest)| rest.split_once("</text>")).map(|(text, _)| text.to_owned()).collect()
}

/// The picture of a drawing; a drawing that is broken has none.
fn paint(svg: &str) -> Vec<u8> {
    Painter::default().png(svg).expect("a picture")
}

#[test]
fn a_chart_shows_axes_threshold_marks_and_names() {
    let (chart, marks) = mk_story();
    let svg = svg("error_ratio", &chart, &marks);
    let texts = texts(&svg);
    for wanted in [
        "error_ratio",
        "21 Nov 2026, 09:04 to 10:04 UTC",
        "09:10",
        "10:00",
        "0.15",
        "threshold 0.05",
        "alert 09:33",
        "restart-api (undone) 09:40",
        "raise-connection-pool 09:43",
        "{service=&quot;checkout&quot;}",
        "0.006",
    ] {
        assert!(texts.iter().any(|text| text == wanted), "{wanted}: {texts:?}");
    }
    // A gap of three values ends one stretch of the curve and begins another.
    let curve = svg.split("<path d=\"").nth(1).expect("a curve").split('"').next().expect("its way");
    assert_eq!(curve.matches('M').count(), 2, "{curve}");
    let png = paint(&svg);
    let size = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().expect("four bytes"));
    assert!(png.starts_with(b"\x89PNG") && size(16) == 1_280 && (500..900).contains(&size(20)));
    assert!(png.len() < 120_000, "{}", png.len());
}

#[test]
fn text_is_painted_with_the_font_that_ships_within() {
    let (chart, _) = mk_story();
    let with = svg("mmmmmmmmmmmm", &chart, &[]);
    let without = svg("", &chart, &[]);
    assert_ne!(
        Painter::default().png(&with).expect("a picture"),
        Painter::default().png(&without).expect("one")
    );
    let mut fonts = Database::new();
    fonts.load_font_data(include_bytes!("font/DejaVuSans-subset.ttf").to_vec());
    let face = fonts.faces().next().expect("a face").id;
    let cmap = |c: char| {
        fonts.with_face_data(face, |data, _| {
            let font = characters_of(data);
            font.is_some_and(|known| known.contains(&c))
        })
    };
    for (first, last) in super::text::KNOWN {
        assert_eq!((cmap(first), cmap(last)), (Some(true), Some(true)), "{first:?} to {last:?}");
    }
}

/// Characters that a font file has, out of its table `cmap`, format 4.
fn characters_of(data: &[u8]) -> Option<std::collections::BTreeSet<char>> {
    let u16_at = |at: usize| data.get(at..at + 2).map(|it| usize::from(u16::from_be_bytes([it[0], it[1]])));
    let u32_at = |at: usize| Some((u16_at(at)? << 16) | u16_at(at + 2)?);
    let tables = u16_at(4)?;
    let record =
        (0..tables).map(|table| 12 + table * 16).find(|at| data.get(*at..*at + 4) == Some(b"cmap"))?;
    let cmap = u32_at(record + 8)?;
    let encodings = u16_at(cmap + 2)?;
    let starts = (0..encodings).filter_map(|encoding| Some(cmap + u32_at(cmap + 8 + encoding * 8)?));
    let table = starts.into_iter().find(|at| u16_at(*at) == Some(4))?;
    let count = u16_at(table + 6)? / 2;
    let ends = table + 14;
    let begins = ends + count * 2 + 2;
    let segments = (0..count).filter_map(|at| Some((u16_at(begins + at * 2)?, u16_at(ends + at * 2)?)));
    let codes = segments.flat_map(|(first, last)| first..=last);
    Some(codes.filter_map(|code| char::from_u32(u32::try_from(code).ok()?)).collect())
}

#[test]
fn hostile_text_stays_text_and_leaves_the_drawing_whole() {
    let hostile = [
        "</text><script>alert(1)</script>",
        "\"/><image href=\"http://169.254.169.254/\"/>",
        "&xxe; <!ENTITY x SYSTEM 'file:///etc/passwd'>]]>",
        "a\u{0}b\u{8}c\u{1b}[31m\u{202e}evil\u{fffe}",
        "{{ config }} {% include '/etc/passwd' %}",
        "名前 🔥 \u{1d518}",
        "onload=alert(1) ' style='x",
    ];
    for text in hostile {
        let mut chart = mk_chart(vec![(text, vec![Some(0.1); 5]), (&text.repeat(200), vec![None; 5])]);
        chart.left_out = 3;
        let mark = Mark { at: chart.from, kind: MarkKind::Action, label: text.repeat(3) };
        let svg = svg(text, &chart, &[mark]);
        for banned in ["<script", "<image", "<!", "href", "style=", "<foreignObject", "\u{202e}", "\u{0}"] {
            let is_plain = banned.starts_with('<') || banned.len() < 4;
            let found = if is_plain { svg.contains(banned) } else { tags(&svg).contains(banned) };
            assert!(!found, "{banned} in {svg}");
        }
        assert!(svg.len() < 20_000, "{}", svg.len());
        paint(&svg);
    }
}

/// The tags of a drawing without what is quoted in them.
fn tags(svg: &str) -> String {
    let tags = svg.split('<').filter_map(|part| part.split_once('>').map(|(tag, _)| tag));
    let bare = tags.map(|tag| tag.split('"').step_by(2).collect::<Vec<_>>().join(" "));
    bare.collect::<Vec<_>>().join("\n")
}

#[test]
fn labels_of_marks_never_cover_each_other_and_stay_within() {
    let (chart, _) = mk_story();
    let mark = |second: i64| Mark {
        at: chart.from + (second * 40).seconds(),
        kind: MarkKind::Action,
        label: "a-remedy-with-a-long-name-that-goes-on".to_owned(),
    };
    let svg = svg("crowded", &chart, &(0..90).map(mark).collect::<Vec<_>>());
    paint(&svg);
    let labels = svg.split("<text ").skip(1).filter(|part| part.contains("a-remedy"));
    let number = |part: &str, name: &str| -> f64 {
        let rest = part.split_once(&format!("{name}=\"")).expect("an attribute").1;
        rest.split('"').next().expect("a value").parse().expect("a number")
    };
    let mut boxes: Vec<(f64, f64)> = labels.map(|part| (number(part, "y"), number(part, "x"))).collect();
    boxes.sort_by(|left, right| left.partial_cmp(right).expect("numbers"));
    assert!((4..=9).contains(&boxes.len()), "{boxes:?}");
    let width = 33.0 * 7.2;
    assert!(boxes.iter().all(|(_, x)| *x >= 0.0 && x + width <= WIDTH), "{boxes:?}");
    for pair in boxes.windows(2) {
        assert!(pair[0].0 != pair[1].0 || pair[0].1 + width <= pair[1].1, "{pair:?}");
    }
}

#[test]
fn an_alert_from_before_the_window_is_told_at_its_left_end() {
    let (chart, _) = mk_story();
    let mark =
        |minutes: i64, kind| Mark { at: chart.from + minutes.minutes(), kind, label: "alert".to_owned() };
    let before = svg("x", &chart, &[mark(-10, MarkKind::Alert)]);
    assert!(texts(&before).contains(&"\u{2190} alert 08:54".to_owned()));
    // What was done before or after the window has no place in it.
    let outside = svg("x", &chart, &[mark(-10, MarkKind::Action), mark(600, MarkKind::Action)]);
    assert_eq!(outside, svg("x", &chart, &[]));
}

#[test]
fn whatever_the_values_are_a_picture_comes_out() {
    let shapes: Vec<Vec<Option<f64>>> = vec![
        vec![],
        vec![None; 10],
        vec![Some(7.0)],
        vec![Some(0.0); 240],
        vec![Some(-1e300), Some(1e300)],
        vec![Some(1e-300), None, Some(2e-300)],
        (0..5_000).map(|n| Some(f64::from(n))).collect(),
        (0..60).map(|n| Some(99.0 + f64::from(n % 5) * 0.2)).collect(),
        (0..60).map(|n| Some(f64::from(n) * 3e7)).collect(),
    ];
    for (number, values) in shapes.into_iter().enumerate() {
        let mut chart = mk_chart(vec![("up", values)]);
        chart.threshold = [None, Some(99.5), Some(f64::INFINITY)][number % 3];
        let svg = svg("shape", &chart, &[]);
        let is_number = |text: &str| !text.contains("NaN") && !text.contains("inf\"");
        assert!(is_number(&svg), "{svg}");
        paint(&svg);
    }
    let lines =
        (0..9).map(|n| ("{pod=\"api\"}", (0..60).map(|at| Some(f64::from(at * n))).collect())).collect();
    let many = Chart { left_out: 4, ..mk_chart(lines) };
    let svg = svg("many", &many, &[]);
    assert_eq!(svg.matches("<path").count(), 5);
    assert!(texts(&svg).contains(&"and 4 more that are not drawn".to_owned()));
    paint(&svg);
}

#[test]
fn what_is_no_drawing_of_ours_is_an_error_and_no_picture() {
    let painter = Painter::default();
    assert!(matches!(painter.png("<svg"), Err(PaintError::Drawing(_))));
    let tall = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"10\" height=\"100000\"/>";
    assert!(matches!(painter.png(tall), Err(PaintError::Size(..))));
}

/// Relative luminance of a colour, as WCAG 2 reckons it.
fn luminance(colour: &str) -> f64 {
    let part = |at: usize| f64::from(u8::from_str_radix(&colour[at..at + 2], 16).expect("hex")) / 255.0;
    let linear = |part: f64| if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) };
    0.2126 * linear(part(1)) + 0.7152 * linear(part(3)) + 0.0722 * linear(part(5))
}

#[test]
fn every_colour_reads_on_its_panel_in_light_and_in_dark() {
    for shade in [Tone::light, Tone::dark] {
        for tone in Tone::ALL {
            let wanted = match tone {
                Tone::Panel | Tone::Edge | Tone::Grid => continue,
                Tone::Line(_) => 3.0,
                _ => 4.5,
            };
            let (one, other) = (luminance(shade(tone)), luminance(shade(Tone::Panel)));
            let contrast = (one.max(other) + 0.05) / (one.min(other) + 0.05);
            assert!(contrast >= wanted, "{tone:?}: {contrast:.2}");
        }
    }
    let css = page_css();
    let (chart, marks) = mk_story();
    let svg = svg("x", &chart, &marks);
    let classes = svg.split("class=\"").skip(1).filter_map(|part| part.split('"').next());
    for class in classes.flat_map(str::split_whitespace).filter(|class| *class != "chart") {
        assert!(css.contains(&format!(".chart .{class} ")), "{class} stays light in dark surroundings");
    }
}

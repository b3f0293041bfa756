//! Colours, for light and for dark surroundings.
//!
//! A drawing carries the light ones, on a panel of its own, so that it reads wherever it is put. A page in dark
//! surroundings swaps them by [`page_css`]. Every colour of text has a contrast of 4.5 and every line one of 3 against the
//! panel, as WCAG 2 asks for; the tests reckon it.

/// What a colour is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// The ground.
    Panel,
    /// The panel's edge.
    Edge,
    /// Lines behind the curves.
    Grid,
    /// Text that is read first.
    Ink,
    /// Text beside it.
    Quiet,
    /// The threshold.
    Threshold,
    /// The start of the alert.
    Alert,
    /// What was done.
    Action,
    /// A curve by its place.
    Line(usize),
}

/// Colours of curves. They differ in lightness as well, and curves differ in their dashes: not everybody tells red from
/// green.
const LIGHT_LINES: [&str; 5] = ["#0b5cad", "#a34a00", "#00695c", "#7b2fa0", "#4a5568"];
const DARK_LINES: [&str; 5] = ["#6cb0ff", "#ffb066", "#4fd1b5", "#d79bf0", "#b6c0d0"];

impl Tone {
    /// Those that are lines or text on the panel, and the panel itself.
    pub(super) const ALL: [Self; 13] = [
        Self::Panel,
        Self::Edge,
        Self::Grid,
        Self::Ink,
        Self::Quiet,
        Self::Threshold,
        Self::Alert,
        Self::Action,
        Self::Line(0),
        Self::Line(1),
        Self::Line(2),
        Self::Line(3),
        Self::Line(4),
    ];

    /// In light surroundings.
    pub(super) fn light(self) -> &'static str {
        match self {
            Self::Panel => "#ffffff",
            Self::Edge => "#c3c9d4",
            Self::Grid => "#e3e7ee",
            Self::Ink => "#1d2330",
            Self::Quiet => "#5b6475",
            Self::Threshold => "#c0232c",
            Self::Alert => "#9a4b00",
            Self::Action => "#33408f",
            Self::Line(place) => LIGHT_LINES[place % LIGHT_LINES.len()],
        }
    }

    /// In dark surroundings.
    pub(super) fn dark(self) -> &'static str {
        match self {
            Self::Panel => "#1b1f27",
            Self::Edge => "#414958",
            Self::Grid => "#2f3541",
            Self::Ink => "#e6e9ef",
            Self::Quiet => "#9aa3b2",
            Self::Threshold => "#ff7d79",
            Self::Alert => "#ffb454",
            Self::Action => "#aab6ff",
            Self::Line(place) => DARK_LINES[place % DARK_LINES.len()],
        }
    }

    /// The word in classes.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Panel => "panel",
            Self::Edge => "edge",
            Self::Grid => "grid",
            Self::Ink => "ink",
            Self::Quiet => "quiet",
            Self::Threshold => "threshold",
            Self::Alert => "alert",
            Self::Action => "action",
            Self::Line(place) => ["l0", "l1", "l2", "l3", "l4"][place % LIGHT_LINES.len()],
        }
    }
}

/// Style for a page with drawings: as wide as their place, and in dark surroundings with the dark colours. A style goes
/// before the colours that a drawing carries.
pub fn page_css() -> String {
    let swaps: String = Tone::ALL
        .iter()
        .map(|tone| {
            let (word, dark) = (tone.word(), tone.dark());
            format!("  .chart .f-{word} {{ fill: {dark}; }}\n  .chart .s-{word} {{ stroke: {dark}; }}\n")
        })
        .collect();
    format!(
        "svg.chart {{ display: block; width: 100%; max-width: 48rem; height: auto; margin: .5rem 0; }}\n\
         @media (prefers-color-scheme: dark) {{\n{swaps}}}\n"
    )
}

//! Charts: how values went, as a picture that reads in two seconds.
//!
//! [`svg()`] is a pure function from data to a drawing: the same for messages and for pages, with every text from outside
//! escaped and cut. [`Painter`] makes a PNG of it, with the font that ships within the binary and nothing else: no file, no
//! address and no font of the machine is ever looked up. Nothing here judges what is good or bad; that is what a rule's
//! threshold says. What is kept of a series is `domain/chart.rs`, and what puts pictures before people is in `notify` and
//! `http`. Reading order: `marks`, `scale`, `draw`, `palette`, `painter`.

mod draw;
mod marks;
mod painter;
mod palette;
mod scale;
mod text;

#[cfg(test)]
mod tests;

pub use draw::{WIDTH, described, svg};
pub use marks::{Mark, MarkKind, marks};
pub use painter::{PaintError, Painter};
pub use palette::page_css;

//! Reads YAML so that every mistake is shown where it stands: file, line, column, the line itself, and a way out.
//!
//! [`fn@read`] turns text into a typed value or into all the [`Problem`]s it can find in one go; [`Places`] tells where
//! a key stands, for mistakes that only a later check can see. It knows nothing about settings or rules and never
//! opens a file. It must never show a value that may be a secret: excerpts pass through the redactor.

mod places;
mod problem;
mod read;

pub use places::{KnownPlaces, Places};
pub use problem::{Excerpt, Place, Problem};
pub use read::{Partly, Remainder, hide_value, nearest, read, read_partly};

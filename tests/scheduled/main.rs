//! Scheduled checks on a clock that the test holds: the real engine, store, rules and conditions; findings and people are
//! played. The shipped checklists of the runbooks run here as well.

#![allow(clippy::disallowed_methods, reason = "a test opens stores")]

mod house;
mod runs;
mod shipped;

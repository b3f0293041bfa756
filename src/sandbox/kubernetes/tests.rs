//! The simulator through its own HTTP: what it promises to those who build on it.

mod hands;
mod rollouts;
mod support;
mod writes;

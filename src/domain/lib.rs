//! x
pub mod matcher;

#[cfg(test)]
mod vectors;

//! x
pub mod fingerprint;
pub mod matcher;

#[cfg(test)]
mod vectors;

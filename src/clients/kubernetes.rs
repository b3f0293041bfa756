//! Kubernetes, as far as it is known without asking one.

pub mod changes;
pub mod owner;
pub mod patch;
pub mod quantity;
pub mod revision;
pub mod rollout;
#[cfg(test)]
pub(crate) mod test_objects;

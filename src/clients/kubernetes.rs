//! The Kubernetes API: one exchange at a time, bounded in time and size, under one of two identities.
//!
//! [`ReadHandle`] can only read, and [`ActHandle`] can also write; only `src/actions` is given the second. Every name
//! is checked before it becomes part of a path, every answer has a limit, and every failure is one
//! [`KubernetesError`]. Nothing here retries or decides. Requests go through `kube`'s stack (credentials, TLS, proxies)
//! but not through its typed calls: those log whole answers that they cannot read, and read answers without a limit.
//!
//! Reading order: [`ReadHandle`] in `read`, `exchange`, `error`; then `logs`, `exec`, `write`, `connect`. What is known
//! without asking a cluster, such as when a rollout is done, stands in the modules after those.

pub mod connect;
pub mod error;
mod exchange;
pub mod exec;
pub mod logs;
pub mod read;
pub mod resource;
pub mod write;

pub mod certificate;
pub mod changes;
pub mod confidential;
pub mod container;
pub mod managers;
pub mod owner;
pub mod patch;
pub mod quantity;
pub mod revision;
pub mod rollout;
pub mod selector;
#[cfg(test)]
pub(crate) mod test_objects;

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;

pub use connect::ConnectOptions;
pub use error::{Failure, KubernetesError};
pub use read::{ListQuery, ReadHandle};
pub use resource::Resource;
pub use write::{ActHandle, DeleteRequest, Patch, Propagation};

//! The durable engine: events go in, one transaction comes out, effects are carried out from the store.
//!
//! [`ports`] are what it needs from the floors above.

pub mod ports;

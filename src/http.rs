//! Everything that comes in over HTTP.
//!
//! From the outside in: [`listener`] accepts connections (TCP, TLS, mutual TLS) and bounds what a stranger can hold;
//! [`body`] lets bodies in within size, time and memory; [`auth`] says who is calling; handlers answer; [`problem`]
//! is how every error looks. [`meter`] counts at the doors. Nothing here decides about incidents or touches the world.

pub mod api;
pub mod auth;
pub mod body;
pub mod health;
pub mod listener;
pub mod meter;
pub mod page;
pub mod problem;
pub mod receive;
pub mod routes;
pub mod services;

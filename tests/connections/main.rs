//! Diagnostics and actions at real databases and brokers, as the engine calls them: good servers, broken ones, and none.

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "it plays clients and waits for servers, each test with threads of its own"
)]

#[path = "../support/loki.rs"]
mod loki;

#[path = "../support/rabbitmq.rs"]
mod rabbitmq;

#[path = "../support/redis.rs"]
mod redis;

#[path = "../support/registry.rs"]
mod registry;

#[path = "../support/servers.rs"]
mod servers;

#[path = "../support/postgres.rs"]
mod postgres;

#[path = "../support/tls.rs"]
mod tls;

mod am_silence;
mod logs_query;
mod online;
mod pg_act;
mod pg_query;
mod rabbitmq_overview;
mod redis_info;
mod redis_op;
mod registry_image;
mod tls_cert;
mod world;

//! The store on real databases: one contract for SQLite and PostgreSQL, and what must hold when they fail.

mod build;
mod contract;
mod engines;
mod faults;
mod golden;
#[path = "../support/postgres.rs"]
mod postgres;
mod upgrade;

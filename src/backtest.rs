//! Backtests: the alerts of the past, as a Prometheus remembers them, through the rules and the real engine on a clock
//! that is held.
//!
//! There is no second engine here: the stage of the rule tests plays, over a store in memory, in a world where remedies
//! are carried out on paper and the past goes on as it did. `docs/backtest.md` says what that cannot tell.
//!
//! Reading order: [`history`] (alerts out of Prometheus) → [`past`] (who answers for the world) → [`play`]
//! → [`tally`] → [`report`].

pub mod history;
pub mod past;
pub mod play;
pub mod report;
pub mod tally;

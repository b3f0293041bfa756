//! How long a change is to stand before it is taken back.

use crate::domain::catalog::ParamsError;
use crate::params;
use crate::period::Period;

/// Shortest time: what is shorter is over before anybody sees whether it helped.
const LEAST: Period = Period::from_mins(1);
/// Longest time: what stands longer is no temporary fix.
const MOST: Period = Period::from_days(7);

/// Checks `ttl`.
pub(in crate::actions) fn check(ttl: Option<Period>) -> Result<(), ParamsError> {
    params::period_within("/ttl", ttl, LEAST, MOST)
}

//! Stories of whole incidents, with the clock in the hand.

mod acting;
mod deciding;
mod hearing;
mod in_hand;
mod lifecycle;
mod restoring;
mod surveying;
mod telling;
mod world;

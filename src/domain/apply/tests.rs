//! Stories of whole incidents, with the clock in the hand.

mod acting;
mod deciding;
mod hearing;
mod in_hand;
mod lifecycle;
mod messages;
mod on_call;
mod restoring;
mod shadow;
mod surveying;
mod telling;
mod waiting;
mod world;
mod worsening;

//! What Alertmanager keeps quiet: alerts that are silenced or inhibited there still fire, and nobody is told of them.

use serde::{Deserialize, Serialize};

/// How many of an incident's firing alerts Alertmanager keeps quiet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Suppressed {
    /// By a silence.
    #[serde(default)]
    pub silenced: u32,
    /// By another alert.
    #[serde(default)]
    pub inhibited: u32,
}

impl Suppressed {
    /// None where nothing is kept quiet.
    pub fn some(self) -> Option<Self> {
        (self != Self::default()).then_some(self)
    }
}

impl std::fmt::Display for Suppressed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.silenced, self.inhibited) {
            (0, 0) => f.write_str("nothing"),
            (silenced, 0) => write!(f, "{silenced} silenced"),
            (0, inhibited) => write!(f, "{inhibited} inhibited"),
            (silenced, inhibited) => write!(f, "{silenced} silenced, {inhibited} inhibited"),
        }
    }
}

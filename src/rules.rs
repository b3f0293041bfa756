//! Rules: from YAML files to checked values, and from checked values to rendered plans and judged conditions.
//!
//! Nothing here touches the world: files are read, never written, and no label can become code.
//! Reading order: [`vocabulary`] (names that rules may use) → [`scope`] (the values behind them) → [`template`] and
//! [`render`] → [`condition`].

pub mod condition;
pub mod render;
pub mod scope;
pub mod template;
pub mod vocabulary;

//! `/api/v1/temporary`: what was changed for a limited time and stands until it is set back.

use super::bounded::{self, LIST_BYTES_MAX};
use crate::domain::temporary::TemporaryFix;
use crate::engine::ports::TEMPORARY_MAX;
use crate::http::auth::Principal;
use crate::http::problem::Problem;
use crate::http::services::Services;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Temporary fixes in force.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct TemporaryList {
    /// Those that end first come first.
    pub temporary: Vec<TemporaryShape>,
    /// Whether there may be more: they are a thousand, or take more than four megabytes.
    #[serde(default)]
    pub more: bool,
}

/// A change that stands for a limited time.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TemporaryShape {
    /// The action that made it.
    pub action: String,
    /// Its incident, which may be resolved by now.
    pub incident: String,
    /// Rule of the incident.
    pub rule: String,
    /// Name of the remedy.
    pub remedy: String,
    /// What was changed.
    pub target: String,
    /// What was done.
    pub summary: String,
    /// How it will be set back.
    pub restores: String,
    /// RFC 3339; since when it stands.
    pub since: String,
    /// RFC 3339; when it is set back. In the past where that failed or is held up by a pause or a freeze.
    pub until: String,
}

impl From<&TemporaryFix> for TemporaryShape {
    fn from(fix: &TemporaryFix) -> Self {
        Self {
            action: fix.action.to_string(),
            incident: fix.incident.to_string(),
            rule: fix.rule.clone(),
            remedy: fix.remedy.clone(),
            target: fix.target.clone(),
            summary: fix.summary.clone(),
            restores: fix.restores.clone(),
            since: fix.since.to_string(),
            until: fix.until.to_string(),
        }
    }
}

/// Lists the temporary fixes in force.
///
/// # Errors
/// 503 where the store does not answer.
#[utoipa::path(get, path = "/api/v1/temporary", security(("bearer" = [])),
    responses((status = 200, body = TemporaryList, description = "The temporary fixes in force.")))]
pub async fn list(_: Principal, State(services): State<Services>) -> Result<Json<TemporaryList>, Problem> {
    let fixes = services.reader.temporary_fixes().await?;
    let (temporary, more) = bounded::fitting(fixes.iter().map(TemporaryShape::from), LIST_BYTES_MAX);
    Ok(Json(TemporaryList { temporary, more: more || fixes.len() >= TEMPORARY_MAX }))
}

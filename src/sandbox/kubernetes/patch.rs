//! The four kinds of patch: what each makes of an object before the rules of the API judge the result.

use serde_json::Value;

use super::resource::Resource;
use super::status::Refusal;
use super::strategic;

/// The kinds of patch, by their content types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Json,
    Merge,
    Strategic,
    Apply,
}

impl Kind {
    /// The kind that a request states.
    pub(super) fn read(content_type: &str, resource: &Resource) -> Result<Self, Refusal> {
        let plain = content_type.split(';').next().unwrap_or_default().trim();
        match plain {
            "application/json-patch+json" => Ok(Self::Json),
            "application/merge-patch+json" => Ok(Self::Merge),
            "application/strategic-merge-patch+json" if resource.built_in => Ok(Self::Strategic),
            "application/apply-patch+yaml" | "application/apply-patch+json" => Ok(Self::Apply),
            _ => {
                let accepted = "application/json-patch+json, application/merge-patch+json, \
                                application/apply-patch+yaml";
                let strategic =
                    if resource.built_in { ", application/strategic-merge-patch+json" } else { "" };
                Err(Refusal::unsupported_media_type(&format!("{accepted}{strategic}")))
            }
        }
    }
}

/// What a patch other than an apply makes of an object.
pub(super) fn patched(kind: Kind, object: &Value, patch: &Value) -> Result<Value, Refusal> {
    let mut after = object.clone();
    match kind {
        Kind::Json => {
            if !patch.is_array() {
                return Err(Refusal::bad_request(
                    "error decoding patch: a JSON patch is a list of operations",
                ));
            }
            let patch: json_patch::Patch =
                serde_json::from_value(patch.clone()).map_err(|_| unprocessable())?;
            json_patch::patch(&mut after, &patch).map_err(|_| unprocessable())?;
        }
        Kind::Merge => json_patch::merge(&mut after, patch),
        Kind::Strategic => strategic::merge(&mut after, patch)?,
        Kind::Apply => return Err(Refusal::bad_request("an apply is no patch of this kind")),
    }
    Ok(after)
}

/// A JSON patch that does not fit the object: a test that fails, or a path that is not there. Why is not told.
fn unprocessable() -> Refusal {
    let message = "the server rejected our request due to an error in our request";
    let mut refusal = Refusal::unprocessable(message);
    refusal.details = serde_json::json!({});
    refusal
}

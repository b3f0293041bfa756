//! `registry.image`: whether an image is in its registry, so that a pod could pull it.
//!
//! The reference comes out of a rule or a label, and so it is data: a registry that the settings do not name is never asked.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::evidence::{Evidence, Unknown};
use super::k8s::fields;
use super::{Entry, Moment, Tools};
use crate::clients::registry::reference::ImageReference;
use crate::clients::registry::{Manifest, RegistryError};
use crate::domain::catalog::{CheckedParams, DiagnosticKind, ParamsError, Slot, SlotLanguage, no_access};
use crate::params;

/// Longest time for the few questions of one run.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Kept back from it, so that what took too long is still said.
const MARGIN: Duration = Duration::from_secs(1);
/// At most so many questions follow each other: the image, a token, the image again, its configuration.
const QUESTIONS: u32 = 4;
/// Longest reference.
const IMAGE_BYTES_MAX: usize = 1_000;

pub(super) const ENTRY: Entry = Entry {
    kind: DiagnosticKind {
        name: "registry.image",
        summary: "Asks a registry of the settings whether it holds an image, by tag or digest, so that a pod could pull it.",
        fields: &[
            ("found", "Whether it is there. Left out where the registry could not say."),
            (
                "problem",
                "Empty where it is there; else `not_found`, `denied` (credentials that are missing or may not pull it; \
                 many registries say so of what is not there, too) or `unreachable`.",
            ),
            ("registry", "Host of the registry."),
            ("repository", "Its path within the registry."),
            ("digest", "Digest of what is there."),
            ("bytes", "Bytes to pull. Left out for an image of several platforms."),
            ("platforms", "Platforms of an image that has several, such as `linux/arm64`."),
            ("created", "When it says that it was built. Left out where it says nothing."),
        ],
        timeout: TIMEOUT,
        check,
        schema: params::schema::<Params>,
        access: no_access,
    },
    run: |tools, params, moment| Box::pin(run(tools, params, moment)),
};

/// Parameters of `registry.image`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Params {
    /// The image as a pod names it, such as `registry.example.com/team/api:1.2`. May hold templates; its registry must stand in
    /// the settings under `connections.registries`.
    #[schemars(length(min = 1, max = 1000))]
    image: String,
}

fn check(params: &Value) -> Result<CheckedParams, ParamsError> {
    let Params { image } = params::read(params)?;
    params::text_within("/image", &image, IMAGE_BYTES_MAX)?;
    Ok(CheckedParams { slots: vec![Slot::new("/image", SlotLanguage::Text)], ..CheckedParams::default() })
}

async fn run(tools: &Tools, params: &Value, moment: Moment<'_>) -> Result<Evidence, Unknown> {
    check(params)?;
    let Params { image } = params::read(params)?;
    let image = ImageReference::read(image.trim()).map_err(|error| Unknown::new(error.to_string()))?;
    let access = tools.connections.registries.get(&image.registry).ok_or_else(|| {
        let host = &image.registry;
        Unknown::new(format!(
            "the registry `{host}` is not in the settings: name it under `connections.registries`"
        ))
    })?;
    let room = moment.timeout.saturating_sub(MARGIN).max(MARGIN) / QUESTIONS;
    match access.client.now().manifest(&image, access.timeout.min(room)).await {
        Ok(Some(manifest)) => Ok(there(&image, &manifest)),
        Ok(None) => Ok(problem(&image, "not_found", Some(false), "the registry does not hold it")),
        Err(error @ (RegistryError::Denied(_) | RegistryError::Elsewhere(_))) => {
            Ok(problem(&image, "denied", None, &error.to_string()))
        }
        Err(error @ RegistryError::Unreachable(_)) => {
            Ok(problem(&image, "unreachable", None, &error.to_string()))
        }
        Err(error @ (RegistryError::Unavailable { .. } | RegistryError::Garbled(_))) => Err(error.into()),
    }
}

fn there(image: &ImageReference, manifest: &Manifest) -> Evidence {
    let Manifest { digest, bytes, platforms, created, .. } = manifest;
    let fields = fields(json!({
        "found": true,
        "problem": "",
        "registry": image.registry,
        "repository": image.repository,
        "digest": digest,
        "bytes": bytes,
        "platforms": platforms,
        "created": created,
    }));
    let mut parts = vec![format!("{} is there: {digest}", name_of(image))];
    parts.extend(bytes.map(|bytes| format!("{} MiB to pull", bytes.div_ceil(1 << 20))));
    parts.extend((!platforms.is_empty()).then(|| format!("for {}", platforms.join(", "))));
    parts.extend(created.as_ref().map(|created| format!("built {created}")));
    Evidence { fields, text: parts.join(", "), chart: None }
}

fn problem(image: &ImageReference, problem: &str, found: Option<bool>, why: &str) -> Evidence {
    let fields = fields(json!({
        "found": found,
        "problem": problem,
        "registry": image.registry,
        "repository": image.repository,
    }));
    Evidence { fields, text: format!("{}: {why}", name_of(image)), chart: None }
}

fn name_of(image: &ImageReference) -> String {
    let ImageReference { registry, repository, tag, digest } = image;
    match digest {
        Some(digest) => format!("{registry}/{repository}@{digest}"),
        None => format!("{registry}/{repository}:{tag}"),
    }
}

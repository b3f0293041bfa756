//! Completes the OpenAPI document with what holds for every operation, so that the handlers say only what is theirs.

use super::super::problem::PROBLEM_JSON;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{Content, Ref, RefOr, Response, ResponseBuilder};

/// The parts of the API: what a path begins with, and what it is for. The first that fits counts.
const TAGS: [(&str, &str, &str); 6] = [
    ("incidents", "/api/v1/incidents", "What is wrong, what was found and done, and who has it."),
    ("actions", "/api/v1/actions", "What waits for people, and their decisions."),
    ("oncall", "/api/v1/oncall", "Who is on call, by the schedules in force."),
    ("pause", "/api/v1/pause", "The kill switch: it stops actions, never messages."),
    ("receivers", "/webhooks/", "Where alerts and presses on buttons come in."),
    ("service", "/", "The service itself: health, metrics, rules, this description."),
];

/// What any request to the API may be answered with.
const EVERYWHERE: [&str; 2] = ["401", "503"];

/// What an answer means where the handler does not say it.
const MEANINGS: [(&str, &str); 7] = [
    ("400", "The request is not understood; a change of it is needed."),
    ("401", "A valid token or credential is required."),
    ("403", "The role does not reach."),
    ("404", "There is no such incident, action or task."),
    ("409", "It no longer fits the state: already acknowledged, taken over, decided, or over."),
    ("413", "The body is larger than `limits.body_bytes`."),
    (
        "503",
        "The store does not answer, or too much is asked at once: try again after `Retry-After` seconds.",
    ),
];

/// The modifier of the document.
pub(super) struct Complete;

impl utoipa::Modify for Complete {
    fn modify(&self, openapi: &mut utoipa::openapi::OpenApi) {
        let components = openapi.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
        let tag = |(name, _, words): (&str, &str, &str)| {
            TagBuilder::new().name(name).description(Some(words)).build()
        };
        openapi.tags = Some(TAGS.map(tag).to_vec());
        for (path, item) in &mut openapi.paths.paths {
            for (method, operation) in
                [("get", &mut item.get), ("put", &mut item.put), ("post", &mut item.post)]
            {
                if let Some(operation) = operation {
                    complete(operation, method, path);
                }
            }
        }
    }
}

fn complete(operation: &mut Operation, method: &str, path: &str) {
    let words: Vec<&str> =
        path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    operation.operation_id = Some(format!("{method}_{}", words.join("_")));
    let tag = TAGS.iter().find(|(_, start, _)| path.starts_with(start));
    operation.tags = tag.map(|(name, _, _)| vec![(*name).to_owned()]);
    // What a handler's doc comment says of errors is for its readers; here each answer says it.
    let prose = operation.description.take();
    let prose = prose.map(|text| text.split("# Errors").next().unwrap_or_default().trim().to_owned());
    operation.description = prose.filter(|text| !text.is_empty());
    let responses = &mut operation.responses.responses;
    if operation.security.is_some() {
        for status in EVERYWHERE {
            let content = Content::new(Some(Ref::from_schema_name("Problem")));
            let response = ResponseBuilder::new().content(PROBLEM_JSON, content).build();
            responses.entry(status.to_owned()).or_insert(RefOr::T(response));
        }
    }
    for (status, response) in responses {
        if let RefOr::T(response) = response {
            explain(status, response);
        }
    }
}

/// Says what the answer means, and in which form errors come.
fn explain(status: &str, response: &mut Response) {
    let meaning = MEANINGS.iter().find(|(known, _)| *known == status);
    if let (true, Some((_, meaning))) = (response.description.is_empty(), meaning) {
        response.description = (*meaning).to_owned();
    }
    let is_problem = |content: &RefOr<Content>| match content {
        RefOr::T(Content { schema: Some(RefOr::Ref(schema)), .. }) => {
            schema.ref_location.ends_with("/Problem")
        }
        _ => false,
    };
    if response.content.get("application/json").is_some_and(is_problem) {
        let content = response.content.drain(..).map(|(_, content)| (PROBLEM_JSON.to_owned(), content));
        response.content = content.collect();
    }
}

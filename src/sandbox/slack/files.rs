//! Files by the external flow: an address for the bytes, the bytes, and the step that puts them before people.
//!
//! Published: references of `files.getUploadURLExternal` and `files.completeUploadExternal`; the first reads forms only,
//! the last takes the id of a channel and the `ts` of a parent. Stricter than published: an address is good once, and
//! for exactly as many bytes as were announced.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::api::{Refusal, refuse};
use super::workspace::Draft;
use super::{Shared, SlackSandbox, lock};
use crate::sandbox::seed::random_hex;

/// Files that are remembered; the oldest go first.
const FILES_MAX: usize = 200;
/// Longest description of a picture.
const ALT_CHARS_MAX: usize = 1_000;

/// A file as people see it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct File {
    /// Its id.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// What stands above it.
    pub title: String,
    /// What is in it, where it is text.
    pub text: String,
    /// What is in it.
    #[serde(skip)]
    pub bytes: Vec<u8>,
    /// What a picture shows, for whoever does not see it.
    pub alt_text: Option<String>,
    /// The channel's id; empty until it is put into one.
    pub channel: String,
    /// The message below which it stands.
    pub thread_ts: Option<String>,
}

/// A file on its way.
#[derive(Clone, Debug)]
pub(super) struct Upload {
    key: String,
    length: usize,
    has_come: bool,
    file: File,
}

impl Shared {
    /// `files.getUploadURLExternal`.
    pub(super) fn upload_url(
        &self,
        name: &str,
        length: Option<u64>,
        alt_text: Option<&str>,
    ) -> Result<Value, Refusal> {
        if alt_text.is_some_and(|text| text.chars().count() > ALT_CHARS_MAX) {
            return refuse("alt_txt_too_large");
        }
        let length = length.and_then(|length| usize::try_from(length).ok()).filter(|length| *length > 0);
        let Some(length) = length else { return refuse("invalid_arguments") };
        let (key, id) = (random_hex(16), format!("F{}", random_hex(5).to_uppercase()));
        let file = File {
            id: id.clone(),
            name: name.to_owned(),
            title: name.to_owned(),
            text: String::new(),
            bytes: Vec::new(),
            alt_text: alt_text.map(str::to_owned),
            channel: String::new(),
            thread_ts: None,
        };
        let mut uploads = lock(&self.uploads);
        if uploads.len() >= FILES_MAX {
            uploads.remove(0);
        }
        uploads.push(Upload { key: key.clone(), length, has_come: false, file });
        Ok(json!({"ok": true, "upload_url": format!("{}/upload/v1/{key}", self.base_url), "file_id": id}))
    }

    /// `files.completeUploadExternal`.
    pub(super) fn complete_upload(
        &self,
        files: &Value,
        channel: &str,
        thread_ts: Option<&str>,
    ) -> Result<Value, Refusal> {
        let mut workspace = self.workspace();
        let Some(known) = workspace.channel(channel) else { return refuse("channel_not_found") };
        if !known.bot_is_member {
            return refuse("not_in_channel");
        }
        if thread_ts
            .is_some_and(|ts| workspace.message(channel, ts).is_none_or(|parent| parent.thread_ts.is_some()))
        {
            return refuse("invalid_thread_ts");
        }
        let mut shown = Vec::new();
        let mut uploads = lock(&self.uploads);
        for wanted in files.as_array().into_iter().flatten() {
            let is_it = |upload: &&mut Upload| {
                wanted["id"] == upload.file.id && upload.has_come && upload.file.channel.is_empty()
            };
            let Some(upload) = uploads.iter_mut().find(is_it) else { return refuse("file_not_found") };
            let file = &mut upload.file;
            file.channel = channel.to_owned();
            file.thread_ts = thread_ts.map(str::to_owned);
            if let Some(title) = wanted["title"].as_str() {
                file.title = title.to_owned();
            }
            let text = format!("📎 {} ({})", file.title, file.name);
            let draft = Draft { text, thread_ts: file.thread_ts.clone(), ..Draft::default() };
            workspace.post(channel, &self.options.bot_user_id, draft, Timestamp::now());
            shown.push(json!({"id": file.id, "title": file.title}));
        }
        Ok(json!({"ok": true, "files": shown}))
    }
}

/// `POST /upload/v1/{key}`: the bytes.
pub(super) async fn receive(
    State(shared): State<Arc<Shared>>,
    Path(key): Path<String>,
    body: Bytes,
) -> Response {
    let mut uploads = lock(&shared.uploads);
    let Some(upload) = uploads.iter_mut().find(|upload| upload.key == key && !upload.has_come) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if body.len() != upload.length {
        return StatusCode::BAD_REQUEST.into_response();
    }
    let answer = format!("OK - {}", body.len());
    (upload.has_come, upload.file.bytes) = (true, body.to_vec());
    upload.file.text = String::from_utf8(body.to_vec()).unwrap_or_default();
    answer.into_response()
}

impl SlackSandbox {
    /// The files that people see, oldest first.
    #[must_use]
    pub fn files(&self) -> Vec<File> {
        let uploads = lock(&self.shared.uploads);
        uploads.iter().map(|upload| upload.file.clone()).filter(|file| !file.channel.is_empty()).collect()
    }
}

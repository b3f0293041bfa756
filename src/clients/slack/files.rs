//! Files in a thread, by Slack's external flow: ask for an address, send the bytes there, put the file into the channel.

use serde::Deserialize;
use serde_json::json;

use super::{Ignored, SlackClient};
use crate::clients::answer::{Repeat, SendError};
use crate::clients::http::{HttpRequest, Method, StatusCode, Url};
use crate::domain::timeline::one_line;

/// Characters of a description; Slack refuses one of more than 1,000.
const ALT_CHARS_MAX: usize = 900;

/// A file to put below a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// What it is called, with its ending.
    pub name: String,
    /// What stands above it.
    pub title: String,
    /// What is in it.
    pub bytes: Vec<u8>,
    /// What a picture shows, for whoever does not see it.
    pub alt_text: Option<String>,
}

/// What `files.getUploadURLExternal` answers.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Address {
    upload_url: Option<String>,
    file_id: Option<String>,
}

impl SlackClient {
    /// Puts a file below the message `thread_ts` of a channel (by id).
    ///
    /// # Errors
    /// As the table says. Until the last of the three steps nobody sees anything; an unclear end of that one is ambiguous.
    pub async fn upload(&self, channel: &str, thread_ts: &str, file: &File) -> Result<(), SendError> {
        let length = file.bytes.len().to_string();
        let mut fields = vec![("filename", file.name.as_str()), ("length", &length)];
        let alt_text = file.alt_text.as_ref().map(|text| one_line(text, ALT_CHARS_MAX));
        fields.extend(alt_text.as_ref().map(|text| ("alt_txt", text.as_str())));
        let Address { upload_url, file_id } = self.ask("files.getUploadURLExternal", &fields).await?;
        let unnamed = || SendError::permanent("no_address", "Slack named no address for a file");
        let (upload_url, file_id) = upload_url.zip(file_id).ok_or_else(unnamed)?;
        self.send_bytes(&upload_url, &file.bytes).await?;
        let request = json!({
            "files": [{ "id": file_id, "title": file.title }], "channel_id": channel, "thread_ts": thread_ts,
        });
        let _: Ignored = self.call("files.completeUploadExternal", &request, Repeat::Harmful, None).await?;
        Ok(())
    }

    /// The address holds a ticket, so that it is never shown.
    async fn send_bytes(&self, address: &str, bytes: &[u8]) -> Result<(), SendError> {
        let failed = |reason: String| SendError::permanent("upload", reason);
        let url = Url::parse(address).map_err(|_| failed("what Slack named is no address".to_owned()))?;
        if url.scheme() != "https" && url.origin() != self.base.origin() {
            return Err(failed("what Slack named is no https address".to_owned()));
        }
        let request = HttpRequest::new(Method::POST, url).body("application/octet-stream", bytes.to_vec());
        let sent = self.http.send(request).await.map_err(|error| failed(error.reason()))?;
        match sent.status {
            StatusCode::OK => Ok(()),
            status => Err(failed(format!("HTTP {}", status.as_u16()))),
        }
    }
}

//! Pages of the sandbox: each one HTML, one CSS and one JavaScript file that stand in the binary.
//!
//! There is no build step and nothing is fetched from elsewhere; the policy of every answer (see
//! [`super::server`]) allows neither inline script nor foreign sources. The scripts put data into text nodes only.

use axum::Router;
use axum::routing::get;
use http::header;

/// A page and the names of its parts.
pub(super) struct Page {
    /// What its style and script are called: `NAME.css`, `NAME.js`.
    pub name: &'static str,
    pub html: &'static str,
    pub css: &'static str,
    pub js: &'static str,
}

impl Page {
    /// `GET PREFIX/`, `PREFIX/NAME.css` and `PREFIX/NAME.js`. The page asks for its parts by relative names, so that it
    /// works under any prefix that ends with a slash.
    pub(super) fn routes(&self, prefix: &str) -> Router {
        let part = |kind: &'static str, text: &'static str| {
            get(move || async move { ([(header::CONTENT_TYPE, kind)], text) })
        };
        Router::new()
            .route(&format!("{prefix}/"), part("text/html; charset=utf-8", self.html))
            .route(&format!("{prefix}/{}.css", self.name), part("text/css; charset=utf-8", self.css))
            .route(&format!("{prefix}/{}.js", self.name), part("text/javascript; charset=utf-8", self.js))
    }
}

//! Address and tokens of the web service.

use std::fmt;

use reqwest::RequestBuilder;

/// Address and tokens of the web service. `Debug` and `Display` hide the tokens.
#[derive(Clone)]
pub struct WebEndpoint {
    /// `http://host:port`.
    pub address: String,
    /// The token for uploads; `None` if the service needs none.
    pub camera: Option<String>,
    /// The token for reading; `None` if the service needs none.
    pub viewer: Option<String>,
}

impl WebEndpoint {
    /// An endpoint that is used without tokens.
    pub fn without_tokens(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            camera: None,
            viewer: None,
        }
    }

    /// An upload, with the camera's token.
    pub(crate) fn post(&self, http: &reqwest::Client, path: &str) -> RequestBuilder {
        let request = http.post(format!("{}{path}", self.address));
        with_token(request, self.camera.as_deref())
    }

    /// A read request, with the viewer's token.
    pub(crate) fn get(&self, http: &reqwest::Client, path: &str) -> RequestBuilder {
        let request = http.get(format!("{}{path}", self.address));
        with_token(request, self.viewer.as_deref())
    }
}

fn with_token(request: RequestBuilder, token: Option<&str>) -> RequestBuilder {
    match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    }
}

impl fmt::Debug for WebEndpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.address)
    }
}

impl fmt::Display for WebEndpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.address)
    }
}

//! Where the service is, and what lets one in there.

use std::fmt;

use reqwest::RequestBuilder;

/// The web service as somebody outside knows it: its address, and two tokens.
#[derive(Clone)]
pub struct Web {
    /// `http://host:port`.
    pub address: String,
    /// Lets in who posts photos, as a camera; None where no token is asked for.
    pub camera: Option<String>,
    /// Lets in who looks at them.
    pub viewer: Option<String>,
}

impl Web {
    /// One that asks for no token, or that is asked without one.
    #[must_use]
    pub fn without_tokens(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            camera: None,
            viewer: None,
        }
    }

    /// A camera's request.
    pub(crate) fn post(&self, http: &reqwest::Client, path: &str) -> RequestBuilder {
        let request = http.post(format!("{}{path}", self.address));
        with(request, self.camera.as_deref())
    }

    /// A request of a person who looks.
    pub(crate) fn get(&self, http: &reqwest::Client, path: &str) -> RequestBuilder {
        let request = http.get(format!("{}{path}", self.address));
        with(request, self.viewer.as_deref())
    }
}

fn with(request: RequestBuilder, token: Option<&str>) -> RequestBuilder {
    match token {
        Some(token) => request.bearer_auth(token),
        None => request,
    }
}

/// Without the tokens.
impl fmt::Debug for Web {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.address)
    }
}

/// As messages name it.
impl fmt::Display for Web {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.address)
    }
}

//! Classifies transport errors and error responses.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use rustls::{AlertDescription, CertificateError, Error as Tls, InvalidMessage};
use serde_json::Value;
use url::Url;

use super::{Error, Unreachable};
use crate::kubernetes::error_chain;

/// The request, as error messages describe it.
#[derive(Clone, Copy)]
pub(super) struct RequestContext<'a> {
    pub url: &'a str,
    pub identity: &'a str,
    pub what: &'a str,
    pub timeout: Duration,
}

/// The transport failed before or while reading the response.
pub(super) fn from_transport_error(context: RequestContext<'_>, error: &(dyn StdError + 'static)) -> Error {
    let chain = error_chain(error);
    let url = context.url.to_owned();
    let root = chain
        .last()
        .map_or_else(|| error.to_string(), ToString::to_string);
    if let Some(tls) = chain.iter().find_map(|cause| cause.downcast_ref::<Tls>()) {
        return Error::Tls {
            url,
            reason: tls.to_string(),
            remedy: remedy(tls),
        };
    }
    let http = chain
        .iter()
        .find_map(|cause| cause.downcast_ref::<reqwest::Error>());
    if http.is_some_and(reqwest::Error::is_builder) {
        return Error::Settings(format!("cannot set up the connection to OpenSearch: {root}"));
    }
    if http.is_some_and(reqwest::Error::is_connect) {
        return Error::Unreachable {
            url,
            reason: unreachable(&chain, root, context.timeout),
        };
    }
    let reason = if http.is_some_and(reqwest::Error::is_timeout) {
        format!(
            "it did not answer within {:?} (LOGQ_OPENSEARCH_TIMEOUT)",
            context.timeout
        )
    } else {
        format!("the connection was lost: {root}")
    };
    Error::Interrupted {
        url,
        what: context.what.into(),
        reason,
    }
}

/// The response came from another origin. The transport follows redirects, without credentials, and offers no way to
/// prevent it.
pub(super) fn redirected(context: RequestContext<'_>, url: &Url, target: &Url) -> Option<Error> {
    let target = target.origin();
    (url.origin() != target).then(|| Error::Unexpected {
        url: context.url.into(),
        what: context.what.into(),
        reason: format!(
            "it redirects to {}. If that server is right, set it in LOGQ_OPENSEARCH_URL",
            target.ascii_serialization()
        ),
    })
}

fn unreachable(chain: &[&(dyn StdError + 'static)], root: String, timeout: Duration) -> Unreachable {
    if chain.iter().any(|cause| cause.to_string().contains("dns error")) {
        return Unreachable::Name;
    }
    let kind = chain
        .iter()
        .rev()
        .find_map(|cause| cause.downcast_ref::<io::Error>())
        .map(io::Error::kind);
    match kind {
        Some(io::ErrorKind::ConnectionRefused) => Unreachable::Refused,
        Some(io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable) => Unreachable::NoRoute,
        Some(io::ErrorKind::TimedOut) => Unreachable::Timeout(timeout),
        _ if chain.iter().any(|cause| {
            cause
                .downcast_ref::<reqwest::Error>()
                .is_some_and(reqwest::Error::is_timeout)
        }) =>
        {
            Unreachable::Timeout(timeout)
        }
        _ => Unreachable::Other(root),
    }
}

fn remedy(error: &Tls) -> &'static str {
    match error {
        Tls::InvalidCertificate(CertificateError::UnknownIssuer) => {
            "This machine does not know the certificate's authority: set the authority's PEM file in \
             LOGQ_OPENSEARCH_CA"
        }
        Tls::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => {
            "The certificate is for another host name: use a name from the certificate in \
            LOGQ_OPENSEARCH_URL"
        }
        Tls::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }) => {
            "The certificate has expired: renew it, or check this machine's clock"
        }
        Tls::InvalidCertificate(_) => "The certificate is not acceptable",
        Tls::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "The server seems not to use TLS: try http:// in LOGQ_OPENSEARCH_URL"
        }
        Tls::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateExpired
            | AlertDescription::HandshakeFailure,
        ) => {
            "The server requires a client certificate or rejects this one: check LOGQ_OPENSEARCH_CLIENT_CERT \
             and LOGQ_OPENSEARCH_CLIENT_KEY"
        }
        _ => "Client and server support no common TLS version",
    }
}

/// A response with an error status.
pub(super) fn from_status(context: RequestContext<'_>, status: u16, body: &[u8]) -> Error {
    let url = context.url.to_owned();
    let what = context.what.to_owned();
    let (kind, reason) = reason(body);
    match status {
        401 => Error::Unauthorized {
            url,
            identity: context.identity.into(),
        },
        403 => Error::Forbidden {
            url,
            what,
            identity: context.identity.into(),
            reason,
        },
        429 => Error::Busy { url, what, reason },
        500.. => Error::Failed {
            url,
            what,
            status,
            reason,
        },
        404 | 405 if !is_from_opensearch(body) => Error::Unexpected {
            url,
            what,
            reason: format!("{status} {reason}. Does LOGQ_OPENSEARCH_URL point to OpenSearch?"),
        },
        _ => Error::Rejected {
            url,
            what,
            status,
            kind,
            reason,
        },
    }
}

/// Error name for a body that is not JSON.
const NOT_JSON: &str = "not JSON";

const NO_REASON: &str = "the response names no reason";

/// Whether the body has one of the forms of OpenSearch's 404 and 405: nothing, `{}`, an error with a status, or a
/// missing document.
fn is_from_opensearch(body: &[u8]) -> bool {
    match serde_json::from_slice(body) {
        Ok(Value::Object(members)) => {
            members.is_empty()
                || members.contains_key("_index")
                || members.get("error").is_some_and(Value::is_object)
                || (members.contains_key("error") && members.contains_key("status"))
        }
        Ok(_) => false,
        Err(_) => body.is_empty(),
    }
}

/// Extracts the name and the most specific reason of an error:
/// `{"error":{"type","reason","root_cause":[…],"caused_by":{…}}}` or `{"error":"text"}`, which has no name.
fn reason(body: &[u8]) -> (String, String) {
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        let text = String::from_utf8_lossy(body.get(..200).unwrap_or(body));
        let text: String = text.chars().filter(|c| !c.is_control()).collect();
        if text.is_empty() {
            return (String::new(), NO_REASON.into());
        }
        return (NOT_JSON.into(), text);
    };
    let Some(error) = body.get("error").filter(|error| !error.is_null()) else {
        let message = body.get("message").and_then(Value::as_str);
        return (String::new(), message.unwrap_or(NO_REASON).into());
    };
    if let Some(text) = error.as_str() {
        return (String::new(), text.into());
    }
    let text = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
    // If all shards failed, the first one has the reason.
    let cause = error
        .get("failed_shards")
        .and_then(|shards| shards.get(0))
        .and_then(|shard| shard.get("reason"))
        .unwrap_or(error);
    let mut reason = text(cause, "reason").unwrap_or_else(|| NO_REASON.into());
    let mut deeper = cause.get("caused_by");
    while let Some(next) = deeper {
        if let Some(more) = text(next, "reason")
            && !reason.contains(&more)
        {
            reason = format!("{reason}: {more}");
        }
        deeper = next.get("caused_by");
    }
    (text(cause, "type").unwrap_or_default(), reason)
}

/// Rejects a partial search result.
pub(super) fn check_all_shards(context: RequestContext<'_>, answer: &Value) -> Result<(), Error> {
    let Some(shards) = answer.get("_shards") else {
        return Ok(());
    };
    let count = |name: &str| shards.get(name).and_then(Value::as_u64).unwrap_or(0);
    let failures = shards.get("failures").and_then(Value::as_array);
    let late = answer.get("timed_out").and_then(Value::as_bool) == Some(true);
    if count("failed") == 0 && !late {
        return Ok(());
    }
    let reason = failures
        .and_then(|failures| failures.first())
        .and_then(|failure| failure.pointer("/reason/reason"))
        .and_then(Value::as_str)
        .unwrap_or(if late { "it timed out" } else { NO_REASON });
    Err(Error::Partial {
        url: context.url.into(),
        successful: count("successful"),
        total: count("total"),
        reason: reason.into(),
    })
}

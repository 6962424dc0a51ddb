//! A minimal HTTP server for the redirect.

use tokio::io::{AsyncRead, AsyncReadExt as _};
use url::form_urlencoded;

/// Maximum bytes of a request's head, and of its body.
pub(super) const LIMIT: usize = 16 * 1024;

/// A field of a form or query.
pub(super) fn field(fields: &str, name: &str) -> Option<String> {
    form_urlencoded::parse(fields.as_bytes())
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}

pub(super) struct Request {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) host: String,
    pub(super) origin: Option<String>,
    /// A navigation of a window, as far as the browser reports it (Fetch Metadata Request Headers).
    pub(super) is_visible: bool,
    pub(super) body: String,
}

impl Request {
    /// Reads a request; none if it is incomplete or longer than [`LIMIT`].
    pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Self> {
        const END: &[u8] = b"\r\n\r\n";
        let mut bytes = Vec::new();
        let head_length = loop {
            if let Some(end) = bytes.windows(END.len()).position(|window| window == END) {
                break end;
            }
            if bytes.len() > LIMIT || stream.read_buf(&mut bytes).await.ok()? == 0 {
                return None;
            }
        };
        let mut body = bytes.split_off(head_length + END.len());
        let head = String::from_utf8(bytes).ok()?;
        let header = |name: &str| {
            let mut headers = head.lines().skip(1).filter_map(|line| line.split_once(':'));
            headers
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.trim().to_owned())
        };
        let body_length: usize =
            header("content-length").map_or(Some(0), |length| length.parse().ok())?;
        if body_length > LIMIT {
            return None;
        }
        while body.len() < body_length {
            if stream.read_buf(&mut body).await.ok()? == 0 {
                return None;
            }
        }
        body.truncate(body_length);
        let mut words = head.lines().next()?.split(' ');
        Some(Self {
            method: words.next()?.to_owned(),
            target: words.next()?.to_owned(),
            host: header("host")?,
            origin: header("origin"),
            is_visible: [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")]
                .iter()
                .all(|(name, wanted)| header(name).is_none_or(|value| value == *wanted)),
            body: String::from_utf8(body).ok()?,
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// Posts the token back.
    Page,
    /// The token was received.
    Thanks,
    /// Authorization was denied.
    Rejected,
    /// Not from our page, or with another state.
    Forbidden,
    NotFound,
}

impl Reply {
    pub(super) fn text(self) -> String {
        let (status, body) = match self {
            Reply::Page => ("200 OK", PAGE),
            Reply::Thanks => ("200 OK", ""),
            Reply::Rejected => (
                "200 OK",
                "<!doctype html><title>oc quay</title><p>No token. You can close this window.",
            ),
            Reply::Forbidden => ("403 Forbidden", ""),
            Reply::NotFound => ("404 Not Found", ""),
        };
        format!("HTTP/1.1 {status}\r\n{HEADERS}Content-Length: {}\r\n\r\n{body}", body.len())
    }
}

/// No caching, and no connections to other servers.
const HEADERS: &str = "Content-Type: text/html; charset=utf-8\r\n\
    Cache-Control: no-store\r\n\
    Content-Security-Policy: default-src 'none'; script-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'\r\n\
    Referrer-Policy: no-referrer\r\n\
    X-Content-Type-Options: nosniff\r\n\
    Connection: close\r\n";

/// Posts the URL's fragment, and removes it from the address bar and the history.
const PAGE: &str = "<!doctype html>
<html lang=en>
<title>oc quay</title>
<p id=say>One moment.
<noscript>Copy the value of access_token= from the address and paste it into the terminal.</noscript>
<script>
const say = text => { document.getElementById('say').textContent = text };
const brought = location.hash.slice(1) + '&' + location.search.slice(1);
history.replaceState(null, '', '/');
fetch('/token', {method: 'POST', headers: {'Content-Type': 'application/x-www-form-urlencoded'}, body: brought}).then(
  answer => say(answer.ok ? 'Done. You can close this window.' : 'This response does not belong to the current sign-in.'),
  () => say('oc quay is no longer waiting.'));
</script>
";

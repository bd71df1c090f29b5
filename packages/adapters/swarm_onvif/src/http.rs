//! One HTTP request to a camera, bounded in time and size.
//!
//! A connection serves one request: cameras hold few open, and many close them whenever they like. Nothing is followed,
//! cached or retried here.

use std::time::Duration;

use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{
    AUTHORIZATION, CONNECTION, CONTENT_TYPE, DATE, HOST, HeaderMap, LOCATION, WWW_AUTHENTICATE,
};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::address::{Host, Scheme, ServiceUrl};
use crate::error::Failure;
use crate::tls::{self, Trust};
use crate::xml::clean;

/// Longest answer that is read, in bytes. `GetProfiles` of a recorder with 64 channels has some 700 kB.
pub(crate) const MAX_ANSWER: usize = 4 << 20;

/// Longest header block, in bytes.
const MAX_HEADERS: usize = 64 << 10;

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Values of `WWW-Authenticate`.
    pub(crate) challenges: Vec<String>,
    pub(crate) location: Option<String>,
    /// What the camera's clock showed, in seconds since 1970.
    pub(crate) date: Option<i64>,
    pub(crate) body: Bytes,
}

#[derive(Debug)]
pub(crate) struct Post<'a> {
    pub(crate) url: &'a ServiceUrl,
    pub(crate) content_type: String,
    pub(crate) authorization: Option<String>,
    pub(crate) body: String,
}

/// Sends `post`; connecting may take `patience`, and so may the answer.
pub(crate) async fn send(post: Post<'_>, trust: Trust, patience: Duration) -> Result<Reply, Failure> {
    let url = post.url;
    let connected = timeout(patience, connect(url)).await;
    let stream = connected.map_err(|_| Failure::ConnectTimeout(patience))?.map_err(Failure::Connect)?;
    let answer = async {
        match url.scheme {
            Scheme::Http => exchange(stream, post).await,
            Scheme::Https => exchange(tls::connect(stream, &url.host, trust).await?, post).await,
        }
    };
    timeout(patience, answer).await.map_err(|_| Failure::AnswerTimeout(patience))?
}

async fn connect(url: &ServiceUrl) -> std::io::Result<TcpStream> {
    let stream = match (&url.host, url.host.socket(url.port)) {
        (_, Some(address)) => TcpStream::connect(address).await?,
        (Host::Name(name), None) => TcpStream::connect((name.as_str(), url.port)).await?,
        (host, None) => unreachable!("{host} is an address"),
    };
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn exchange<S>(stream: S, post: Post<'_>) -> Result<Reply, Failure>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let broken = |error: hyper::Error| {
        // hyper's own text says what kind, its source what happened.
        let source =
            std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
        Failure::Http(clean(&format!("{error}{source}")))
    };
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEADERS)
        // Some cameras know `Content-Type` but not `content-type`, and write headers that no standard allows.
        .title_case_headers(true)
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .ignore_invalid_headers_in_responses(true)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    let request = request(post)?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(broken)?;
        let (head, body) = response.into_parts();
        let body = match Limited::new(body, MAX_ANSWER).collect().await {
            Ok(body) => body.to_bytes(),
            Err(error) if error.is::<LengthLimitError>() => {
                return Err(Failure::TooLarge { limit: MAX_ANSWER });
            }
            Err(error) => return Err(Failure::Http(clean(&error.to_string()))),
        };
        Ok(reply(&Response::from_parts(head, ()), body))
    };
    // The connection is driven beside the answer; its own errors reach the answer too.
    tokio::pin!(answer);
    let mut connection = std::pin::pin!(connection);
    let mut over = false;
    loop {
        tokio::select! {
            biased;
            answer = &mut answer => return answer,
            _ = &mut connection, if !over => over = true,
        }
    }
}

fn request(post: Post<'_>) -> Result<Request<Full<Bytes>>, Failure> {
    let mut request = Request::post(&post.url.path)
        .header(HOST, post.url.host_header())
        .header(CONTENT_TYPE, post.content_type)
        .header(CONNECTION, "close");
    if let Some(authorization) = post.authorization {
        let mut value = hyper::header::HeaderValue::try_from(authorization)
            .map_err(|_| Failure::Http("the camera's challenge cannot be answered in a header".to_owned()))?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    request.body(Full::new(Bytes::from(post.body))).map_err(|error| Failure::Http(error.to_string()))
}

fn reply(response: &Response<()>, body: Bytes) -> Reply {
    let headers: &HeaderMap = response.headers();
    let text = |name| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let challenges = headers.get_all(WWW_AUTHENTICATE).iter();
    Reply {
        status: response.status().as_u16(),
        challenges: challenges.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect(),
        location: text(LOCATION).map(|to| clean(&to)),
        date: text(DATE)
            .and_then(|date| OffsetDateTime::parse(&date, &Rfc2822).ok())
            .map(OffsetDateTime::unix_timestamp),
        body,
    }
}

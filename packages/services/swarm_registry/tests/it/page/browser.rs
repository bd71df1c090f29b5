//! Someone with a browser, who keeps cookies and sends forms with what the page put into them.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use tower::ServiceExt;

use crate::common::Registry;

/// Someone with a browser.
pub(crate) struct Browser {
    router: Router,
    host: &'static str,
    pub(crate) cookies: BTreeMap<String, String>,
}

#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    headers: HeaderMap,
    pub(crate) text: String,
}

impl Page {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn shows(&self, texts: &[&str]) {
        for text in texts {
            assert!(self.text.contains(text), "no '{text}' in {} {}", self.status, self.text);
        }
    }

    /// The hidden fields of the page's forms, in their order.
    pub(crate) fn hidden(&self) -> Vec<(String, String)> {
        let inputs = self.text.split("<input type=\"hidden\" name=\"").skip(1);
        let fields = inputs.map(|input| {
            let (name, rest) = input.split_once("\" value=\"").unwrap();
            (name.to_owned(), rest.split_once('"').unwrap().0.to_owned())
        });
        fields.collect()
    }
}

impl Browser {
    pub(crate) fn new(registry: &Registry, host: &'static str) -> Self {
        Self { router: registry.router(), host, cookies: BTreeMap::new() }
    }

    pub(crate) async fn send(
        &mut self,
        request: axum::http::request::Builder,
        body: impl Into<Body>,
    ) -> Page {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = request.header("host", self.host).header("cookie", cookies.join("; "));
        let response = self.router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        for cookie in parts.headers.get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
                assert!(cookie.contains(part), "{cookie}");
            }
            assert_eq!(cookie.starts_with("__Host-"), cookie.contains("; Secure"), "{cookie}");
            let (name, value) = cookie.split_once(';').unwrap().0.split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        Page {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Page {
        self.send(Request::get(path), Body::empty()).await
    }

    pub(crate) async fn post(&mut self, path: &str, fields: &[(String, String)]) -> Page {
        self.post_from("same-origin", path, fields).await
    }

    pub(crate) async fn post_from(&mut self, from: &str, path: &str, fields: &[(String, String)]) -> Page {
        let encode =
            |text: &str| text.replace('%', "%25").replace('&', "%26").replace('+', "%2B").replace(' ', "+");
        let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect();
        let request = Request::post(path)
            .header("sec-fetch-site", from)
            .header("content-type", "application/x-www-form-urlencoded");
        self.send(request, fields.join("&")).await
    }

    /// Opens a page that asks, gives the reason, and sends its form to where the page is.
    pub(crate) async fn confirm(&mut self, ask: &str, to: &str, reason: &str) -> Page {
        let page = self.get(ask).await;
        assert_eq!(page.status, 200, "{}", page.text);
        page.shows(&[&format!("action=\"{to}\"")]);
        let mut fields = page.hidden();
        fields.push(field("reason", reason));
        self.post(to, &fields).await
    }
}

pub(crate) fn field(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

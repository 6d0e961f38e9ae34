//! What every request and every answer goes through.

use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::problem::Problem;

/// Refuses a form that another site has sent. There is no session here that it could misuse; with one
/// this is what keeps other sites from acting in a visitor's name. Browsers of this decade tell;
/// programs that are not browsers do not, and have nobody's session.
pub async fn same_site_posts(request: Request, next: Next) -> Response {
    let from = request.headers().get("sec-fetch-site").map(HeaderValue::as_bytes);
    let ours = matches!(from, None | Some(b"same-origin" | b"none"));
    if request.method() == Method::POST && !ours {
        return Problem::CrossSite.into_response();
    }
    next.run(request).await
}

/// A page under a link has the token in its address, so: it is kept in no cache, its address is told
/// to no other site, and nobody frames it.
pub async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; \
             frame-ancestors 'none'",
        ),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    // A form that cannot be read is the visitor's mistake, in whatever words the framework has.
    if response.status() == StatusCode::UNPROCESSABLE_ENTITY {
        return Problem::BadForm.into_response();
    }
    response
}

//! Templates stored in the double, and the mail that is made of them.
//!
//! A mail whose template is stored here is rendered. As with the real one, a variable that is missing
//! is told to nobody: the entry is answered with success, and no mail goes out. Where the template is
//! not stored, mail is accepted unrendered.

use std::collections::BTreeMap;

use handlebars::{Handlebars, no_escape};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Ses;
use super::answer::{self, Cut, Payload};
use super::setup;
use super::state::Shared;

/// Where these operations live.
pub(super) const PATH: &str = "/v2/email/templates";

/// How many names a page of the list has at most.
const PAGE_MAX: usize = 100;

/// What a template consists of; in a mail, with its variables filled in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Content {
    /// The subject.
    pub subject: String,
    /// The body as HTML.
    pub html: String,
    /// The body as text.
    pub text: String,
}

/// The templates that are stored, and the calls about them.
#[derive(Debug, Default)]
pub(super) struct Templates {
    pub(super) stored: BTreeMap<String, Content>,
    pub(super) calls: Vec<String>,
}

impl Ses {
    /// The stored templates, by name.
    pub fn templates(&self) -> BTreeMap<String, Content> {
        self.shared.lock().templates.stored.clone()
    }

    /// Stores a template, in place of one of this name.
    pub fn store_template(&self, name: &str, content: Content) {
        self.shared.lock().templates.stored.insert(name.to_owned(), content);
    }

    /// The calls about templates so far: `GET`, `POST welcomev1` and so on, the list as `GET`.
    pub fn template_calls(&self) -> Vec<String> {
        self.shared.lock().templates.calls.clone()
    }
}

impl Templates {
    /// What the recipient of a mail reads: `None` if its template is not stored here; `Some(None)`
    /// if a variable is missing.
    pub(super) fn render(&self, name: &str, data: &Value) -> Option<Option<Content>> {
        let Content { subject, html, text } = self.stored.get(name)?;
        let mut registry = Handlebars::new();
        // Not to be strict would leave blanks; SES leaves none.
        registry.set_strict_mode(true);
        registry.register_escape_fn(no_escape);
        let part = |source: &str| registry.render_template(source, data).ok();
        let all = (part(subject), part(html), part(text));
        let (Some(subject), Some(html), Some(text)) = all else { return Some(None) };
        Some(Some(Content { subject, html, text }))
    }

    fn answer(&mut self, method: &Method, name: &str, query: &str, body: &[u8]) -> Answer {
        let said = || serde_json::from_slice::<Body>(body);
        let missing = |name: &str| Err((404, "NotFoundException", format!("no template {name}")));
        match (method, name) {
            (&Method::GET, "") => Ok(self.list(query)),
            (&Method::GET, name) => match self.stored.get(name) {
                None => missing(name),
                Some(Content { subject, html, text }) => Ok(json!({
                    "TemplateName": name,
                    "TemplateContent": { "Subject": subject, "Html": html, "Text": text },
                })),
            },
            (&Method::POST, "") => match said() {
                Err(error) => Err((400, "SerializationException", error.to_string())),
                Ok(Body { template_name, .. }) if self.stored.contains_key(&template_name) => {
                    Err((400, "AlreadyExistsException", format!("{template_name} is there")))
                }
                Ok(Body { template_name, template_content }) => {
                    self.stored.insert(template_name, template_content);
                    Ok(json!({}))
                }
            },
            (&Method::PUT, name) => match (said(), self.stored.get_mut(name)) {
                (_, None) => missing(name),
                (Err(error), _) => Err((400, "SerializationException", error.to_string())),
                (Ok(body), Some(stored)) => {
                    *stored = body.template_content;
                    Ok(json!({}))
                }
            },
            (&Method::DELETE, name) => {
                self.stored.remove(name);
                Ok(json!({}))
            }
            (method, name) => {
                let message = format!("no such operation: {method} {PATH}/{name}");
                Err((404, "UnknownOperationException", message))
            }
        }
    }

    /// A page of the list. Its token is the last name of the page before.
    fn list(&self, query: &str) -> Value {
        let of = |key: &str| {
            let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.find(|(name, _)| *name == key).map(|(_, value)| value)
        };
        let size = of("PageSize").and_then(|size| size.parse().ok()).unwrap_or(PAGE_MAX);
        let after = of("NextToken").unwrap_or_default();
        let mut rest = self.stored.keys().filter(|name| name.as_str() > after);
        let page: Vec<&String> = rest.by_ref().take(size.clamp(1, PAGE_MAX)).collect();
        let next = rest.next().and(page.last());
        let each = page.iter().map(|name| json!({ "TemplateName": name, "CreatedTimestamp": 0 }));
        json!({ "TemplatesMetadata": each.collect::<Value>(), "NextToken": next })
    }
}

type Answer = Result<Value, (u16, &'static str, String)>;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Body {
    #[serde(default)]
    template_name: String,
    template_content: Content,
}

/// Answers a call about templates.
pub(super) async fn handle(
    request: Request<Incoming>,
    shared: &Shared,
) -> Result<Response<Payload>, Cut> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
    let name = head.uri.path().trim_start_matches(PATH).trim_start_matches('/');
    if head.method == Method::GET
        && !name.is_empty()
        && let Some(denied) = setup::denied(shared, "GetEmailTemplate")
    {
        return Ok(denied);
    }
    let query = head.uri.query().unwrap_or_default();
    let answer = shared.change(|state| {
        let said = serde_json::from_slice::<Body>(&body).map(|body| body.template_name);
        let named = if name.is_empty() { said.unwrap_or_default() } else { name.to_owned() };
        let call = format!("{} {named}", head.method).trim_end().to_owned();
        state.templates.calls.push(call);
        state.templates.answer(&head.method, name, query, &body)
    });
    Ok(match answer {
        Ok(body) => answer::json(200, &body),
        Err((status, kind, message)) => answer::error(status, kind, &message),
    })
}

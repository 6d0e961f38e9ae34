//! What arrives: a SendBulkEmail request, read into what the tests want to know.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use hyper::body::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::templates;

/// A call as it arrived, and what became of it.
#[derive(Debug, Clone)]
pub struct Call {
    /// Counted from 1, in the order of arrival.
    pub number: usize,
    /// When it had been read.
    pub at: Instant,
    /// `FromEmailAddress`.
    pub from: String,
    /// `ConfigurationSetName`.
    pub config_set: Option<String>,
    /// `DefaultContent.Template.TemplateName`.
    pub template: String,
    /// One per recipient.
    pub entries: Arc<[Entry]>,
    /// The headers, by lower-case name.
    pub headers: Arc<BTreeMap<String, String>>,
    /// The indices of the entries that were accepted.
    pub accepted: Vec<usize>,
    /// The HTTP status of the answer; `None` as long as, or because, there was none.
    pub answered: Option<u16>,
    raw: Bytes,
}

/// A recipient of a call.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The first address of `ToAddresses`.
    pub to: String,
    /// The template data: the default's, with the replacement's laid over it key by key. `None` if
    /// one of them is not a JSON object.
    pub data: Option<Arc<Value>>,
    /// `DefaultEmailTags`, with `ReplacementTags` laid over them.
    pub tags: Arc<BTreeMap<String, String>>,
}

/// A mail that the double has accepted.
#[derive(Debug, Clone)]
pub struct AcceptedMail {
    /// The recipient's address.
    pub to: String,
    /// The template's name.
    pub template: String,
    /// The template data: the default's, with the replacement's laid over it key by key.
    pub data: Arc<Value>,
    /// The tags: the default's, with the replacement's laid over them.
    pub tags: Arc<BTreeMap<String, String>>,
    /// The configuration set.
    pub config_set: Option<String>,
    /// The sender's address.
    pub from: String,
    /// The number of the call it came in.
    pub call: usize,
    /// When it was accepted.
    pub at: Instant,
    /// What the answer called it.
    pub message_id: String,
    /// What its recipient reads, if the template is stored in the double.
    pub rendered: Option<templates::Content>,
}

impl AcceptedMail {
    /// A text of its template data; empty if there is none of that name.
    pub fn text(&self, key: &str) -> &str {
        self.data[key].as_str().unwrap_or_default()
    }

    /// `text("secret")`: what tells one mail from all others.
    pub fn secret(&self) -> &str {
        self.text("secret")
    }
}

impl Call {
    /// Whether there is an entry to this address.
    pub fn has(&self, address: &str) -> bool {
        self.entries.iter().any(|entry| entry.to == address)
    }

    /// The request's body as it was sent; `Null` if it was not read.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.raw).unwrap_or_default()
    }

    /// A call that was cut before it was read.
    pub(super) fn unread(headers: BTreeMap<String, String>) -> Call {
        Call {
            number: 0,
            at: Instant::now(),
            from: String::new(),
            config_set: None,
            template: String::new(),
            entries: Arc::new([]),
            headers: Arc::new(headers),
            accepted: Vec::new(),
            answered: None,
            raw: Bytes::new(),
        }
    }

    pub(super) fn read(headers: BTreeMap<String, String>, raw: Bytes) -> anyhow::Result<Call> {
        let request: Request = serde_json::from_slice(&raw).context("not SendBulkEmail")?;
        let default = request.default_content.template;
        let default_data = object(default.template_data.as_deref());
        let entries = request.bulk_email_entries.iter().map(|entry| Entry {
            to: entry.destination.to_addresses.first().cloned().unwrap_or_default(),
            data: entry.data(default_data.as_ref()).map(Arc::new),
            tags: Arc::new(
                request
                    .default_email_tags
                    .iter()
                    .chain(&entry.replacement_tags)
                    .map(|tag| (tag.name.clone(), tag.value.clone()))
                    .collect(),
            ),
        });
        let entries = entries.collect();
        Ok(Call {
            from: request.from_email_address.unwrap_or_default(),
            config_set: request.configuration_set_name,
            template: default.template_name.unwrap_or_default(),
            entries,
            raw: raw.clone(),
            ..Call::unread(headers)
        })
    }
}

/// SES takes template data as a string that holds a JSON object.
fn object(text: Option<&str>) -> Option<Map<String, Value>> {
    text.map_or_else(|| Some(Map::new()), |text| serde_json::from_str(text).ok())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    from_email_address: Option<String>,
    configuration_set_name: Option<String>,
    #[serde(default)]
    default_email_tags: Vec<Tag>,
    default_content: Content,
    bulk_email_entries: Vec<RequestEntry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Content {
    template: Template,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Template {
    template_name: Option<String>,
    template_data: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RequestEntry {
    destination: Destination,
    replacement_email_content: Option<Replacement>,
    #[serde(default)]
    replacement_tags: Vec<Tag>,
}

impl RequestEntry {
    fn data(&self, default: Option<&Map<String, Value>>) -> Option<Value> {
        let template = self.replacement_email_content.as_ref();
        let template = template.and_then(|content| content.replacement_template.as_ref());
        let own = template.and_then(|template| template.replacement_template_data.as_deref());
        let mut data = default?.clone();
        data.extend(object(own)?);
        Some(Value::Object(data))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Destination {
    #[serde(default)]
    to_addresses: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Replacement {
    replacement_template: Option<ReplacementTemplate>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ReplacementTemplate {
    replacement_template_data: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Tag {
    name: String,
    value: String,
}

//! The request: `SendBulkEmail` and its entries.

use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::operation::send_bulk_email::builders::SendBulkEmailFluentBuilder;
use aws_sdk_sesv2::types::{
    BulkEmailContent, BulkEmailEntry, Destination, MessageTag, ReplacementEmailContent,
    ReplacementTemplate, Template,
};
use mailroom::ActionNumber;

use super::SesSettings;
use crate::transport::Mail;
use crate::transport::address::recipient;

/// Longest template data, in characters (an SES limit).
const DATA_CHARS_MAX: usize = 262_144;

/// The tag an event of the provider carries back: the delivery's id.
const TAG_DELIVERY: &str = "delivery";

/// Likewise: the action's number.
const TAG_ACTION: &str = "action";

/// The entry of one mail, filled with `data`, or why it can have none.
pub(super) fn entry(
    action: ActionNumber,
    mail: &Mail,
    data: String,
) -> Result<BulkEmailEntry, String> {
    let to = recipient(&mail.email)?;
    if data.chars().count() > DATA_CHARS_MAX {
        return Err(format!("the template data is longer than {DATA_CHARS_MAX} characters"));
    }
    let replacement = ReplacementTemplate::builder().replacement_template_data(data).build();
    let content = ReplacementEmailContent::builder().replacement_template(replacement).build();
    let mut entry = BulkEmailEntry::builder()
        .destination(Destination::builder().to_addresses(to).build())
        .replacement_email_content(content)
        .replacement_tags(tag(TAG_ACTION, action.get())?);
    if let Some(delivery) = mail.delivery {
        entry = entry.replacement_tags(tag(TAG_DELIVERY, delivery)?);
    }
    Ok(entry.build())
}

/// The request that carries `entries`.
pub(super) fn request(
    client: &Client,
    settings: &SesSettings,
    template: &str,
    entries: Vec<BulkEmailEntry>,
) -> SendBulkEmailFluentBuilder {
    // Each entry's data is merged over the default data, key by key: there is nothing to inherit.
    let template = Template::builder().template_name(template).template_data("{}").build();
    client
        .send_bulk_email()
        .from_email_address(&settings.source)
        .set_reply_to_addresses(settings.reply_to.clone().map(|address| vec![address]))
        .set_configuration_set_name(settings.config_set.clone().filter(|name| !name.is_empty()))
        .default_content(BulkEmailContent::builder().template(template).build())
        .set_bulk_email_entries(Some(entries))
}

fn tag(name: &str, value: impl ToString) -> Result<MessageTag, String> {
    MessageTag::builder()
        .name(name)
        .value(value.to_string())
        .build()
        .map_err(|error| error.to_string())
}

//! Amazon SES: region and credentials, what the account may do, and whether what mail names is there.

use std::time::{Instant, SystemTime};

use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::operation::get_account::GetAccountOutput;
use sender::config::Config;
use sender::transport::ses::TimeOuts;
use sender::transport::ses::tools::{AnsweredAt, Failure, client, named_region};

use super::finding::{Finding, Report};
use super::server::clock;
use super::stored;
use super::transport::{Way, writable};

/// Share of the day's quota from which on it is worth a word.
const QUOTA_NOTED: f64 = 0.9;

/// Looks at all of it.
///
/// # Errors
/// When the reader of stdout is gone.
pub async fn look(
    way: &Way<'_>,
    settings: &Config,
    report: &mut Report<'_, '_>,
) -> anyhow::Result<()> {
    let client = Box::pin(client(TimeOuts::default())).await;
    report.say([Box::pin(region(&client)).await])?;
    let (usable, findings) = Box::pin(account(&client)).await;
    report.say(findings)?;
    // A failed write there is noted and no mail waits for it.
    let output = writable("SES answers", "MAILROOM_SES_OUTPUT_PATH", &settings.ses_output_path);
    if !output.remedy.is_empty() {
        report.say([Finding::warning("SES answers", output.detail, output.remedy)])?;
    }
    if !usable {
        let detail = "SES cannot be asked";
        return report.say([Finding::skipped("SES identity and templates", detail, "")]);
    }
    report.say([Box::pin(identity(&client, settings)).await])?;
    if let Some(set) = &settings.ses_config_set {
        report.say([Box::pin(configuration_set(&client, set)).await])?;
    }
    Box::pin(stored::look(way, settings, report)).await
}

async fn region(client: &Client) -> Finding {
    const CHECK: &str = "SES region";
    let used = client.config().region().map(ToString::to_string).unwrap_or_default();
    match named_region().await {
        Some(_) => Finding::ok(CHECK, used),
        None => Finding::warning(
            CHECK,
            format!("none is named, so it is {used}"),
            "AWS_REGION=the region where identity and templates are",
        ),
    }
}

/// Asks for the account; whether SES can be asked anything.
async fn account(client: &Client) -> (bool, Vec<Finding>) {
    const CHECK: &str = "SES account";
    let (asked, from) = (SystemTime::now(), Instant::now());
    let answered = AnsweredAt::default();
    let call = client.get_account().customize().interceptor(answered.clone()).send();
    let account = Box::pin(call).await;
    let mut findings = Vec::new();
    if let Some(seconds) = answered.seconds() {
        // Its clock is told in whole seconds, rounded down.
        findings.push(clock("SES clock", seconds as f64 + 0.5, "SES", asked, from.elapsed()));
    }
    match account.map_err(|error| Failure::new(&error)) {
        Ok(account) => {
            findings.extend(allowed(&account));
            (true, findings)
        }
        Err(failure) if failure.is_denied => {
            findings.push(denied(CHECK, "ses:GetAccount"));
            (true, findings)
        }
        Err(failure) if failure.is_transient => {
            let remedy = "are there credentials (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a \
                          profile, a role), and can this machine reach SES? A proxy, a firewall, \
                          AWS_ENDPOINT_URL";
            findings.push(Finding::away(CHECK, failure.reason, remedy));
            (false, findings)
        }
        Err(failure) => {
            let remedy = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the profile or the role; \
                          and the clock, which signatures depend on";
            findings.push(Finding::wrong(CHECK, failure.reason, remedy));
            (false, findings)
        }
    }
}

fn denied(check: &str, right: &str) -> Finding {
    let detail = format!("these credentials may not ask: {right} is denied");
    Finding::skipped(check, detail, format!("allow {right} to have it looked at"))
}

fn allowed(account: &GetAccountOutput) -> Vec<Finding> {
    const CHECK: &str = "SES account";
    let mut findings = Vec::new();
    if !account.production_access_enabled() {
        findings.push(Finding::warning(
            CHECK,
            "it is in the sandbox: mail goes only to verified addresses, and to 200 a day",
            "ask for production access: SES console, Account dashboard",
        ));
    }
    match account.enforcement_status() {
        Some("SHUTDOWN") => findings.push(Finding::wrong(
            CHECK,
            "AWS has shut its sending down",
            "see the case in the AWS Support Center",
        )),
        Some("PROBATION") => findings.push(Finding::warning(
            CHECK,
            "it is under review for bounces or complaints",
            "see the case in the AWS Support Center, and mend the cause",
        )),
        _ => {}
    }
    if !account.sending_enabled() {
        findings.push(Finding::wrong(
            CHECK,
            "sending is paused",
            "aws sesv2 put-account-sending-attributes --sending-enabled",
        ));
    }
    let quota = account.send_quota();
    let (sent, most) = quota.map_or((0.0, -1.0), |q| (q.sent_last24_hours(), q.max24_hour_send()));
    // -1: no limit.
    if most >= 0.0 && sent >= most * QUOTA_NOTED {
        let detail = format!("{sent:.0} of {most:.0} mails of its day are sent");
        let remedy = "wait, or ask for a higher quota: Service Quotas, Amazon SES";
        findings.push(if sent >= most {
            Finding::away(CHECK, detail, remedy)
        } else {
            Finding::warning(CHECK, detail, remedy)
        });
    }
    if findings.is_empty() {
        let rate = quota.map_or(0.0, |quota| quota.max_send_rate());
        findings.push(Finding::ok(CHECK, format!("it may send {rate:.0} mails a second")));
    }
    findings
}

/// Whether SES lets mail come from where it is said to: its address, its domain, or one above that.
async fn identity(client: &Client, settings: &Config) -> Finding {
    const CHECK: &str = "SES identity";
    let address = settings.origin.from.email.to_string();
    let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain).to_owned();
    let above = domain.match_indices('.').map(|(dot, _)| domain[dot + 1..].to_owned());
    let above = above.filter(|domain| domain.contains('.'));
    let mut unverified = None;
    for name in [address, domain.clone()].into_iter().chain(above) {
        let call = client.get_email_identity().email_identity(&name).send();
        match Box::pin(call).await.map_err(|error| Failure::new(&error)) {
            Ok(identity) if identity.verified_for_sending_status() => {
                return Finding::ok(CHECK, format!("{name} is verified"));
            }
            Ok(_) => unverified = unverified.or(Some(name)),
            Err(failure) if failure.is_missing => {}
            Err(failure) if failure.is_denied => return denied(CHECK, "ses:GetEmailIdentity"),
            Err(failure) => return Finding::away(CHECK, failure.reason, "try again"),
        }
    }
    match unverified {
        Some(name) => Finding::wrong(
            CHECK,
            format!("{name} is not verified yet"),
            "publish the DNS records, or open the link, that SES asks for: SES console, Identities",
        ),
        None => Finding::wrong(
            CHECK,
            format!(
                "neither the address of MAILROOM_SES_SOURCE nor {domain} is an identity in this region"
            ),
            format!("aws sesv2 create-email-identity --email-identity {domain}, or set AWS_REGION"),
        ),
    }
}

async fn configuration_set(client: &Client, set: &str) -> Finding {
    const CHECK: &str = "SES configuration set";
    let call = client.get_configuration_set().configuration_set_name(set).send();
    match Box::pin(call).await.map_err(|error| Failure::new(&error)) {
        Ok(found) if found.sending_options().is_some_and(|options| !options.sending_enabled()) => {
            Finding::wrong(
                CHECK,
                format!("sending is paused for {set}"),
                format!(
                    "aws sesv2 put-configuration-set-sending-options --configuration-set-name {set} \
                     --sending-enabled"
                ),
            )
        }
        Ok(_) => Finding::ok(CHECK, format!("{set} is there")),
        Err(failure) if failure.is_missing => Finding::wrong(
            CHECK,
            format!("there is no {set} in this region"),
            "MAILROOM_SES_CONFIG_SET=none, or the name of one that is there, or create it",
        ),
        Err(failure) if failure.is_denied => denied(CHECK, "ses:GetConfigurationSet"),
        Err(failure) => Finding::away(CHECK, failure.reason, "try again"),
    }
}

//! The one table of what SES's statuses and codes mean. A status of an entry (`MESSAGE_REJECTED`)
//! and the code of a call (`MessageRejectedException`) name the same trouble, so both are looked up
//! here. The tests are `classify`'s.

/// What a status or code means, for the mail it is about.
pub(super) enum Meaning {
    Accepted,
    /// Not sent; try again.
    Retry,
    /// Not sent; try again more slowly, or in minutes.
    Throttled {
        late: bool,
    },
    /// Not sent, for good.
    Permanent,
    /// May have been sent.
    Ambiguous,
    /// Not sent; our settings or our account are at fault, or paused.
    Configuration {
        hold: bool,
    },
    /// Not sent; the credentials have expired.
    Expired,
    /// Not sent; our clock is wrong.
    Clock,
}

/// The meaning of a status or code, with the text beside it, if it is known. `source` is the
/// sender's address.
pub(super) fn meaning(code: &str, text: &str, source: &str) -> Option<Meaning> {
    let says = |words: &[&str]| words.iter().all(|word| contains(text, word));
    let key = key(code);
    Some(match key.as_str() {
        "success" => Meaning::Accepted,
        "transientfailure" => Meaning::Retry,
        "accountthrottled" | "toomanyrequests" | "throttling" | "requestthrottled" => {
            Meaning::Throttled { late: says(&["daily"]) }
        }
        "accountdailyquotaexceeded" | "limitexceeded" => Meaning::Throttled { late: true },
        "failed" => Meaning::Ambiguous,
        "messagerejected"
        | "invalidparameter"
        | "invalidparametervalue"
        | "badrequest"
        | "validation" => {
            // Some troubles of the whole account are told in words only.
            if unverified(text, source)
                || says(&["template", "not exist"])
                || says(&["configuration set", "not exist"])
            {
                Meaning::Configuration { hold: false }
            } else if says(&["sending paused"]) {
                Meaning::Configuration { hold: true }
            } else {
                Meaning::Permanent
            }
        }
        "mailfromdomainnotverified"
        | "configurationsetnotfound"
        | "configurationsetdoesnotexist"
        | "templatenotfound"
        | "templatedoesnotexist"
        | "invalidsendingpoolname"
        | "accountsuspended"
        | "notfound"
        | "accessdenied"
        | "unrecognizedclient"
        | "invalidclienttokenid"
        | "missingauthenticationtoken"
        | "incompletesignature"
        | "optinrequired" => Meaning::Configuration { hold: false },
        "accountsendingpaused" | "configurationsetsendingpaused" | "sendingpaused" => {
            Meaning::Configuration { hold: true }
        }
        "requesttimetooskewed" => Meaning::Clock,
        "invalidsignature" | "signaturedoesnotmatch" => {
            if says(&["signature expired"]) || says(&["signature not yet current"]) {
                Meaning::Clock
            } else {
                Meaning::Configuration { hold: false }
            }
        }
        "expiredtoken" | "requestexpired" => Meaning::Expired,
        "internalfailure" | "internalservererror" | "serviceunavailable" => Meaning::Ambiguous,
        _ => return None,
    })
}

/// One spelling for `MESSAGE_REJECTED`, `MessageRejected` and `MessageRejectedException`.
fn key(code: &str) -> String {
    let mut key: String =
        code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    if let Some(length) = key.strip_suffix("exception").map(str::len) {
        key.truncate(length);
    }
    key
}

fn contains(text: &str, word: &str) -> bool {
    text.to_ascii_lowercase().contains(word)
}

/// The provider does not know *our* address ("Email address is not verified. The following
/// identities failed the check in region …"). If it names only the recipient's, the account is in
/// the sandbox, and the refusal is for that one mail.
fn unverified(text: &str, source: &str) -> bool {
    let source = source.rsplit_once('<').map_or(source, |(_, address)| address);
    let source = source.trim_end_matches('>').trim();
    contains(text, "not verified")
        && text
            .split(|c: char| c.is_whitespace() || c == ',' || c == '<' || c == '>')
            .any(|word| word.trim_end_matches('.').eq_ignore_ascii_case(source))
}

//! What the transport is told, and the SDK's client made from it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use aws_config::environment::region::EnvironmentVariableRegionProvider;
use aws_config::imds;
use aws_config::imds::region::ImdsRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::config::StalledStreamProtectionConfig;
use aws_sdk_sesv2::config::retry::RetryConfig;
use aws_sdk_sesv2::config::timeout::TimeoutConfig;
use aws_sdk_sesv2::config::{Builder, IdentityCache, Region, SharedHttpClient};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

use crate::template::Templates;
use crate::transport::address::recipient;

/// The region when the environment names none.
const REGION: &str = "us-east-1";

/// How long the machine's metadata service may take to name the region.
const METADATA_TIMEOUT: Duration = Duration::from_secs(1);

/// SES closes idle connections, and a request that meets the closing fails ambiguously.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(15);

/// One call at a time needs one connection; a few more cost nothing.
const POOL_IDLE_MAX: usize = 2;

/// How the SES transport sends.
#[derive(Clone, Debug)]
pub struct SesSettings {
    /// The configuration set; `None` or empty: none.
    pub config_set: Option<String>,
    /// The sender's address, with or without a display name.
    pub source: String,
    /// Where error responses are kept.
    pub output: PathBuf,
    /// The stored templates' names.
    pub templates: Templates,
    /// Where answers go.
    pub reply_to: Option<String>,
    /// How long things may take.
    pub time_outs: TimeOuts,
}

/// Whether mail can come from `source`: an address, or a name and an address in angle brackets. SES
/// would refuse every mail for one that is neither, each as if the fault were its own.
///
/// # Errors
/// What is wrong with it, and the remedy.
pub fn check_source(source: &str) -> Result<(), String> {
    let address = match source.rsplit_once('<') {
        Some((_, address)) => address.strip_suffix('>').unwrap_or_default(),
        None => source,
    };
    if !source.is_ascii() {
        return Err(format!("{source:?} is not ASCII; encode the name (RFC 2047)"));
    }
    if source.contains(|c: char| c.is_control()) || recipient(address).is_err() {
        return Err(format!(
            "{source:?} is not an address; give name@example.com or Name <name@example.com>"
        ));
    }
    Ok(())
}

impl SesSettings {
    pub(super) fn check(&self) -> anyhow::Result<()> {
        check_source(&self.source).map_err(|error| anyhow!("source: {error}"))
    }
}

/// How long the parts of one call may take.
#[derive(Clone, Copy, Debug)]
pub struct TimeOuts {
    /// Until connected: DNS, TCP and TLS.
    pub connect: Duration,
    /// Until the answer begins.
    pub read: Duration,
    /// Until the answer is complete, credentials included.
    pub operation: Duration,
}

impl Default for TimeOuts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            read: Duration::from_secs(15),
            operation: Duration::from_secs(20),
        }
    }
}

/// The HTTP client all of the SDK shares.
pub(super) fn http_client() -> SharedHttpClient {
    let mut builder = aws_smithy_http_client::Builder::new().pool_idle_timeout(POOL_IDLE_TIMEOUT);
    builder.set_pool_max_idle_per_host(Some(POOL_IDLE_MAX));
    builder.tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
}

/// What the environment, the profile files and the machine say. The metadata service is asked for
/// the region only when the environment and the profile name none, and is not waited for.
pub(super) async fn from_environment(http: &SharedHttpClient, region: Option<Region>) -> SdkConfig {
    let region = match region {
        Some(region) => region,
        None => find_region(http).await.unwrap_or(Region::from_static(REGION)),
    };
    aws_config::defaults(BehaviorVersion::latest())
        .region(region)
        .http_client(http.clone())
        .load()
        .await
}

/// What the environment, the profile or the machine names.
pub(super) async fn find_region(http: &SharedHttpClient) -> Option<Region> {
    let config = ProviderConfig::without_region().with_http_client(http.clone());
    let metadata = imds::Client::builder()
        .configure(&config)
        .max_attempts(1)
        .connect_timeout(METADATA_TIMEOUT)
        .read_timeout(METADATA_TIMEOUT)
        .operation_timeout(METADATA_TIMEOUT)
        .build();
    RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::builder().configure(&config).build())
        .or_else(ImdsRegionProvider::builder().configure(&config).imds_client(metadata).build())
        .region()
        .await
        .filter(|region| !region.as_ref().is_empty())
}

/// The client, with no credentials cached. It never retries by itself: a call whose answer was cut
/// off may have been accepted, and each repeat would be a duplicate.
pub(super) fn client(config: &SdkConfig, http: &SharedHttpClient, time_outs: TimeOuts) -> Client {
    let time_outs = TimeoutConfig::builder()
        .connect_timeout(time_outs.connect)
        .read_timeout(time_outs.read)
        .operation_timeout(time_outs.operation)
        .operation_attempt_timeout(time_outs.operation)
        .build();
    let config = Builder::from(config)
        .http_client(http.clone())
        .retry_config(RetryConfig::disabled())
        .timeout_config(time_outs)
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .identity_cache(IdentityCache::lazy().build())
        .build();
    Client::from_conf(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_an_address_with_or_without_a_name() {
        let check = |source: &str| {
            let settings = SesSettings {
                config_set: None,
                source: source.to_owned(),
                output: PathBuf::new(),
                templates: Templates::default(),
                reply_to: None,
                time_outs: TimeOuts::default(),
            };
            settings.check().is_ok()
        };
        for source in
            ["noreply@localhost", "Mail <noreply@example.com>", "\"Doe, J\" <noreply@example.com>"]
        {
            assert!(check(source), "{source}");
        }
        for source in [
            "",
            "noreply",
            "Mail <noreply@example.com",
            "a@example.com, b@example.com",
            "Zoë <noreply@example.com>",
            "a@example.com\r\nBcc: b@example.com",
            "x\r\nBcc: b@example.com\r\n <a@example.com>",
        ] {
            assert!(!check(source), "{source}");
        }
    }
}

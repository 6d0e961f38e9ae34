//! What the transport takes from its environment. A process cannot safely change its own, so each
//! test runs its body in a child: this test binary again, with only that test.

use std::process::Command;

use sender::transport::Transport;
use sender::transport::ses::Ses;

use crate::harness::{activations, classes, settings};
use crate::server::{Reply, Server};

/// Set in the child.
const CHILD: &str = "TRANSPORT_TEST_CHILD";

/// Sends one mail as the environment says and prints its class.
#[tokio::test]
async fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let output = tempfile::tempdir().unwrap();
    let ses = Ses::connect(settings(&output)).await.unwrap();
    let outcomes = ses.send(&activations(&["a@example.org"]), &|| true).await;
    println!("class={}", classes(&outcomes)[0]);
}

/// Runs the child with nothing of AWS in its environment but `variables`.
fn class_in_child(variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "environment::child", "--nocapture"]).env_clear().env(CHILD, "1");
    command.env("HOME", "/nonexistent").env("AWS_EC2_METADATA_DISABLED", "true");
    command.envs(variables.iter().copied());
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let class = text.lines().find_map(|line| line.split_once("class=").map(|(_, class)| class));
    class.unwrap_or_else(|| panic!("{text} {}", String::from_utf8_lossy(&output.stderr))).to_owned()
}

const KEYS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "key"), ("AWS_SECRET_ACCESS_KEY", "secret")];

#[test]
fn the_endpoint_is_the_environments_and_the_region_has_a_default() {
    for (name, region, expected) in [
        ("AWS_ENDPOINT_URL", None, "us-east-1"),
        ("AWS_ENDPOINT_URL", Some(("AWS_REGION", "")), "us-east-1"),
        ("AWS_ENDPOINT_URL", Some(("AWS_REGION", "eu-west-1")), "eu-west-1"),
        ("AWS_ENDPOINT_URL_SESV2", Some(("AWS_DEFAULT_REGION", "eu-north-1")), "eu-north-1"),
    ] {
        let server = Server::start(Reply::accept);
        let variables: Vec<_> =
            KEYS.into_iter().chain([(name, server.url.as_str())]).chain(region).collect();
        assert_eq!(class_in_child(&variables), "sent", "{variables:?}");
        let authorization = server.requests()[0].authorization.clone();
        assert!(authorization.contains(&format!("/{expected}/ses/")), "{authorization}");
    }
}

#[test]
fn the_environment_cannot_make_the_sdk_retry() {
    let server = Server::start(|_| Reply::Cut(Vec::new()));
    let variables = [
        ("AWS_ENDPOINT_URL", server.url.as_str()),
        ("AWS_MAX_ATTEMPTS", "5"),
        ("AWS_RETRY_MODE", "adaptive"),
        KEYS[0],
        KEYS[1],
    ];
    assert_eq!(class_in_child(&variables), "ambiguous");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn no_credentials_anywhere_is_our_configuration() {
    let server = Server::start(Reply::accept);
    assert_eq!(class_in_child(&[("AWS_ENDPOINT_URL", server.url.as_str())]), "misconfigured");
    assert!(server.requests().is_empty());
}

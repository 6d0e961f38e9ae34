//! What each relay is told, in its own language.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::{Context, bail};

use super::{Onward, Software};
use crate::certificates::Certificate;

/// The services of Postfix that a relay needs, none of them in a chroot.
const POSTFIX_SERVICES: &str = "\
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
";

/// The program, as it stays in the foreground and logs to its output.
pub(super) fn command(software: Software) -> &'static [&'static str] {
    match software {
        Software::Postfix => &["postfix", "start-fg"],
        // By its whole path: it starts itself again.
        Software::OpenSmtpd => &["/usr/sbin/smtpd", "-d", "-f", "/etc/opensmtpd/smtpd.conf"],
    }
}

/// Makes the directory `place` that is copied into `/etc`. The relay greets with its `name`.
pub(super) fn write(
    place: &Path,
    software: Software,
    name: &str,
    addr: SocketAddr,
    onward: Onward,
    certificate: Option<&Certificate>,
) -> anyhow::Result<()> {
    fs::create_dir(place).with_context(|| format!("create {}", place.display()))?;
    if let Some(certificate) = certificate {
        write_file(place, "relay.pem", 0o644, &certificate.pem)?;
        write_file(place, "relay.key", 0o600, &certificate.key)?;
    }
    match software {
        Software::Postfix => {
            let services = format!("{addr} inet n - n - - smtpd\n{POSTFIX_SERVICES}");
            write_file(place, "master.cf", 0o644, &services)?;
            write_file(place, "main.cf", 0o644, &postfix(name, onward, certificate.is_some()))
        }
        Software::OpenSmtpd => {
            let Onward::To(next) = onward else { bail!("OpenSMTPD cannot throw mail away") };
            write_file(
                place,
                "smtpd.conf",
                0o644,
                &opensmtpd(name, addr, next, certificate.is_some()),
            )
        }
    }
}

fn postfix(name: &str, onward: Onward, encrypts: bool) -> String {
    let onward = match onward {
        Onward::To(next) => format!("relayhost = [{}]:{}\n", next.ip(), next.port()),
        Onward::Discard => "default_transport = discard\nrelay_transport = discard\n".to_owned(),
    };
    let tls = if encrypts {
        "smtpd_tls_security_level = may\n\
         smtpd_tls_cert_file = /etc/postfix/relay.pem\n\
         smtpd_tls_key_file = /etc/postfix/relay.key\n"
    } else {
        ""
    };
    format!(
        "compatibility_level = 3.6\n\
         maillog_file = /dev/stdout\n\
         myhostname = {name}\n\
         mydestination =\n\
         alias_maps =\n\
         local_recipient_maps =\n\
         inet_interfaces = 127.0.0.1\n\
         inet_protocols = ipv4\n\
         mynetworks = 127.0.0.0/8\n\
         smtpd_relay_restrictions = permit_mynetworks, reject\n\
         disable_dns_lookups = yes\n\
         {onward}{tls}"
    )
}

fn opensmtpd(name: &str, addr: SocketAddr, next: SocketAddr, encrypts: bool) -> String {
    let (pki, tls) = if encrypts {
        let pki = "pki localhost cert \"/etc/opensmtpd/relay.pem\"\n\
                   pki localhost key \"/etc/opensmtpd/relay.key\"\n";
        (pki, " tls pki localhost")
    } else {
        ("", "")
    };
    format!(
        "{pki}listen on {} port {}{tls} hostname {name}\n\
         action \"onward\" relay host \"smtp://{next}\"\n\
         match from any for any action \"onward\"\n",
        addr.ip(),
        addr.port()
    )
}

fn write_file(place: &Path, name: &str, mode: u32, text: &str) -> anyhow::Result<()> {
    let path = place.join(name);
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("write {}", path.display()))
}

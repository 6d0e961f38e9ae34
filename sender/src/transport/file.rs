//! Every mail a file: `<id>.eml`, as a relay would have been given it. The id is the same for every
//! attempt to send a token, so a second attempt writes the same file again.
//!
//! A file counts as accepted when it is on the disk under its name. It holds an address and a token,
//! so only its owner may read it. Logs no events.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::message::{Message, Origin};
use super::{Call, Mail, Outcome, SendRate, Transport};
use crate::compose::Composer;

/// As with SES, so that calls look alike.
const MAILS_PER_CALL_MAX: usize = 50;

/// Fifty files on a slow disk.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);

/// The transport to files.
#[derive(Debug)]
pub struct Files {
    folder: PathBuf,
    origin: Origin,
    composer: Composer,
}

impl Files {
    /// A transport into `folder`, which is made if need be.
    ///
    /// # Errors
    /// If there can be no such folder.
    pub fn into_folder(folder: &Path, origin: Origin, composer: Composer) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).map_err(|error| {
            anyhow::anyhow!("MAILROOM_FILE_PATH: {}: {error}", folder.display())
        })?;
        Ok(Self { folder: folder.to_owned(), origin, composer })
    }

    fn send_one(&self, call: &Call, mail: &Mail) -> Outcome {
        let letter = match self.composer.letter(call, mail) {
            Ok(letter) => letter,
            Err(outcome) => return outcome,
        };
        let message = match Message::new(&self.origin, mail, &letter) {
            Ok(message) => message,
            Err(reason) => return Outcome::Rejected { reason },
        };
        match self.write(&message) {
            Ok(name) => Outcome::Sent { provider_id: name },
            Err(error) => Outcome::Deferred { reason: format!("write a file: {error}") },
        }
    }

    fn write(&self, message: &Message) -> io::Result<String> {
        let name = format!("{}.eml", message.id);
        let unfinished = self.folder.join(format!(".{name}"));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&unfinished)?;
        file.write_all(message.bytes.as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, self.folder.join(&name))?;
        File::open(&self.folder)?.sync_all()?;
        Ok(name)
    }
}

impl Transport for Files {
    fn name(&self) -> &'static str {
        "file"
    }

    fn mails_per_call_max(&self) -> usize {
        MAILS_PER_CALL_MAX
    }

    fn call_timeout(&self) -> Duration {
        CALL_TIMEOUT
    }

    async fn send_rate(&self) -> SendRate {
        SendRate::Unknown
    }

    async fn send(&self, call: &Call, go: &dyn Fn() -> bool) -> Vec<Outcome> {
        let each = call.mails.iter().map(|mail| {
            if go() {
                self.send_one(call, mail)
            } else {
                Outcome::Untried { reason: "held back".to_owned() }
            }
        });
        each.collect()
    }
}

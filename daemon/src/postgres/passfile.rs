//! The password file, `~/.pgpass`: lines of `host:port:database:user:password`.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A larger file is not read to its end.
const PASSFILE_BYTES_MAX: u64 = 1024 * 1024;

/// The password in the file at `path` for this connection. `hosts` are the names the server goes by.
/// A file that is missing has none; one that others can read is passed over with a warning.
pub(super) fn password(
    path: &Path,
    hosts: &[&str],
    port: u16,
    dbname: &str,
    user: &str,
) -> Option<String> {
    let text = match read(path) {
        Ok(text) => text?,
        Err(reason) => {
            tracing::warn!(file = %path.display(), reason, "passfile_ignored");
            return None;
        }
    };
    find(&text, hosts, port, dbname, user)
}

fn read(path: &Path) -> Result<Option<String>, String> {
    let Ok(meta) = std::fs::metadata(path) else { return Ok(None) };
    if !meta.is_file() {
        return Err("is not a plain file".to_owned());
    }
    if meta.mode() & 0o077 != 0 {
        return Err("group or others can use it; its mode should be 0600 or less".to_owned());
    }
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.take(PASSFILE_BYTES_MAX).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

fn find(text: &str, hosts: &[&str], port: u16, dbname: &str, user: &str) -> Option<String> {
    let port = port.to_string();
    text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut rest = line.trim_end_matches('\r');
        for wanted in [hosts, &[&port], &[dbname], &[user]] {
            let (field, after) = field(rest);
            if !(rest.starts_with("*:") || wanted.contains(&field.as_str())) {
                return None;
            }
            rest = after?;
        }
        Some(field(rest).0).filter(|password| !password.is_empty())
    })
}

/// The text up to the next colon, its backslashes resolved, and what comes after that colon.
fn field(text: &str) -> (String, Option<&str>) {
    let mut field = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            ':' => return (field, Some(&text[at + 1..])),
            '\\' => field.push(chars.next().map_or('\\', |(_, escaped)| escaped)),
            c => field.push(c),
        }
    }
    (field, None)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use proptest::prelude::*;

    use super::*;

    const FILE: &str = r"# host:port:database:user:password
db:5432:mail:me:first

other:*:*:me:not:this part
db:*:mail:me:second
\*:5432:mail:me:star
a\:\:1:5432:mail:me:co\:lon\\
*:*:*:you:windows
*:*:*:*:";

    fn found(host: &str, port: u16, user: &str) -> Option<String> {
        find(&FILE.replace("windows", "windows\r"), &[host], port, "mail", user)
    }

    #[test]
    fn the_first_line_that_matches_counts() {
        assert_eq!(found("db", 5432, "me").as_deref(), Some("first"));
        assert_eq!(found("db", 5433, "me").as_deref(), Some("second"));
        assert_eq!(found("other", 1, "me").as_deref(), Some("not"));
        assert_eq!(found("*", 5432, "me").as_deref(), Some("star"));
        assert_eq!(found("a::1", 5432, "me").as_deref(), Some(r"co:lon\"));
        assert_eq!(found("x", 1, "you").as_deref(), Some("windows"));
        assert_eq!(found("x", 1, "nobody"), None);
    }

    #[test]
    fn a_server_may_go_by_several_names() {
        let hosts = ["/run/pg", "localhost"];
        assert_eq!(find("localhost:1:d:u:p", &hosts, 1, "d", "u").as_deref(), Some("p"));
        assert_eq!(find("/run/pg:1:d:u:p", &hosts, 1, "d", "u").as_deref(), Some("p"));
    }

    #[test]
    fn a_file_that_others_can_read_is_passed_over() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("pgpass");
        let ask = |path: &Path| password(path, &["db"], 5432, "mail", "me");
        assert_eq!(ask(&path), None);
        std::fs::write(&path, FILE).expect("write");
        for (mode, expected) in [(0o640, None), (0o604, None), (0o600, Some("first".to_owned()))] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("chmod");
            assert_eq!(ask(&path), expected);
        }
        assert_eq!(ask(dir.path()), None);
    }

    proptest! {
        #[test]
        fn never_panics(text in any::<String>(), lines in "[a*:\\\\\n#]*") {
            find(&text, &["a"], 5432, "a", "a");
            find(&lines, &["a"], 5432, "a", "a");
        }
    }
}

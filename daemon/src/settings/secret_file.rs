//! A secret kept in a file, as container platforms mount them.

use std::fs::File;
use std::io::Read;

/// A larger file is not a secret but a mistake.
const SECRET_FILE_BYTES_MAX: u64 = 64 * 1024;

/// The text in the file at `path`, without one line break at its end.
///
/// # Errors
/// Why the file will not do, in words that say nothing of its contents.
pub(super) fn read(path: &str) -> Result<String, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    file.take(SECRET_FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > SECRET_FILE_BYTES_MAX {
        return Err(format!("is larger than {SECRET_FILE_BYTES_MAX} bytes"));
    }
    let mut text = String::from_utf8(bytes).map_err(|_| "is not UTF-8 text".to_owned())?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() { Err("is empty".to_owned()) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_back(bytes: &[u8]) -> Result<String, String> {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("secret");
        std::fs::write(&path, bytes).expect("write");
        read(path.to_str().expect("UTF-8"))
    }

    #[test]
    fn one_line_break_at_the_end_is_not_part_of_the_secret() {
        assert_eq!(read_back(b"hush"), Ok("hush".to_owned()));
        assert_eq!(read_back(b"hush\n"), Ok("hush".to_owned()));
        assert_eq!(read_back(b"hush\r\n"), Ok("hush".to_owned()));
        assert_eq!(read_back(b" hush \n\n"), Ok(" hush \n".to_owned()));
    }

    #[test]
    fn what_cannot_be_a_secret_is_refused() {
        assert_eq!(read_back(b""), Err("is empty".to_owned()));
        assert_eq!(read_back(b"\n"), Err("is empty".to_owned()));
        assert_eq!(read_back(b"\xff"), Err("is not UTF-8 text".to_owned()));
        assert_eq!(read("/"), Err("Is a directory (os error 21)".to_owned()));
        assert_eq!(read("/dev/zero"), Err("is larger than 65536 bytes".to_owned()));
    }
}

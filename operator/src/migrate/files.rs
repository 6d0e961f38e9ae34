//! The migrations this program carries: the files of `/migrations` as they were when it was built.

/// A migration.
#[derive(Debug, Clone, Copy)]
pub(super) struct Migration {
    /// Its number.
    pub(super) version: i64,
    /// Its name, without the number.
    pub(super) name: &'static str,
    /// Applies it.
    pub(super) up: File,
    /// Takes it back.
    pub(super) down: File,
}

/// A file of SQL.
#[derive(Debug, Clone, Copy)]
pub(super) struct File {
    /// Its name in `/migrations`.
    pub(super) name: &'static str,
    /// What is in it.
    pub(super) text: &'static str,
}

/// All of them, the lowest number first.
pub(super) const ALL: &[Migration] = include!(concat!(env!("OUT_DIR"), "/migrations.rs"));

impl File {
    /// Whether it takes effect as a whole or not at all: one transaction from beginning to end.
    pub(super) fn is_one_transaction(&self) -> bool {
        let statements = || self.text.lines().map(str::trim);
        let count = |word: &str| statements().filter(|&line| line == word).count();
        let last = statements().rfind(|line| !line.is_empty() && !line.starts_with("--"));
        count("BEGIN;") == 1 && count("COMMIT;") == 1 && last == Some("COMMIT;")
    }

    /// What its first paragraph of comment says it does.
    pub(super) fn promise(&self) -> String {
        let comment = self.text.lines().map_while(|line| line.strip_prefix("--"));
        let paragraph: Vec<&str> = comment.map(str::trim).take_while(|l| !l.is_empty()).collect();
        paragraph.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;

    use super::*;

    #[test]
    fn what_is_embedded_is_what_is_in_the_folder() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations");
        let mut there = BTreeMap::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if name.ends_with(".sql") {
                there.insert(name, fs::read_to_string(path).unwrap());
            }
        }
        let files = ALL.iter().flat_map(|migration| [migration.up, migration.down]);
        let embedded: BTreeMap<String, String> =
            files.map(|file| (file.name.to_owned(), file.text.to_owned())).collect();
        assert_eq!(embedded, there);
        assert!(ALL.is_sorted_by(|a, b| a.version < b.version));
        assert_eq!(ALL.first().map(|first| (first.version, first.name)), Some((0, "init")));
    }

    #[test]
    fn every_file_says_what_it_does() {
        for file in ALL.iter().flat_map(|migration| [migration.up, migration.down]) {
            assert!(!file.promise().is_empty(), "{}", file.name);
        }
    }

    #[test]
    fn one_transaction_is_told_from_two_and_from_none() {
        let is_one = |text| File { name: "", text }.is_one_transaction();
        assert!(is_one("-- Why.\nBEGIN;\nDROP TABLE a;\nCOMMIT;\n"));
        assert!(!is_one("BEGIN;\nDROP TABLE a;\nCOMMIT;\nBEGIN;\nDROP TABLE b;\nCOMMIT;\n"));
        assert!(!is_one("BEGIN;\nDROP TABLE a;\nCOMMIT;\nDROP TABLE b;\n"));
        assert!(!is_one("CREATE INDEX CONCURRENTLY i ON a (b);\n"));
    }

    #[test]
    fn a_promise_is_one_paragraph_on_one_line() {
        let text = "-- Back to nothing.\n-- Or less.\n--\n-- More.\nBEGIN;\n";
        assert_eq!(File { name: "", text }.promise(), "Back to nothing. Or less.");
        assert_eq!(File { name: "", text: "BEGIN;\n-- No.\n" }.promise(), "");
    }
}

//! Names of migration files, by golang-migrate's rules: `^([0-9]+)_(.*)\.(down|up)\.(.*)$`, in the order
//! of their numbers. Also part of the build script, which embeds what is found here.

use std::collections::BTreeMap;

/// A migration and the names of its two files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pair {
    /// Its number.
    pub(crate) version: i64,
    /// What stands between the number and the direction.
    pub(crate) name: String,
    /// The file that applies it.
    pub(crate) up: String,
    /// The file that takes it back.
    pub(crate) down: String,
}

/// Up and down: the name and the file's.
type Sides<'a> = [Option<(&'a str, &'a String)>; 2];

/// Finds the migrations among the names of files; what is not named like one is passed over.
///
/// # Errors
/// When two files have the same number and direction, when one of a pair is missing, which
/// golang-migrate would take for one that does nothing, or when a number is beyond bigint.
pub(crate) fn pairs(files: &[String]) -> Result<Vec<Pair>, String> {
    let mut sides: BTreeMap<i64, Sides<'_>> = BTreeMap::new();
    for file in files {
        let Some((digits, name, down)) = parse(file) else { continue };
        let version = digits.parse().map_err(|_| format!("{file}: the number is too large"))?;
        let side = &mut sides.entry(version).or_default()[usize::from(down)];
        if let Some((_, other)) = side.replace((name, file)) {
            return Err(format!("{other} and {file} have the same number"));
        }
    }
    let pair = |(version, sides): (i64, Sides<'_>)| match sides {
        [Some((name, up)), Some((_, down))] => {
            Ok(Pair { version, name: String::from(name), up: up.clone(), down: down.clone() })
        }
        [Some((_, file)), None] => Err(format!("{file}: there is no .down file")),
        [None, Some((_, file))] => Err(format!("{file}: there is no .up file")),
        [None, None] => Err(format!("{version}: no file")),
    };
    sides.into_iter().map(pair).collect()
}

/// The number, the name, and whether it goes down.
fn parse(file: &str) -> Option<(&str, &str, bool)> {
    let (digits, rest) = file.split_once('_')?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // The expression is greedy: the last direction in the name counts.
    let (up, down) = (rest.rfind(".up."), rest.rfind(".down."));
    let at = up.max(down)?;
    Some((digits, rest.get(..at)?, down > up))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[&str]) -> Result<Vec<(i64, String)>, String> {
        let files: Vec<String> = files.iter().map(|&file| file.to_owned()).collect();
        Ok(pairs(&files)?.into_iter().map(|pair| (pair.version, pair.name)).collect())
    }

    #[test]
    fn numbers_are_numbers_and_zero_is_one() {
        let files = ["10_b.up.sql", "10_b.down.sql", "9_a.down.sql", "9_a.up.sql"];
        let zero = ["0_init.up.sql", "0_init.down.sql", "README.md", "x_1.up.sql", "_a.up.sql"];
        let all = [files.as_slice(), zero.as_slice()].concat();
        let expected = [(0, "init"), (9, "a"), (10, "b")];
        assert_eq!(found(&all).unwrap(), expected.map(|(n, name)| (n, name.to_owned())));
    }

    #[test]
    fn the_last_direction_in_a_name_counts() {
        let both = found(&["0012_a.up.b.down.sql", "12_c_d..up.pg.sql"]).unwrap();
        assert_eq!(both, [(12, "c_d.".to_owned())]);
    }

    #[test]
    fn a_number_used_twice_is_an_error() {
        let error = found(&["1_a.up.sql", "01_b.up.sql", "1_a.down.sql"]).unwrap_err();
        assert_eq!(error, "1_a.up.sql and 01_b.up.sql have the same number");
    }

    #[test]
    fn half_a_pair_is_an_error() {
        let error = found(&["1_a.up.sql"]).unwrap_err();
        assert_eq!(error, "1_a.up.sql: there is no .down file");
        let error = found(&["1_a.down.sql"]).unwrap_err();
        assert_eq!(error, "1_a.down.sql: there is no .up file");
    }

    #[test]
    fn a_number_that_the_table_cannot_hold_is_an_error() {
        let error = found(&["9223372036854775808_a.up.sql"]).unwrap_err();
        assert_eq!(error, "9223372036854775808_a.up.sql: the number is too large");
    }
}

//! Where the two halves are.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use daemon::exit::{Exit, ExitExt as _};

/// The programs of the halves. Looked for once: when one is replaced, a restart takes the new one.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) own: PathBuf,
    pub(super) collector: PathBuf,
    pub(super) sender: PathBuf,
}

impl Programs {
    /// As given; else beside our own program; else on PATH.
    ///
    /// # Errors
    /// With [`Exit::Config`], when one is nowhere to be found.
    pub(super) fn find(
        collector: Option<PathBuf>,
        sender: Option<PathBuf>,
    ) -> anyhow::Result<Self> {
        let own = std::env::current_exe().context("ask for the path of this program")?;
        let beside = own.parent().unwrap_or(Path::new(""));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let find = |name, given| find(name, given, beside, &path).exit(Exit::Config);
        let collector = find("collector", collector)?;
        let sender = find("sender", sender)?;
        Ok(Self { own, collector, sender })
    }
}

fn find(
    name: &str,
    given: Option<PathBuf>,
    beside: &Path,
    path: &OsStr,
) -> anyhow::Result<PathBuf> {
    if let Some(given) = given {
        let program = std::path::absolute(&given).context("look for the current directory")?;
        let remedy = || anyhow!("{}: there is no such program; see --{name}", given.display());
        return is_program(&program).then_some(program).ok_or_else(remedy);
    }
    std::iter::once(beside.to_owned())
        .chain(std::env::split_paths(path).filter(|directory| directory.is_absolute()))
        .map(|directory| directory.join(name))
        .find(|program| is_program(program))
        .with_context(|| {
            let beside = beside.display();
            format!("{name}: no such program in {beside} or on PATH; say --{name} PATH")
        })
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    fn directory(file: &str, mode: u32) -> TempDir {
        let directory = TempDir::new().unwrap();
        let file = directory.path().join(file);
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        directory
    }

    fn found(given: Option<PathBuf>, beside: &TempDir, path: &[&Path]) -> Result<PathBuf, String> {
        let path = std::env::join_paths(path).unwrap();
        find("sender", given, beside.path(), &path).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_beside_comes_before_what_is_on_the_path_and_what_is_said_before_both() {
        let [here, there] = [0, 1].map(|_| directory("sender", 0o755));
        let elsewhere = directory("sender-2", 0o755);
        let empty = TempDir::new().unwrap();
        let on_path = [Path::new("relative"), empty.path(), there.path()];
        assert_eq!(found(None, &here, &on_path), Ok(here.path().join("sender")));
        assert_eq!(found(None, &empty, &on_path), Ok(there.path().join("sender")));
        let given = elsewhere.path().join("sender-2");
        assert_eq!(found(Some(given.clone()), &here, &on_path), Ok(given));
    }

    #[test]
    fn what_cannot_be_run_is_passed_over_or_named_with_the_remedy() {
        let data = directory("sender", 0o644);
        let text = found(None, &data, &[data.path()]).unwrap_err();
        let expected = format!(
            "sender: no such program in {} or on PATH; say --sender PATH",
            data.path().display()
        );
        assert_eq!(text, expected);
        let given = data.path().join("sender");
        let text = found(Some(given.clone()), &data, &[]).unwrap_err();
        assert_eq!(text, format!("{}: there is no such program; see --sender", given.display()));
    }
}

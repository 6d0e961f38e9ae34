//! Looking for many texts at once.

use std::collections::{BTreeMap, HashSet};

/// Shorter texts may stand in a log by chance.
pub(crate) const NEEDLE_BYTES_MIN: usize = 6;

/// Texts to be found. Where the first bytes of none of them are, there is nothing to compare.
#[derive(Debug, Default)]
pub(crate) struct Needles {
    starts: HashSet<[u8; NEEDLE_BYTES_MIN]>,
    by_length: BTreeMap<usize, HashSet<Vec<u8>>>,
}

impl Needles {
    pub(crate) fn new(texts: impl IntoIterator<Item = String>) -> Needles {
        let mut needles = Needles::default();
        for text in texts {
            let Some(start) = text.as_bytes().first_chunk() else { continue };
            needles.starts.insert(*start);
            needles.by_length.entry(text.len()).or_default().insert(text.into_bytes());
        }
        needles
    }

    /// The first of them in `hay`.
    pub(crate) fn first_in(&self, hay: &str) -> Option<String> {
        let hay = hay.as_bytes();
        let ends = hay.len().saturating_sub(NEEDLE_BYTES_MIN - 1);
        let mut places = (0..ends).map(|at| &hay[at..]);
        places.find_map(|rest| {
            let start = rest.first_chunk()?;
            self.starts.contains(start).then(|| self.starting(rest)).flatten()
        })
    }

    fn starting(&self, rest: &[u8]) -> Option<String> {
        self.by_length.iter().find_map(|(&length, needles)| {
            let text = rest.get(..length)?;
            needles.contains(text).then(|| String::from_utf8_lossy(text).into_owned())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_found_wherever_it_stands() {
        let texts = ["ada@mail.example", "ada@mail.example.org", "lovelace", "löwe@zoo", "short"];
        let needles = Needles::new(texts.map(str::to_owned));
        for text in &texts[..4] {
            for hay in [text.to_string(), format!("x{text}"), format!("ada@mail ö {text}\"")] {
                let found = needles.first_in(&hay).unwrap_or_default();
                assert!(text.starts_with(&found) && !found.is_empty(), "{text}: {found}");
            }
        }
        for hay in ["", "ada@mail.exampl", "lovelac e", "short", "domain=mail.example", "ö"] {
            assert_eq!(needles.first_in(hay), None, "{hay}");
        }
        assert_eq!(Needles::default().first_in("anything at all"), None);
    }
}

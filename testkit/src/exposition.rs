//! A strict reader of Prometheus's text format 0.0.4, which knows nothing of who wrote it. Stricter than
//! Prometheus itself: what a scraper would overlook is an error here.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, bail, ensure};

/// Metrics that were read.
#[derive(Debug, Default)]
pub struct Exposition {
    families: BTreeMap<String, Family>,
}

/// The samples under one name.
#[derive(Debug)]
pub struct Family {
    /// counter, gauge or histogram.
    pub kind: String,
    /// In their order.
    pub samples: Vec<Sample>,
}

/// One line with a value.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// With `_bucket`, `_sum` or `_count` for those of a histogram.
    pub name: String,
    /// Unescaped.
    pub labels: BTreeMap<String, String>,
    /// May be infinite in theory.
    pub value: f64,
}

impl Exposition {
    /// Reads it.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and the line.
    pub fn parse(text: &str) -> anyhow::Result<Exposition> {
        ensure!(text.ends_with('\n'), "the last line has no end");
        let mut families: Vec<(String, Option<Family>)> = Vec::new();
        for line in text.trim_end_matches('\n').split('\n') {
            take(&mut families, line).with_context(|| format!("in the line {line:?}"))?;
        }
        let mut read = Exposition::default();
        for (name, family) in families {
            let family = family.with_context(|| format!("{name}: no TYPE"))?;
            check(&name, &family).with_context(|| name.clone())?;
            ensure!(read.families.insert(name.clone(), family).is_none(), "{name}: twice");
        }
        Ok(read)
    }

    /// The family of this name.
    pub fn family(&self, name: &str) -> Option<&Family> {
        self.families.get(name)
    }

    /// The value of the sample with exactly these labels.
    pub fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let mut samples = self.families.values().flat_map(|family| &family.samples);
        samples.find(|sample| sample.name == name && sample.labels == labels).map(|s| s.value)
    }

    /// The sum of all samples of this name, whatever their labels.
    pub fn sum(&self, name: &str) -> f64 {
        let samples = self.families.values().flat_map(|family| &family.samples);
        samples.filter(|sample| sample.name == name).map(|sample| sample.value).sum()
    }
}

/// HELP begins a family, TYPE follows, then its samples, and nothing of another one in between.
fn take(families: &mut Vec<(String, Option<Family>)>, line: &str) -> anyhow::Result<()> {
    if let Some(help) = line.strip_prefix("# HELP ") {
        let (name, words) = help.split_once(' ').context("no words")?;
        ensure!(is_name(name, true) && !words.trim().is_empty(), "no name, or no words");
        families.push((name.to_owned(), None));
        return Ok(());
    }
    let (family, typed) = families.last_mut().context("before any HELP")?;
    if let Some(kind) = line.strip_prefix("# TYPE ") {
        let (name, kind) = kind.split_once(' ').context("no type")?;
        ensure!(name == family, "the type of another family than {family}");
        ensure!(["counter", "gauge", "histogram"].contains(&kind), "an unknown type");
        ensure!(typed.is_none(), "a second type");
        *typed = Some(Family { kind: kind.to_owned(), samples: Vec::new() });
        return Ok(());
    }
    let typed = typed.as_mut().context("before its type")?;
    let sample = Sample::parse(line)?;
    let suffix = sample.name.strip_prefix(family.as_str()).context("of another family")?;
    let suffixes: &[&str] =
        if typed.kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
    ensure!(suffixes.contains(&suffix), "{suffix:?} does not belong to a {}", typed.kind);
    ensure!(
        typed.samples.iter().all(|s| s.name != sample.name || s.labels != sample.labels),
        "a second sample of this series"
    );
    typed.samples.push(sample);
    Ok(())
}

impl Sample {
    fn parse(line: &str) -> anyhow::Result<Sample> {
        let end = line.find(['{', ' ']).context("no value")?;
        let (name, mut rest) = line.split_at(end);
        ensure!(is_name(name, true), "not a name");
        let mut labels = BTreeMap::new();
        if let Some(mut inner) = rest.strip_prefix('{') {
            loop {
                let (label, after) = inner.split_once("=\"").context("a label without a value")?;
                ensure!(is_name(label, false), "{label:?} is not a label's name");
                let (value, after) = unescape(after)?;
                ensure!(labels.insert(label.to_owned(), value).is_none(), "{label} twice");
                match after.split_at_checked(1).context("the labels do not end")? {
                    (",", more) => inner = more,
                    ("}", more) => {
                        rest = more;
                        break;
                    }
                    _ => bail!("neither , nor }} after a label"),
                }
            }
        }
        let value = rest.strip_prefix(' ').context("no blank before the value")?;
        let value = match value {
            "+Inf" => f64::INFINITY,
            digits => {
                ensure!(digits.starts_with(|c: char| c.is_ascii_digit() || c == '-'), "no number");
                digits.parse().context("not a number")?
            }
        };
        Ok(Sample { name: name.to_owned(), labels, value })
    }
}

/// The text up to a quotation mark that is not escaped, and what comes after.
fn unescape(text: &str) -> anyhow::Result<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => value.push(match chars.next().map(|(_, c)| c) {
                Some('\\') => '\\',
                Some('"') => '"',
                Some('n') => '\n',
                other => bail!("{other:?} cannot be escaped"),
            }),
            c => value.push(c),
        }
    }
    bail!("a label's value does not end")
}

fn is_name(name: &str, colon: bool) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || c == '_' || (colon && c == ':');
    name.starts_with(|c: char| inner(c) && !c.is_ascii_digit()) && name.chars().all(inner)
}

fn check(name: &str, family: &Family) -> anyhow::Result<()> {
    ensure!(!family.samples.is_empty(), "no samples");
    match family.kind.as_str() {
        "counter" => {
            ensure!(name.ends_with("_total"), "a counter that does not end in _total");
            ensure!(
                family.samples.iter().all(|s| s.value >= 0.0 && s.value.is_finite()),
                "below 0"
            );
        }
        "histogram" => check_histogram(name, family)?,
        _ => ensure!(!name.ends_with("_total"), "not a counter, and ends in _total"),
    }
    Ok(())
}

fn check_histogram(name: &str, family: &Family) -> anyhow::Result<()> {
    let without_le = |sample: &Sample| {
        let mut labels = sample.labels.clone();
        labels.remove("le");
        labels
    };
    let series: BTreeSet<_> = family.samples.iter().map(without_le).collect();
    for labels in series {
        let of = |suffix: &str| {
            let name = format!("{name}{suffix}");
            family
                .samples
                .iter()
                .filter(|s| s.name == name && without_le(s) == labels)
                .collect::<Vec<_>>()
        };
        let (buckets, sums, counts) = (of("_bucket"), of("_sum"), of("_count"));
        let ([sum], [count]) = (&sums[..], &counts[..]) else { bail!("no sum, or no count") };
        ensure!(sum.value.is_finite() && !sum.labels.contains_key("le"), "its sum");
        let (mut bound, mut below) = (f64::NEG_INFINITY, 0.0);
        for bucket in buckets {
            let le = bucket.labels.get("le").context("a bucket without le")?;
            let le = if le == "+Inf" { f64::INFINITY } else { le.parse()? };
            ensure!(le > bound, "bounds that do not ascend");
            ensure!(bucket.value >= below, "counts that are not cumulative");
            (bound, below) = (le, bucket.value);
        }
        ensure!(bound == f64::INFINITY, "no bucket +Inf");
        ensure!(below == count.value, "+Inf is {below}, the count {}", count.value);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Exposition;

    const GOOD: &str = "\
# HELP a_total Of \\\\ things.
# TYPE a_total counter
a_total{x=\"b\\\"\\\\\\n}\",y=\"\"} 3
a_total 4
# HELP h Hist.
# TYPE h histogram
h_bucket{le=\"0.5\"} 1
h_bucket{le=\"+Inf\"} 2
h_sum 7.5
h_count 2
";

    #[test]
    fn values_are_found_by_their_labels() {
        let read = Exposition::parse(GOOD).expect("good");
        assert_eq!(read.value("a_total", &[("x", "b\"\\\n}"), ("y", "")]), Some(3.0));
        assert_eq!(read.value("a_total", &[]), Some(4.0));
        assert_eq!(read.value("h_count", &[]), Some(2.0));
        assert_eq!(read.sum("a_total"), 7.0);
        assert_eq!(read.family("h").expect("there").kind, "histogram");
    }

    #[test]
    fn every_fault_is_found() {
        for (good, bad) in [
            ("h_count 2\n", "h_count 2"),
            ("# TYPE a_total counter\n", ""),
            ("# TYPE a_total counter\n", "# TYPE a_total counter\n# TYPE a_total counter\n"),
            ("# TYPE a_total counter", "# TYPE a_total gauge"),
            ("# TYPE a_total counter", "# TYPE a_total number"),
            ("# HELP h Hist.\n", ""),
            ("a_total 4\n", "a_total 4\na_total 5\n"),
            ("a_total 4\n", "a_total -4\n"),
            ("a_total 4\n", "a_total NaN\n"),
            ("a_total 4\n", "a_total  4\n"),
            ("a_total 4\n", "\na_total 4\n"),
            ("a_total 4\n", "b_total 4\n"),
            ("a_total 4\n", "a_total{1x=\"\"} 4\n"),
            ("a_total 4\n", "a_total{x=\"\",x=\"\"} 4\n"),
            ("a_total 4\n", "a_total{x=\"\\t\"} 4\n"),
            ("le=\"0.5\"", "le=\"+Inf\""),
            ("le=\"0.5\"} 1", "le=\"0.5\"} 3"),
            ("h_bucket{le=\"+Inf\"} 2\n", ""),
            ("h_count 2", "h_count 3"),
            ("h_sum 7.5\n", ""),
            ("h_sum 7.5", "h_max 7.5"),
        ] {
            let text = GOOD.replacen(good, bad, 1);
            assert_ne!(text, GOOD);
            assert!(Exposition::parse(&text).is_err(), "{text}");
        }
    }
}

//! What was measured: a table for people, JSON for machines.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::stats::median;

/// One row of the benchmark.
#[derive(Debug, Default)]
pub(super) struct Section {
    pub(super) number: u8,
    pub(super) title: &'static str,
    pub(super) figures: Vec<Figure>,
    /// What was left out, and why, or has to be known.
    pub(super) notes: Vec<String>,
}

/// One thing that was measured, once a round.
#[derive(Debug, Clone)]
pub(super) struct Figure {
    pub(super) name: String,
    unit: &'static str,
    values: Vec<f64>,
    beside: Option<Beside>,
    aim: Option<Aim>,
}

/// The limit that a figure is compared with.
#[derive(Debug, Clone)]
struct Beside {
    limit: String,
    by: By,
    value: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum By {
    Ratio,
    Difference,
}

/// What is asked of the comparison, or of the figure where there is none.
#[derive(Debug, Clone, Copy)]
pub(super) enum Aim {
    AtLeast(f64),
    AtMost(f64),
    Below(f64),
    /// Zero, in every round: once is too often.
    Never,
}

impl Figure {
    pub(super) fn new(name: impl Into<String>, unit: &'static str, values: Vec<f64>) -> Figure {
        Figure { name: name.into(), unit, values, beside: None, aim: None }
    }

    /// The median of the rounds.
    pub(super) fn median(&self) -> f64 {
        median(&self.values)
    }

    /// As a part of `limit`: the median of the rounds' ratios, since what was measured in one round
    /// had the machine in the same mood; of the medians, if they have not as many rounds.
    pub(super) fn ratio_to(mut self, limit: &Figure) -> Figure {
        let value = if self.values.len() == limit.values.len() {
            let pairs = self.values.iter().zip(&limit.values);
            median(&pairs.map(|(own, limit)| own / limit).collect::<Vec<_>>())
        } else {
            self.median() / limit.median()
        };
        self.beside = Some(Beside { limit: limit.name.clone(), by: By::Ratio, value });
        self
    }

    /// By how much its median is more than that of `limit`.
    pub(super) fn more_than(mut self, limit: &Figure) -> Figure {
        let value = self.median() - limit.median();
        self.beside = Some(Beside { limit: limit.name.clone(), by: By::Difference, value });
        self
    }

    pub(super) fn aim(mut self, aim: Aim) -> Figure {
        self.aim = Some(aim);
        self
    }

    fn judged(&self) -> f64 {
        self.beside.as_ref().map_or_else(|| self.median(), |beside| beside.value)
    }

    fn is_met(&self) -> Option<bool> {
        let value = self.judged();
        self.aim.map(|aim| match aim {
            Aim::AtLeast(least) => value >= least,
            Aim::AtMost(most) => value <= most,
            Aim::Below(bound) => value < bound,
            Aim::Never => self.values.iter().all(|value| *value <= 0.0),
        })
    }

    fn columns(&self) -> [String; 6] {
        let least = self.values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = self.values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let range = match self.values.len() {
            0 | 1 => String::new(),
            _ => format!("{} – {}", rounded(least), rounded(most)),
        };
        let beside = self.beside.as_ref().map_or_else(String::new, |beside| match beside.by {
            By::Ratio => format!("{:.2} × {}", beside.value, beside.limit),
            By::Difference => format!("{:+.2} on {}", beside.value, beside.limit),
        });
        let aim = self.aim.zip(self.is_met()).map_or_else(String::new, |(aim, met)| {
            format!("{} {}", aim.words(), if met { "met" } else { "MISSED" })
        });
        let (name, unit) = (self.name.clone(), self.unit.to_owned());
        [name, rounded(self.median()), unit, range, beside, aim]
    }

    fn json(&self) -> Value {
        let beside = self.beside.as_ref().map(|beside| {
            let by = if beside.by == By::Ratio { "ratio" } else { "difference" };
            json!({ "limit": beside.limit, "by": by, "value": beside.value })
        });
        let aim = self.aim.map(|aim| json!({ "is": aim.words(), "met": self.is_met() }));
        json!({
            "name": self.name,
            "unit": self.unit,
            "median": self.median(),
            "values": self.values,
            "beside": beside,
            "aim": aim,
        })
    }
}

impl Aim {
    fn words(self) -> String {
        match self {
            Aim::AtLeast(least) => format!("≥ {least}"),
            Aim::AtMost(most) => format!("≤ {most}"),
            Aim::Below(bound) => format!("< {bound}"),
            Aim::Never => "never".to_owned(),
        }
    }
}

impl Section {
    pub(super) fn new(number: u8, title: &'static str) -> Section {
        Section { number, title, ..Section::default() }
    }

    pub(super) fn add(&mut self, figure: Figure) {
        self.figures.push(figure);
    }

    /// A figure, or another round of it.
    pub(super) fn add_round(&mut self, figure: Figure) {
        match self.figures.iter_mut().find(|known| known.name == figure.name) {
            Some(known) => known.values.extend(figure.values),
            None => self.figures.push(figure),
        }
    }

    pub(super) fn note(&mut self, words: impl Into<String>) {
        self.notes.push(words.into());
    }

    /// The table: what, the median of the rounds, from – to, beside its limit, the aim.
    pub(super) fn table(&self) -> String {
        let rows: Vec<[String; 6]> = self.figures.iter().map(Figure::columns).collect();
        let width = |at: usize| {
            let chars = rows.iter().filter_map(|row| row.get(at)).map(|text| text.chars().count());
            chars.max().unwrap_or_default()
        };
        let mut text = format!("\n{}. {}\n", self.number, self.title);
        for row in &rows {
            let [name, value, unit, range, beside, aim] = row;
            let line = format!(
                "  {name:<0$}  {value:>1$} {unit:<2$}  {range:<3$}  {beside:<4$}  {aim}",
                width(0),
                width(1),
                width(2),
                width(3),
                width(4)
            );
            // Writing to a string does not fail.
            _ = writeln!(text, "{}", line.trim_end());
        }
        for note in &self.notes {
            _ = writeln!(text, "  {note}");
        }
        text
    }

    pub(super) fn json(&self) -> Value {
        let figures: Vec<Value> = self.figures.iter().map(Figure::json).collect();
        json!({
            "row": self.number, "title": self.title, "figures": figures, "notes": self.notes,
        })
    }
}

/// Three digits that count, or all before the point.
fn rounded(value: f64) -> String {
    match value.abs() {
        large if large >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_judged_by_its_ratio_or_else_by_itself() {
        let limit = Figure::new("bare", "rows/s", vec![90.0, 100.0, 2000.0]);
        let ours = Figure::new("ours", "rows/s", vec![1.0, 85.0, 1730.0]).ratio_to(&limit);
        assert_eq!(ours.clone().aim(Aim::AtLeast(0.85)).is_met(), Some(true));
        assert_eq!(ours.aim(Aim::AtLeast(0.86)).is_met(), Some(false));
        let more = Figure::new("ours", "ms", vec![101.5]).more_than(&limit).aim(Aim::AtMost(1.0));
        assert_eq!(more.is_met(), Some(false));
        assert_eq!(limit.aim(Aim::Below(101.0)).is_met(), Some(true));
    }

    #[test]
    fn a_round_joins_the_figure_of_its_name_and_a_figure_stands_for_itself() {
        let mut section = Section::new(6, "Memory");
        for round in [0.0, 0.0, 1.0] {
            section.add_round(Figure::new("lost", "mails", vec![round]).aim(Aim::Never));
            section.add_round(Figure::new("grown", "MB", vec![round]).aim(Aim::AtMost(0.1)));
        }
        section.add(Figure::new("lost", "mails", vec![0.0]).aim(Aim::Never));
        let met: Vec<_> = section.figures.iter().map(Figure::is_met).collect();
        assert_eq!(
            met,
            [Some(false), Some(true), Some(true)],
            "a loss counts, whatever the median is"
        );
    }

    #[test]
    fn the_table_lines_up() {
        let mut section = Section::new(2, "Drain");
        let limit = Figure::new("bare claim loop", "rows/s", vec![50_000.0, 52_000.0, 51_000.0]);
        section.add(Figure::new("ours", "rows/s", vec![45_900.0]).ratio_to(&limit));
        section.add(limit);
        assert_eq!(
            section.table(),
            "\n2. Drain\n  \
             ours             45900 rows/s                 0.90 × bare claim loop\n  \
             bare claim loop  51000 rows/s  50000 – 52000\n"
        );
    }
}

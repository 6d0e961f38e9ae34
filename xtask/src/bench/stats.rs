//! Medians and percentiles. Pure.

/// The middle one; of an even number the lower of the two in the middle. 0 of none.
pub(super) fn median(values: &[f64]) -> f64 {
    percentile(values, 50.0)
}

/// The smallest value that so many of a hundred do not exceed (the nearest rank). 0 of none.
pub(super) fn percentile(values: &[f64], percent: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (percent / 100.0 * count(sorted.len())).ceil();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "within the length"
    )]
    let at = (rank as usize).clamp(1, sorted.len().max(1)) - 1;
    sorted.get(at).copied().unwrap_or_default()
}

/// The largest. 0 of none.
pub(super) fn largest(values: &[f64]) -> f64 {
    percentile(values, 100.0)
}

/// A number of things, to reckon with.
#[expect(clippy::cast_precision_loss, reason = "no count here comes near 2^53")]
pub(super) fn count(things: impl TryInto<u64>) -> f64 {
    things.try_into().map_or(f64::INFINITY, |things| things as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        assert_eq!([50.0, 99.0, 100.0].map(|p| percentile(&values, p)), [50.0, 99.0, 100.0]);
        assert_eq!(median(&[5.0, 1.0, 4.0, 2.0, 3.0]), 3.0);
        assert_eq!(percentile(&[7.0], 99.0), 7.0);
        assert_eq!(median(&[]), 0.0);
    }
}

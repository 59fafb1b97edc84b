//! The middle one of several runs.

/// Returns the middle one; of an even number, the upper.
pub(super) fn median(figures: &[f64]) -> f64 {
    let mut figures = figures.to_vec();
    figures.sort_unstable_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or_default()
}

/// Returns the ratios of figures that were taken in turn, so that a slow minute of the machine is in both.
pub(super) fn ratios(ours: &[f64], others: &[f64]) -> Vec<f64> {
    ours.iter().zip(others).map(|(ours, other)| ours / other).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_ratios_is_not_the_ratio_of_medians() {
        let (ours, others) = ([1.0, 4.0, 9.0], [2.0, 4.0, 3.0]);
        assert_eq!(median(&ratios(&ours, &others)), 1.0);
        assert_eq!(median(&ours) / median(&others), 4.0 / 3.0);
        assert_eq!(median(&[]), 0.0);
    }
}

/// The middle of what was measured, or the mean of the two in the middle.
pub(crate) fn median(mut measured: Vec<f64>) -> f64 {
    measured.sort_by(f64::total_cmp);
    let middle = measured.len() / 2;
    match measured.as_slice() {
        [] => f64::NAN,
        sorted if sorted.len() % 2 == 1 => sorted[middle],
        sorted => (sorted[middle - 1] + sorted[middle]) / 2.0,
    }
}

/// A number with three digits after the point; `null` if there is none.
pub(crate) fn short(value: f64) -> String {
    if value.is_finite() { format!("{}", (value * 1_000.0).round() / 1_000.0) } else { "null".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two() {
        assert_eq!(short(median(vec![3.0, 1.0, 2.0])), "2");
        assert_eq!(short(median(vec![4.0, 1.0, 2.0, 3.0])), "2.5");
        assert_eq!(short(median(vec![])), "null");
        assert_eq!(short(1.234_56), "1.235");
    }
}

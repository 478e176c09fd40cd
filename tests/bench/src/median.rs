use serde_json::Value;

/// The median of what was measured, with three digits after the point; all of it is printed for whoever watches.
pub(crate) fn median(mut measured: Vec<f64>) -> Value {
    let rounded: Vec<_> = measured.iter().map(|value| format!("{value:.3}")).collect();
    eprintln!("    {}", rounded.join(" "));
    measured.sort_by(f64::total_cmp);
    let middle = measured.len() / 2;
    let median = match measured.as_slice() {
        [] => return Value::Null,
        sorted if sorted.len() % 2 == 1 => sorted[middle],
        sorted => (sorted[middle - 1] + sorted[middle]) / 2.0,
    };
    Value::from((median * 1_000.0).round() / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Value::from(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Value::from(2.5));
        assert_eq!(median(vec![]), Value::Null);
    }
}

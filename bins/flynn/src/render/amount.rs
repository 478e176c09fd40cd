/// Bytes in the largest unit that divides them, as `limits set` reads them.
pub(crate) fn bytes(amount: u64) -> String {
    let units: [(&str, u32); 4] = [("T", 40), ("G", 30), ("M", 20), ("K", 10)];
    match units.iter().find(|(_, shift)| amount > 0 && amount.is_multiple_of(1 << shift)) {
        Some((unit, shift)) => format!("{}{unit}", amount >> shift),
        None => amount.to_string(),
    }
}

/// Thousandths of a core, as `limits set` reads them.
pub(crate) fn cpu(millis: u64) -> String {
    if millis > 0 && millis.is_multiple_of(1_000) { (millis / 1_000).to_string() } else { format!("{millis}m") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_short_and_exact() {
        assert_eq!([0, 1_500, 512 << 20, 3 << 30].map(bytes), ["0", "1500", "512M", "3G"]);
        assert_eq!([0, 500, 1_000, 1_500].map(cpu), ["0m", "500m", "1", "1500m"]);
    }
}

//! Certificates of hosts.

use std::time::Duration;

use flynn_core::Timestamp;
use flynn_core::api::Certificate;

use super::{Cell, Table, day};
use crate::output::Tone;

/// A certificate that ends this soon should have been renewed.
const SOON: Duration = Duration::from_secs(14 * 86_400);

pub(crate) fn certificates(certificates: &[Certificate], now: Timestamp) -> Table {
    let mut table = Table::new(
        &["ID", "HOSTS", "UNTIL", "ISSUER"],
        "This app has no certificate. Add one with `flynn certs add CHAIN KEY`.",
    );
    for certificate in certificates {
        let id = Cell::toned(certificate.id.to_string(), Tone::Faint);
        let issuer = certificate.issuer.clone().unwrap_or_default();
        table.row([id, certificate.hosts.join(" ").into(), until(certificate, now), issuer.into()]);
    }
    table
}

fn until(certificate: &Certificate, now: Timestamp) -> Cell {
    match certificate.not_after {
        Some(end) if end.0 <= now => Cell::toned(format!("{} (expired)", day(end.0)), Tone::Bad),
        Some(end) if end.0 <= now + SOON => Cell::toned(day(end.0), Tone::Busy),
        Some(end) => day(end.0).into(),
        None => "".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Style;
    use crate::render::samples::{self, COLOUR, NOW};

    #[test]
    fn certificates_say_how_long_they_last() {
        let soon = NOW + Duration::from_secs(86_400);
        let later = NOW + Duration::from_secs(90 * 86_400);
        let all = [
            samples::certificate(&["a.example", "*.b.example"], Some(later)),
            samples::certificate(&["c.example"], Some(soon)),
            samples::certificate(&["d.example"], Some(NOW)),
        ];
        let id = all[0].id;
        let table = certificates(&all, NOW);
        let plain = table.render(Style::PLAIN);
        let lines: Vec<_> = plain.lines().collect();
        assert_eq!(lines[0], format!("{id}\ta.example *.b.example\t{}\tCN=Authority", day(later)));
        assert_eq!(lines[2], format!("{id}\td.example\t{} (expired)\tCN=Authority", day(NOW)));
        assert!(table.render(COLOUR).contains(&format!("\u{1b}[33m{}\u{1b}[0m", day(soon))));
    }
}

use super::Cell;
use crate::output::Tone;

/// A state in the colour of what it means.
pub(crate) fn state(state: &str) -> Cell {
    let tone = match state {
        "up" | "done" | "succeeded" | "active" | "ready" | "open" | "proceed" => Tone::Good,
        "pending" | "assigned" | "starting" | "stopping" | "running" | "paused" | "draining" | "cordoned"
        | "destroying" | "suspect" | "unseen" => Tone::Busy,
        "failed" | "lost" | "rolling_back" | "cancelled" => Tone::Bad,
        _ => Tone::Plain,
    };
    Cell::toned(state.replace('_', " "), tone)
}

/// A digest or a commit as far as people tell them apart by.
pub(crate) fn short(text: &str) -> String {
    text.trim_start_matches("sha256:").chars().take(12).collect()
}

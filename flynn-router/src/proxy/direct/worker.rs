use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use flynn_core::Timestamp;
use tokio::time::{Instant, sleep};

use super::super::handler::Shared;
use super::super::town::Town;
use super::buffer::Buffers;
use super::lane::Owner;
use super::request::Field;

/// How often unused connections are looked at.
const SWEEP: Duration = Duration::from_secs(5);

/// What the connections of one listener share and no others: in a program with a thread for each core, nothing
/// in here is wanted by two threads at a time.
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) town: Arc<Town>,
    pub(super) buffers: Buffers,
    pub(super) owner: Arc<Owner>,
    /// Lists of fields that were used before.
    lists: Mutex<Vec<Vec<Field>>>,
    date: Mutex<Date>,
}

/// A second, and how it is written in a `Date` field.
#[derive(Default)]
struct Date {
    second: u64,
    text: [u8; DATE],
}

/// The length of a date in HTTP.
pub(super) const DATE: usize = 29;

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            town: Arc::default(),
            buffers: Buffers::default(),
            owner: Arc::default(),
            lists: Mutex::default(),
            date: Mutex::default(),
        }
    }

    /// Closes unused connections that their instances have closed, or that are old.
    pub(crate) async fn sweep(&self) {
        let longest = self.shared.settings.pool_time;
        if longest.is_zero() {
            return pending().await;
        }
        loop {
            sleep(SWEEP.min(longest)).await;
            self.owner.sweep(Instant::now(), longest);
        }
    }

    /// Closes all unused connections.
    pub(crate) fn close(&self) {
        self.owner.clear();
    }

    pub(super) fn fields(&self) -> Vec<Field> {
        self.lists.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    pub(super) fn give_fields(&self, fields: Vec<Field>) {
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        if lists.len() < 16 {
            lists.push(fields);
        }
    }

    /// The time as HTTP writes it (RFC 9110 §5.6.7).
    pub(super) fn date(&self, now: Timestamp) -> [u8; DATE] {
        let second = now.as_millis() / 1_000;
        let mut date = self.date.lock().unwrap_or_else(PoisonError::into_inner);
        if date.second != second || date.text == [0; DATE] {
            // Which the last second of the calendar of HTTP is does not matter to anybody.
            let latest = Duration::from_secs(second.min(253_402_300_799));
            let text = httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + latest);
            date.second = second;
            if let Ok(text) = text.as_bytes().try_into() {
                date.text = text;
            }
        }
        date.text
    }
}

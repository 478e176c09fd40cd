use std::fmt::Debug;
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(20);

/// Asks until the answer is there.
///
/// # Panics
/// It is not there in time; the message has what was said last.
pub fn eventually<T, E: Debug>(what: &str, limit: Duration, mut ask: impl FnMut() -> Result<T, E>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(why) if Instant::now() >= deadline => panic!("{what}: not within {limit:?}; at last: {why:?}"),
            Err(_) => std::thread::sleep(POLL),
        }
    }
}

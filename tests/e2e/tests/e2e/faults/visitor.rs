use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use flynn_instance::{Post, Record};
use flynn_rig::{Rig, get};

const PAUSE: Duration = Duration::from_millis(10);
/// How long a router that was killed may be away.
const AWAY: Duration = Duration::from_secs(20);

/// Somebody who asks the app for a page all the time.
pub(super) struct Visitor {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Visits>>,
}

/// What became of it.
#[derive(Debug, Default)]
pub(super) struct Visits {
    pub(super) answered: usize,
    /// What was wrong, whenever the app did not answer although its router lived.
    pub(super) failures: Vec<String>,
}

impl Visitor {
    pub(super) fn of(rig: &Rig, host: &'static str) -> Self {
        let (address, post) = (rig.router(), rig.layout().post("flynn-router"));
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        Self { stop, thread: Some(std::thread::spawn(move || visit(address, host, &post, &told))) }
    }

    /// Ends the visits.
    pub(super) fn leave(mut self) -> Visits {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}

fn router(post: &Path) -> Option<Record> {
    Post::holder(post).ok().flatten()
}

fn visit(address: SocketAddr, host: &str, post: &Path, stop: &AtomicBool) -> Visits {
    let mut visits = Visits::default();
    let mut serving = router(post);
    while !stop.load(Ordering::SeqCst) {
        match get(address, host, "/") {
            Ok(answer) if answer.status == 200 => visits.answered += 1,
            Ok(answer) => visits.failures.push(format!("{answer:?}")),
            Err(error) => {
                let gone = Instant::now();
                while get(address, host, "/").is_err() && gone.elapsed() < AWAY {
                    sleep(PAUSE);
                }
                let away = gone.elapsed();
                // One that was dead before and the one that came after it can both be gone when they are looked at.
                let has_lived = serving.is_some() && router(post) == serving;
                if away >= AWAY || has_lived {
                    visits.failures.push(format!("{error}, for {away:?}"));
                }
            }
        }
        serving = router(post);
        sleep(PAUSE);
    }
    visits
}

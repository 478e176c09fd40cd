use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use flynn_core::AppId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// How many requests git works for at a time, in all and for each app.
#[derive(Debug)]
pub(crate) struct Places {
    all: Arc<Semaphore>,
    per_app: usize,
    apps: Mutex<HashMap<AppId, Weak<Semaphore>>>,
    patience: Duration,
}

/// The right to have git work for a request, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _of_app: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Places {
    pub(crate) fn new(all: usize, per_app: usize, patience: Duration) -> Self {
        let within = |count: usize| count.min(Semaphore::MAX_PERMITS);
        let all = Arc::new(Semaphore::new(within(all)));
        Self { all, per_app: within(per_app), apps: Mutex::default(), patience }
    }

    /// Waits for a place; none if there is none in time.
    pub(crate) async fn take(&self, app: AppId) -> Option<Place> {
        let of_app = self.of_app(app);
        let waiting = async {
            // Who waits for others of the same app keeps no place from other apps.
            let of_app = of_app.acquire_owned().await.ok()?;
            let of_all = self.all.clone().acquire_owned().await.ok()?;
            Some(Place { _of_app: of_app, _of_all: of_all })
        };
        timeout(self.patience, waiting).await.ok().flatten()
    }

    fn of_app(&self, app: AppId) -> Arc<Semaphore> {
        let mut apps = self.apps.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = apps.get(&app).and_then(Weak::upgrade) {
            return known;
        }
        apps.retain(|_, places| places.strong_count() > 0);
        let places = Arc::new(Semaphore::new(self.per_app));
        apps.insert(app, Arc::downgrade(&places));
        places
    }
}

#[cfg(test)]
mod tests {
    use flynn_core::{Ids, Timestamp};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_app_has_its_share_and_all_have_theirs() {
        let places = Places::new(3, 2, Duration::from_secs(10));
        let mut ids = Ids::seeded(1);
        let [one, other]: [AppId; 2] = [ids.next(Timestamp::EPOCH), ids.next(Timestamp::EPOCH)];
        let (first, second) = (places.take(one).await.unwrap(), places.take(one).await.unwrap());
        assert!(places.take(one).await.is_none(), "a third of the same app");
        let third = places.take(other).await.unwrap();
        assert!(places.take(other).await.is_none(), "a fourth of all");
        let (waited, ()) = tokio::join!(places.take(other), async { drop(first) });
        let fourth = waited.expect("the place that became free");
        drop((second, third, fourth));
        let last = places.take(one).await.unwrap();
        assert_eq!(places.apps.lock().unwrap().len(), 1, "nothing is kept of apps without requests");
        drop(last);
    }
}

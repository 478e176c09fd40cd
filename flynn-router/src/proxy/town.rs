//! What all connections of a listener are told, and how they hear of it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use tokio::sync::watch;

/// What is called out to the connections of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Word {
    Serve,
    /// Other clients wait for a place.
    MakeRoom,
    Stop,
}

/// The connections of a listener, and what they are told.
#[derive(Debug)]
pub(crate) struct Town {
    word: watch::Sender<Word>,
    stopping: AtomicBool,
    crowds: AtomicU64,
    residents: Mutex<Residents>,
}

#[derive(Debug, Default)]
struct Residents {
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

/// A connection that is woken when something is called out.
#[derive(Debug)]
pub(crate) struct Resident {
    town: Arc<Town>,
    at: usize,
    waker: Option<Waker>,
}

impl Default for Town {
    fn default() -> Self {
        let word = watch::Sender::new(Word::Serve);
        Self { word, stopping: AtomicBool::default(), crowds: AtomicU64::default(), residents: Mutex::default() }
    }
}

impl Town {
    /// For a connection that awaits the next word.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Word> {
        self.word.subscribe()
    }

    /// For a connection that looks when it is woken.
    pub(crate) fn move_in(self: &Arc<Self>) -> Resident {
        let mut residents = self.residents();
        let at = residents.free.pop().unwrap_or_else(|| {
            residents.wakers.push(None);
            residents.wakers.len() - 1
        });
        drop(residents);
        Resident { town: self.clone(), at, waker: None }
    }

    /// Others wait for a place.
    pub(crate) fn make_room(&self) {
        self.word.send_if_modified(|word| {
            let is_heard = *word != Word::Stop;
            if is_heard {
                *word = Word::MakeRoom;
            }
            is_heard
        });
        self.crowds.fetch_add(1, Ordering::SeqCst);
        self.wake();
    }

    pub(crate) fn stop(&self) {
        self.word.send_replace(Word::Stop);
        self.stopping.store(true, Ordering::SeqCst);
        self.wake();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// How often others have had to wait.
    pub(crate) fn crowds(&self) -> u64 {
        self.crowds.load(Ordering::SeqCst)
    }

    fn wake(&self) {
        let wakers: Vec<Waker> = self.residents().wakers.iter().flatten().cloned().collect();
        wakers.into_iter().for_each(Waker::wake);
    }

    fn residents(&self) -> MutexGuard<'_, Residents> {
        self.residents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Resident {
    pub(crate) fn town(&self) -> &Town {
        &self.town
    }

    /// Wakes this task from here on. What was called out before has to be looked at afterwards.
    pub(crate) fn listen(&mut self, cx: &Context<'_>) {
        if self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            return;
        }
        if let Some(place) = self.town.residents().wakers.get_mut(self.at) {
            *place = Some(cx.waker().clone());
        }
        self.waker = Some(cx.waker().clone());
    }
}

impl Drop for Resident {
    fn drop(&mut self) {
        let mut residents = self.town.residents();
        let waker = residents.wakers.get_mut(self.at).and_then(Option::take);
        residents.free.push(self.at);
        // A waker may be the last to hold its task, which must not be dropped under the lock.
        drop(residents);
        drop(waker);
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;

    use super::*;

    #[tokio::test]
    async fn residents_hear_of_the_stop_and_leave_their_place_to_others() {
        let town = Arc::new(Town::default());
        let mut resident = town.move_in();
        let calling = town.clone();
        let called = tokio::spawn(async move {
            calling.stop();
            calling.make_room();
        });
        poll_fn(|cx| {
            resident.listen(cx);
            if resident.town().is_stopping() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        called.await.unwrap();
        assert_eq!((*town.subscribe().borrow(), town.crowds()), (Word::Stop, 1));
        let at = resident.at;
        drop(resident);
        assert_eq!(town.move_in().at, at);
        assert!(town.residents().wakers.iter().all(Option::is_none));
    }
}

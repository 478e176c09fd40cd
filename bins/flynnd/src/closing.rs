use tokio::sync::watch;

/// The end of service, as everything that serves sees it. Cloning shares it.
#[derive(Debug, Clone)]
pub(crate) struct Closing {
    begun: watch::Receiver<bool>,
}

impl Closing {
    /// Nobody closes yet; the sender closes by sending true.
    pub(crate) fn new() -> (watch::Sender<bool>, Self) {
        let (sender, begun) = watch::channel(false);
        (sender, Self { begun })
    }

    /// Returns when service ends.
    pub(crate) async fn begun(&self) {
        let mut begun = self.begun.clone();
        // Without a sender nobody is left to serve for.
        drop(begun.wait_for(|begun| *begun).await);
    }

    /// The same as a value to watch.
    pub(crate) fn watch(&self) -> watch::Receiver<bool> {
        self.begun.clone()
    }
}

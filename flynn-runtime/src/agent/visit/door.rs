use async_trait::async_trait;
use flynn_core::port::{Duplex, LinkError, LinkHandler, LinkRequest};
use tokio::sync::{mpsc, oneshot};

/// Hands requests to the agent, which owns what it takes to answer them.
pub(in crate::agent) struct Door(mpsc::Sender<Request>);

/// Somebody asks for something.
pub(in crate::agent) struct Request {
    pub(super) wanted: LinkRequest,
    pub(super) reply: oneshot::Sender<Result<Box<dyn Duplex>, LinkError>>,
}

/// More that wait at once are more than an agent answers.
const QUEUE: usize = 64;

impl Door {
    pub(in crate::agent) fn new() -> (Self, mpsc::Receiver<Request>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self(sender), receiver)
    }
}

#[async_trait]
impl LinkHandler for Door {
    async fn open(&self, request: LinkRequest) -> Result<Box<dyn Duplex>, LinkError> {
        let (reply, answer) = oneshot::channel();
        let gone = || LinkError::Unavailable { problem: "its agent does not run".to_owned() };
        self.0.send(Request { wanted: request, reply }).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

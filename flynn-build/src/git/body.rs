use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use flynn_core::BoxError;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

/// The body of an answer of the git service: short and whole, or a stream that goes on as long as git does.
pub struct GitBody {
    content: Content,
}

enum Content {
    Whole(Option<Bytes>),
    Stream(mpsc::Receiver<Result<Bytes, BoxError>>),
}

impl GitBody {
    pub(crate) fn whole(content: impl Into<Bytes>) -> Self {
        Self { content: Content::Whole(Some(content.into()).filter(|content| !content.is_empty())) }
    }

    pub(crate) fn stream(parts: mpsc::Receiver<Result<Bytes, BoxError>>) -> Self {
        Self { content: Content::Stream(parts) }
    }
}

impl fmt::Debug for GitBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GitBody").finish_non_exhaustive()
    }
}

impl Body for GitBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match &mut self.content {
            Content::Whole(content) => Poll::Ready(content.take().map(|content| Ok(Frame::data(content)))),
            Content::Stream(parts) => parts.poll_recv(cx).map(|part| part.map(|part| part.map(Frame::data))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.content, Content::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(content) => SizeHint::with_exact(content.as_ref().map_or(0, |content| content.len() as u64)),
            Content::Stream(_) => SizeHint::default(),
        }
    }
}

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use flynn_core::BoxError;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::sync::mpsc;
use tower_service::Service;

use super::command::with_args;
use super::driver::Shared;
use super::request::{self, Program, Target, Unserved};
use super::session::{Session, Upload};
use super::{AccessDenied, GitAuthority, GitBody, GitError, PushContext, Repositories, pkt};

/// Serves `/git/{app}.git` over HTTP, where `{app}` is a name or an id. Mount it so that it sees the whole path.
/// Cloning shares the service; each clone is always ready.
#[derive(Clone)]
pub struct GitService {
    shared: Arc<Shared>,
    authority: Arc<dyn GitAuthority>,
    sessions: mpsc::Sender<Session>,
}

impl std::fmt::Debug for GitService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GitService").field("shared", &self.shared).finish_non_exhaustive()
    }
}

impl<B> Service<Request<B>> for GitService
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<GitBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(service.serve(request).await.unwrap_or_else(Failure::answer)) })
    }
}

/// Why a request is not served.
enum Failure {
    Unserved(Unserved),
    Denied(AccessDenied),
    Git(GitError),
    Stopped,
    /// Git works for as many as it may, for so many seconds already.
    Crowded(u64),
}

impl From<Unserved> for Failure {
    fn from(unserved: Unserved) -> Self {
        Self::Unserved(unserved)
    }
}

impl From<GitError> for Failure {
    fn from(error: GitError) -> Self {
        Self::Git(error)
    }
}

impl GitService {
    pub(crate) fn new(shared: Arc<Shared>, authority: Arc<dyn GitAuthority>, sessions: mpsc::Sender<Session>) -> Self {
        Self { shared, authority, sessions }
    }

    /// The repositories behind the service, to be repaired when it starts and collected now and then.
    pub fn repositories(&self) -> &Repositories {
        &self.shared.repositories
    }

    async fn serve<B>(&self, request: Request<B>) -> Result<Response<GitBody>, Failure>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (head, body) = request.into_parts();
        let target = request::parse(&head.method, &head.uri, &head.headers)?;
        let is_gzip = request::is_gzip(&head.headers)?;
        let context = self.authorize(&target, &head.headers).await?;
        let place = self.shared.places.take(context.app).await;
        let place = place.ok_or(Failure::Crowded(self.shared.settings.queue_time.as_secs()))?;
        let path = self.shared.repositories.ensure(context.app).await?;
        let protocol = request::protocol(&head.headers);
        if target.advertise {
            return self.advertise(&path, target.program, protocol).await;
        }
        let (reply, parts) = mpsc::channel(16);
        let body = body.map_err(Into::into).boxed_unsync();
        let session = Session {
            program: target.program,
            context,
            protocol: protocol.map(str::to_owned),
            declared: declared_length(&head.headers),
            upload: Upload::new(body, is_gzip, target.program, &self.shared),
            reply,
            _place: place,
        };
        self.sessions.send(session).await.map_err(|_| Failure::Stopped)?;
        Ok(response(StatusCode::OK, &format!("application/x-{}-result", target.program.name()), GitBody::stream(parts)))
    }

    async fn authorize(&self, target: &Target, headers: &HeaderMap) -> Result<PushContext, Failure> {
        let credentials = request::credentials(headers);
        let asked = self.authority.authorize(credentials.as_ref(), &target.app, target.program.access());
        asked.await.map_err(Failure::Denied)
    }

    async fn advertise(
        &self,
        path: &std::path::Path,
        program: Program,
        protocol: Option<&str>,
    ) -> Result<Response<GitBody>, Failure> {
        let args = [program.subcommand(), "--stateless-rpc", "--advertise-refs", "."];
        let mut command = with_args(self.shared.git.command(path), args);
        if let Some(protocol) = protocol {
            command.env("GIT_PROTOCOL", protocol);
        }
        let refs = self.shared.git.run("list refs", command).await?;
        let mut body = Vec::new();
        pkt::put(&mut body, format!("# service={}\n", program.name()).as_bytes());
        body.extend(pkt::FLUSH);
        body.extend(refs);
        let kind = format!("application/x-{}-advertisement", program.name());
        Ok(response(StatusCode::OK, &kind, GitBody::whole(body)))
    }
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn response(status: StatusCode, kind: &str, body: GitBody) -> Response<GitBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    if let Ok(kind) = kind.parse() {
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-cache, no-store"));
    response
}

/// An answer that git shows to its user as `remote:` lines.
fn say(status: StatusCode, text: &str) -> Response<GitBody> {
    response(status, "text/plain; charset=utf-8", GitBody::whole(format!("{text}\n")))
}

impl Failure {
    fn answer(self) -> Response<GitBody> {
        match self {
            Self::Unserved(Unserved(status, text)) => say(status, text),
            Self::Denied(AccessDenied::Unauthenticated { help }) => {
                let mut answer = say(StatusCode::UNAUTHORIZED, &help);
                let challenge = header::HeaderValue::from_static(r#"Basic realm="flynn", charset="UTF-8""#);
                answer.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
                answer
            }
            Self::Denied(AccessDenied::Forbidden { reason }) => say(StatusCode::FORBIDDEN, &reason),
            Self::Denied(AccessDenied::NotNow { reason }) => say(StatusCode::SERVICE_UNAVAILABLE, &reason),
            Self::Denied(AccessDenied::UnknownApp) => {
                say(StatusCode::NOT_FOUND, "there is no such app, or it is not yours: check the name in the URL")
            }
            Self::Denied(error @ AccessDenied::Unavailable(_)) => unavailable(&error),
            Self::Git(error) => unavailable(&error),
            Self::Crowded(seconds) => {
                let text = "git is busy with other pushes and fetches, of this app or of others: try again in a moment";
                let mut answer = say(StatusCode::SERVICE_UNAVAILABLE, text);
                answer.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from(seconds.max(1)));
                answer
            }
            Self::Stopped => say(StatusCode::SERVICE_UNAVAILABLE, "the git service is stopping: try again in a moment"),
        }
    }
}

fn unavailable(error: &(dyn std::error::Error + 'static)) -> Response<GitBody> {
    tracing::error!(error, "git service: a request was not served");
    say(StatusCode::SERVICE_UNAVAILABLE, "the git service is unavailable: try again in a moment")
}

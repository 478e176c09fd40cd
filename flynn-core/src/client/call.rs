//! One question and its answer.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, header};
use tokio::time::{Instant, sleep, timeout_at};

use super::{Credential, Endpoint, RemoteOptions};
use crate::error::{BoxError, StoreError};
use crate::wire::WireError;
use crate::wire::peer::Problem;

/// Sends requests to one server as one principal.
pub(super) struct Caller {
    pub(super) endpoint: Endpoint,
    pub(super) options: RemoteOptions,
    /// What this release could not read.
    pub(super) opaque: AtomicU64,
    client: Client,
}

/// The way to the server failed.
#[derive(Debug, thiserror::Error)]
#[error("{endpoint} {problem}")]
pub(super) struct Trouble {
    endpoint: Endpoint,
    problem: String,
    #[source]
    source: Option<BoxError>,
}

/// Why there is no answer.
pub(super) enum Fault {
    /// The connection failed or broke. To try again may help at once.
    Broken(Trouble),
    /// The time is over, or the answer makes no sense. To try again will hardly help at once.
    Lost(Trouble),
    /// The server refuses.
    Refused(Problem),
}

impl Fault {
    pub(super) fn into_error(self, operation: &'static str) -> StoreError {
        match self {
            Self::Broken(trouble) | Self::Lost(trouble) => {
                StoreError::Unavailable { operation, source: trouble.into() }
            }
            Self::Refused(problem) => problem.into_error(operation),
        }
    }
}

/// An answer that makes no sense: what was asked for may have been done.
pub(super) fn unreadable(operation: &'static str) -> impl Fn(WireError) -> StoreError {
    move |source| StoreError::Unavailable { operation, source: source.into() }
}

/// How often a commit that may be repeated is sent again.
const REPETITIONS: u32 = 3;
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// A refusal is short.
const LONGEST_REFUSAL: usize = 1 << 20;
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

impl Caller {
    pub(super) fn new(endpoint: Endpoint, credential: Credential, options: RemoteOptions) -> Result<Self, StoreError> {
        Self::with_pool(endpoint, credential, options, usize::MAX)
    }

    /// One that takes another connection for each request.
    pub(super) fn fresh(
        endpoint: Endpoint,
        credential: Credential,
        options: RemoteOptions,
    ) -> Result<Self, StoreError> {
        Self::with_pool(endpoint, credential, options, 0)
    }

    fn with_pool(
        endpoint: Endpoint,
        credential: Credential,
        options: RemoteOptions,
        idle: usize,
    ) -> Result<Self, StoreError> {
        let internal = |source: BoxError| StoreError::Internal { operation: "connect", source };
        let mut headers = HeaderMap::new();
        if let Credential::Token(secret) = credential {
            let mut bearer = HeaderValue::try_from(format!("Bearer {}", secret.reveal()))
                .map_err(|source| internal(source.into()))?;
            bearer.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, bearer);
        }
        let mut builder = Client::builder()
            .default_headers(headers)
            .user_agent(concat!("flynn-core/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .pool_max_idle_per_host(idle)
            .redirect(Policy::none())
            .connect_timeout(CONNECT_DEADLINE.min(options.deadline))
            .tcp_keepalive(options.patience);
        if let Some(path) = endpoint.socket() {
            builder = builder.unix_socket(path);
        }
        let client = builder.build().map_err(|source| internal(source.into()))?;
        Ok(Self { endpoint, options, opaque: AtomicU64::new(0), client })
    }

    pub(super) fn trouble(&self, problem: impl Into<String>) -> Trouble {
        Trouble { endpoint: self.endpoint.clone(), problem: problem.into(), source: None }
    }

    pub(super) fn broken(&self, error: reqwest::Error) -> Trouble {
        let problem = String::from(if error.is_connect() { "cannot be reached" } else { "broke off" });
        Trouble { endpoint: self.endpoint.clone(), problem, source: Some(error.without_url().into()) }
    }

    /// Notes something that a later release wrote.
    pub(super) fn pass_over(&self, problem: &str) {
        let count = self.opaque.fetch_add(1, Ordering::Relaxed) + 1;
        tracing::warn!(endpoint = %self.endpoint, problem, count, "remote store: left out what this release cannot read");
    }

    pub(super) async fn get(&self, operation: &'static str, path: &str) -> Result<String, StoreError> {
        let asked = self.ask(Method::GET, path, None);
        self.within(asked).await.map_err(|fault| fault.into_error(operation))
    }

    pub(super) async fn post(&self, operation: &'static str, path: &str, body: String) -> Result<String, StoreError> {
        let asked = self.ask(Method::POST, path, Some(body));
        self.within(asked).await.map_err(|fault| fault.into_error(operation))
    }

    /// Posts what has the same effect however often it arrives.
    pub(super) async fn post_repeatedly(
        &self,
        operation: &'static str,
        path: &str,
        body: String,
    ) -> Result<String, StoreError> {
        let asked = async {
            let mut wait = FIRST_WAIT;
            for _ in 0..REPETITIONS {
                match self.ask(Method::POST, path, Some(body.clone())).await {
                    Err(Fault::Broken(trouble)) => {
                        let error = crate::error::Chain(&trouble).to_string();
                        tracing::debug!(error, operation, "remote store: asking again");
                    }
                    answered => return answered,
                }
                sleep(wait).await;
                wait *= 2;
            }
            self.ask(Method::POST, path, Some(body.clone())).await
        };
        self.within(asked).await.map_err(|fault| fault.into_error(operation))
    }

    pub(super) async fn ask(&self, method: Method, path: &str, body: Option<String>) -> Result<String, Fault> {
        let response = self.open(method, path, body).await?;
        self.read(response).await
    }

    /// The rest of an answer that is not lines.
    pub(super) async fn read(&self, response: Response) -> Result<String, Fault> {
        self.read_at_most(response, self.options.longest).await
    }

    /// Bounds the whole of a call.
    pub(super) async fn within<T>(&self, call: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        self.until(Instant::now() + self.options.deadline, call).await
    }

    pub(super) async fn until<T>(
        &self,
        deadline: Instant,
        call: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        let late = || self.trouble(format!("gave no answer within {:?}", self.options.deadline));
        timeout_at(deadline, call).await.unwrap_or_else(|_| Err(Fault::Lost(late())))
    }

    /// Sends a request; the answer is a success whose body is still to come.
    pub(super) async fn open(&self, method: Method, path: &str, body: Option<String>) -> Result<Response, Fault> {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        self.send(request).await
    }

    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.endpoint.url(path))
    }

    pub(super) async fn send(&self, request: RequestBuilder) -> Result<Response, Fault> {
        let response = request.send().await.map_err(|error| Fault::Broken(self.broken(error)))?;
        let status = response.status();
        if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(response);
        }
        let text = self.read_at_most(response, LONGEST_REFUSAL).await?;
        match serde_json::from_str::<Problem>(&text) {
            Ok(problem) => Err(Fault::Refused(problem)),
            Err(_) => Err(Fault::Lost(self.trouble(format!("answered {status} and is not a store")))),
        }
    }

    async fn read_at_most(&self, mut response: Response, longest: usize) -> Result<String, Fault> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| Fault::Broken(self.broken(error)))? {
            if body.len() + chunk.len() > longest {
                return Err(Fault::Lost(self.trouble(format!("gave an answer of more than {longest} bytes"))));
            }
            body.extend_from_slice(&chunk);
        }
        String::from_utf8(body).map_err(|_| Fault::Lost(self.trouble("gave an answer that is not UTF-8")))
    }
}

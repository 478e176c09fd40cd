//! One request and its answer.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, IF_MATCH,
    SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use reqwest::redirect::Policy;
use reqwest::{Body, Client, Method, Response, StatusCode, Upgraded, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use uuid::Uuid;

use super::{ApiError, ApiOptions};
use crate::api::{PageQuery, Problem};
use crate::client::{Credential, Endpoint};
use crate::error::BoxError;

/// Sends requests to one server as one caller.
pub(super) struct Transport {
    pub(super) endpoint: Endpoint,
    pub(super) options: ApiOptions,
    client: Client,
}

/// A request.
pub(super) struct Ask<'a> {
    operation: &'static str,
    method: Method,
    path: Vec<&'a str>,
    query: Vec<(&'static str, String)>,
    body: Option<Vec<u8>>,
    expected: Option<u64>,
}

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// How often what has the same effect however often it arrives is sent again.
const REPETITIONS: u32 = 3;
const FIRST_WAIT: Duration = Duration::from_millis(100);
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// A refusal is short.
const LONGEST_REFUSAL: usize = 1 << 20;

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl<'a> Ask<'a> {
    /// A request for `path` below `/v1`.
    pub(super) fn new(operation: &'static str, method: Method, path: &[&'a str]) -> Self {
        Self { operation, method, path: path.to_vec(), query: Vec::new(), body: None, expected: None }
    }

    pub(super) fn get(operation: &'static str, path: &[&'a str]) -> Self {
        Self::new(operation, Method::GET, path)
    }

    pub(super) fn query(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_string())));
        self
    }

    pub(super) fn page(self, page: &PageQuery) -> Self {
        self.query("cursor", page.cursor.as_ref()).query("limit", page.limit)
    }

    /// A request with a document.
    pub(super) fn body(mut self, document: &impl Serialize) -> Result<Self, ApiError> {
        let body = serde_json::to_vec(document).map_err(|error| ApiError::Failed {
            operation: self.operation,
            problem: String::from("the request cannot be written as JSON"),
            source: Some(error.into()),
        })?;
        self.body = Some(body);
        Ok(self)
    }

    /// Only if the object still has this version.
    pub(super) fn expecting(mut self, version: Option<u64>) -> Self {
        self.expected = version;
        self
    }
}

impl Transport {
    pub(super) fn new(endpoint: Endpoint, credential: Credential, options: ApiOptions) -> Result<Self, ApiError> {
        const CONNECT: &str = "connect";
        let failed = |problem: &str, source: BoxError| ApiError::Failed {
            operation: CONNECT,
            problem: problem.to_owned(),
            source: Some(source),
        };
        let mut headers = HeaderMap::new();
        if let Credential::Token(secret) = credential {
            let mut bearer = HeaderValue::try_from(format!("Bearer {}", secret.reveal()))
                .map_err(|error| failed("the token is no header value", error.into()))?;
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        let mut builder = Client::builder()
            .default_headers(headers)
            .user_agent(concat!("flynn-core/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .redirect(Policy::none())
            .connect_timeout(CONNECT_DEADLINE.min(options.deadline))
            .tcp_keepalive(Duration::from_secs(20));
        if let Some(path) = endpoint.socket() {
            builder = builder.unix_socket(path);
        }
        let client = builder.build().map_err(|error| failed("no HTTP client can be made", error.into()))?;
        Ok(Self { endpoint, options, client })
    }

    /// Asks, and reads the document that is answered.
    pub(super) async fn fetch<T: DeserializeOwned>(&self, ask: Ask<'_>) -> Result<T, ApiError> {
        let operation = ask.operation;
        let body = self.within(operation, self.options.deadline, self.repeat(ask)).await?;
        self.decode(operation, &body)
    }

    /// Asks, and reads no answer but that it was done.
    pub(super) async fn tell(&self, ask: Ask<'_>) -> Result<(), ApiError> {
        self.within(ask.operation, self.options.deadline, self.repeat(ask)).await.map(drop)
    }

    /// Sends a large body once; what breaks on the way is not sent again.
    pub(super) async fn upload<T: DeserializeOwned>(
        &self,
        ask: Ask<'_>,
        content_type: &'static str,
        body: Body,
    ) -> Result<T, ApiError> {
        let (operation, key) = (ask.operation, Uuid::new_v4().to_string());
        let request = self.request(&ask, &key)?.header(CONTENT_TYPE, content_type).body(body);
        let sent = async {
            let response = request.send().await.map_err(|error| self.broken(operation, error))?;
            self.accepted(operation, response, self.options.longest).await
        };
        let body = self.within(operation, self.options.upload_deadline, sent).await?;
        self.decode(operation, &body)
    }

    /// Asks for an answer that has no end of its own; only its beginning has a deadline.
    pub(super) async fn stream(&self, ask: Ask<'_>) -> Result<Response, ApiError> {
        let operation = ask.operation;
        let request = self.request(&ask, "")?.header(ACCEPT, "text/event-stream");
        let opened = async {
            let response = request.send().await.map_err(|error| self.broken(operation, error))?;
            if response.status().is_success() { Ok(response) } else { Err(self.refusal(operation, response).await) }
        };
        self.within(operation, self.options.deadline, opened).await
    }

    /// Asks for a WebSocket (RFC 6455 §4.1); only its opening has a deadline.
    pub(super) async fn upgrade(&self, ask: Ask<'_>) -> Result<Upgraded, ApiError> {
        let operation = ask.operation;
        let key = generate_key();
        let request = self
            .request(&ask, "")?
            .header(CONNECTION, "Upgrade")
            .header(UPGRADE, "websocket")
            .header(SEC_WEBSOCKET_VERSION, "13")
            .header(SEC_WEBSOCKET_KEY, &key);
        let opened = async {
            let response = request.send().await.map_err(|error| self.broken(operation, error))?;
            if response.status() != StatusCode::SWITCHING_PROTOCOLS {
                return Err(self.refusal(operation, response).await);
            }
            let accept = response.headers().get(SEC_WEBSOCKET_ACCEPT).map(HeaderValue::as_bytes);
            if accept != Some(derive_accept_key(key.as_bytes()).as_bytes()) {
                return Err(self.foreign(operation, String::from("opened no WebSocket")));
            }
            response.upgrade().await.map_err(|error| self.broken(operation, error))
        };
        self.within(operation, self.options.deadline, opened).await
    }

    /// Sends the same request again a few times when the connection breaks. What changes something carries a key by
    /// which the server knows it again.
    async fn repeat(&self, ask: Ask<'_>) -> Result<Vec<u8>, ApiError> {
        let key = Uuid::new_v4().to_string();
        let mut wait = FIRST_WAIT;
        for _ in 0..REPETITIONS {
            match self.once(&ask, &key).await {
                Err(ApiError::Unreachable { source: Some(_), .. }) => {}
                answered => return answered,
            }
            sleep(wait).await;
            wait *= 2;
        }
        self.once(&ask, &key).await
    }

    async fn once(&self, ask: &Ask<'_>, key: &str) -> Result<Vec<u8>, ApiError> {
        let mut request = self.request(ask, key)?;
        if let Some(body) = &ask.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.clone());
        }
        let response = request.send().await.map_err(|error| self.broken(ask.operation, error))?;
        self.accepted(ask.operation, response, self.options.longest).await
    }

    fn request(&self, ask: &Ask<'_>, key: &str) -> Result<reqwest::RequestBuilder, ApiError> {
        let failed = |source: BoxError| ApiError::Failed {
            operation: ask.operation,
            problem: format!("{} is no place for a server", self.endpoint),
            source: Some(source),
        };
        // These would be left out of the path, and so name something else.
        if let Some(name) = ask.path.iter().find(|name| matches!(**name, "" | "." | "..")) {
            let problem = Problem::new(404, "not_found", "Not Found", format!("nothing is called `{name}`"));
            return Err(ApiError::refused(ask.operation, problem));
        }
        let mut url = Url::parse(self.endpoint.base()).map_err(|error| failed(error.into()))?;
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(&ask.path);
        }
        if !ask.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&ask.query);
        }
        let mut request = self.client.request(ask.method.clone(), url);
        if ask.method != Method::GET {
            request = request.header(IDEMPOTENCY_KEY, key);
        }
        if let Some(version) = ask.expected {
            request = request.header(IF_MATCH, format!("\"{version}\""));
        }
        Ok(request)
    }

    async fn accepted(&self, operation: &'static str, response: Response, longest: usize) -> Result<Vec<u8>, ApiError> {
        match response.status().is_success() {
            true => self.read(operation, response, longest).await,
            false => Err(self.refusal(operation, response).await),
        }
    }

    async fn refusal(&self, operation: &'static str, response: Response) -> ApiError {
        let status = response.status();
        match self.read(operation, response, LONGEST_REFUSAL).await {
            Ok(text) => match serde_json::from_slice::<Problem>(&text) {
                Ok(problem) => ApiError::refused(operation, problem),
                Err(_) => self.foreign(operation, format!("answered {status} and is not this API")),
            },
            Err(error) => error,
        }
    }

    async fn read(&self, operation: &'static str, mut response: Response, longest: usize) -> Result<Vec<u8>, ApiError> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(operation, error))? {
            if body.len() + chunk.len() > longest {
                return Err(self.foreign(operation, format!("gave an answer of more than {longest} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    pub(super) fn decode<T: DeserializeOwned>(&self, operation: &'static str, body: &[u8]) -> Result<T, ApiError> {
        serde_json::from_slice(body).map_err(|error| ApiError::Failed {
            operation,
            problem: format!("{} gave an answer that this release cannot read", self.endpoint),
            source: Some(error.into()),
        })
    }

    pub(super) fn foreign(&self, operation: &'static str, problem: String) -> ApiError {
        ApiError::Failed { operation, problem: format!("{} {problem}", self.endpoint), source: None }
    }

    pub(super) fn broken(&self, operation: &'static str, error: reqwest::Error) -> ApiError {
        let problem = String::from(if error.is_connect() { "cannot be reached" } else { "broke off" });
        let source = Some(error.without_url().into());
        ApiError::Unreachable { operation, endpoint: self.endpoint.to_string(), problem, source }
    }

    async fn within<T>(
        &self,
        operation: &'static str,
        deadline: Duration,
        call: impl Future<Output = Result<T, ApiError>>,
    ) -> Result<T, ApiError> {
        timeout(deadline, call).await.unwrap_or_else(|_| {
            let problem = format!("gave no answer within {deadline:?}");
            Err(ApiError::Unreachable { operation, endpoint: self.endpoint.to_string(), problem, source: None })
        })
    }
}

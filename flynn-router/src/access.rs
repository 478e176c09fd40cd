//! The access log: one line a request.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use flynn_core::JobId;
use flynn_core::name::AppName;

use crate::proxy::Failure;

/// Takes access records in. Called in the middle of serving, so it must not block: a sink that cannot take
/// a record drops and counts it.
pub trait AccessLog: Send + Sync + fmt::Debug {
    /// Takes one record in, when its request has ended.
    fn record(&self, record: &AccessRecord);

    /// Whether anybody reads the records. If not, the proxy may leave texts in them empty.
    fn is_kept(&self) -> bool {
        true
    }
}

/// An access log that keeps nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoAccessLog;

impl AccessLog for NoAccessLog {
    fn record(&self, _: &AccessRecord) {}

    fn is_kept(&self) -> bool {
        false
    }
}

/// What is known of a request at its end. `Display` writes it as one line of logfmt, without a line break.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AccessRecord {
    /// The method; empty if the request could not be read.
    pub method: String,
    /// The host as the client wrote it.
    pub host: String,
    /// Path and query as the client wrote them.
    pub path: String,
    /// The id of the request.
    pub request_id: String,
    /// The address of the client.
    pub client: IpAddr,
    /// The app, if a route led to one.
    pub app: Option<AppName>,
    /// The job that got the request, if one did.
    pub job: Option<JobId>,
    /// The time to get a connection to the job; zero for one that was open.
    pub connect: Duration,
    /// The time from the request's head to the end of the response.
    pub service: Duration,
    /// The status that was or would have been sent.
    pub status: u16,
    /// Bytes of the response body.
    pub bytes: u64,
    /// The protocol the client speaks.
    pub protocol: &'static str,
    /// What went wrong, if something did.
    pub failure: Option<Failure>,
}

impl fmt::Display for AccessRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.failure {
            None => f.write_str("at=info")?,
            Some(failure) => {
                write!(f, "at=error code={} desc={}", failure.code(), Value(&failure.to_string()))?;
            }
        }
        let app = self.app.as_ref().map(AppName::as_str).unwrap_or_default();
        let job = self.job.map(|job| job.to_string()).unwrap_or_default();
        write!(f, " method={} host={} path={}", Value(&self.method), Value(&self.host), Value(&self.path))?;
        write!(f, " request_id={} fwd={} app={app} job={job}", Value(&self.request_id), self.client)?;
        write!(f, " connect={}ms service={}ms", self.connect.as_millis(), self.service.as_millis())?;
        write!(f, " status={} bytes={} protocol={}", self.status, self.bytes, self.protocol)
    }
}

/// A value of logfmt: quoted and escaped unless it is plain, so that no client can write a field or a line.
struct Value<'a>(&'a str);

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'=' | b'\\')) {
            return f.write_str(self.0);
        }
        f.write_str("\"")?;
        for c in self.0.chars() {
            match c {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                ' '..='~' => write!(f, "{c}")?,
                _ => write!(f, "{}", c.escape_unicode())?,
            }
        }
        f.write_str("\"")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(path: &str) -> AccessRecord {
        AccessRecord {
            method: "GET".into(),
            host: "a.example".into(),
            path: path.into(),
            request_id: "r".into(),
            client: IpAddr::from([10, 0, 0, 1]),
            app: None,
            job: None,
            connect: Duration::from_millis(1),
            service: Duration::from_millis(20),
            status: 200,
            bytes: 5,
            protocol: "http/1.1",
            failure: None,
        }
    }

    #[test]
    fn a_line_has_the_fields_in_their_order() {
        let mut record = record("/a?b=c");
        record.app = Some(AppName::new("web").unwrap());
        assert_eq!(
            record.to_string(),
            "at=info method=GET host=a.example path=\"/a?b=c\" request_id=r fwd=10.0.0.1 app=web job= connect=1ms \
             service=20ms status=200 bytes=5 protocol=http/1.1"
        );
        record.failure = Some(Failure::NoRoute);
        assert!(record.to_string().starts_with("at=error code=R10 desc=\"no such route\" method=GET "));
    }

    proptest! {
        #[test]
        fn no_value_leaves_its_field(path in any::<String>()) {
            let line = record(&path).to_string();
            prop_assert!(line.chars().all(|c| matches!(c, ' '..='~')));
            // Without its quoted parts, a line has the same fields whatever was in them.
            let (mut bare, mut quoted, mut escaped) = (String::new(), false, false);
            for c in line.chars() {
                match (quoted, escaped, c) {
                    (true, false, '\\') => escaped = true,
                    (_, false, '"') => quoted = !quoted,
                    (true, ..) => escaped = false,
                    _ => bare.push(c),
                }
            }
            prop_assert!(!quoted);
            prop_assert_eq!(bare.matches('=').count(), 13);
            prop_assert_eq!(bare.matches(' ').count(), 12);
        }
    }
}

use std::fmt;

/// Why a request was not answered by an app, or not to its end.
///
/// | Code | Status | Meaning |
/// |---|---|---|
/// | R10 | 404 | no such route |
/// | R11 | 503 | the app has no healthy instance |
/// | R12 | 502 | no instance accepted a connection |
/// | R13 | 504 | the instance did not answer in time |
/// | R14 | 503 | the app is in maintenance |
/// | R15 | 400 | the request breaks the rules of HTTP |
/// | R16 | 499 | the client closed its connection; it sees no answer |
/// | R17 | 431 | the head of the request is too large |
/// | R18 | 408 | the client was too slow with its request |
/// | R19 | 405 | the router is no forward proxy: `CONNECT` is refused |
/// | R20 | 417 | an `Expect` other than `100-continue` |
/// | R21 | 502 | the instance closed the connection before it answered |
/// | R22 | 502 | the instance's answer breaks the rules of HTTP |
/// | R23 | as sent | the instance broke off in the middle of its answer |
/// | R24 | as sent | the instance or the client stalled in the middle of the answer |
/// | R25 | 413 | the body of the request is too large |
/// | R26 | 429 | the route has a rate limit, and this is above it |
/// | R27 | 421 | the connection was made for another host, which has another certificate |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// R10.
    NoRoute,
    /// R11.
    NoInstance,
    /// R12.
    ConnectFailed,
    /// R13.
    NoAnswer,
    /// R14.
    Maintenance,
    /// R15, with the rule that was broken.
    BadRequest(&'static str),
    /// R16.
    ClientClosed,
    /// R17.
    HeadTooLarge,
    /// R18.
    ClientTooSlow,
    /// R19.
    MethodRefused,
    /// R20.
    ExpectationFailed,
    /// R21.
    BackendClosed,
    /// R22.
    BadAnswer,
    /// R23.
    BrokenOff,
    /// R24.
    Stalled,
    /// R25.
    BodyTooLarge,
    /// R26.
    RateLimited,
    /// R27.
    Misdirected,
}

impl Failure {
    /// The code in logs and on error pages.
    pub fn code(&self) -> &'static str {
        self.row().0
    }

    /// The status; none if it can only happen once a status was sent.
    pub fn status(&self) -> Option<u16> {
        Some(self.row().1).filter(|status| *status != 0)
    }

    /// The number in its code.
    pub(super) fn number(&self) -> usize {
        self.code().bytes().filter(u8::is_ascii_digit).fold(0, |number, digit| number * 10 + usize::from(digit - b'0'))
    }

    fn row(&self) -> (&'static str, u16, &'static str) {
        match self {
            Self::NoRoute => ("R10", 404, "no such route"),
            Self::NoInstance => ("R11", 503, "no healthy instance"),
            Self::ConnectFailed => ("R12", 502, "connect failed"),
            Self::NoAnswer => ("R13", 504, "timed out"),
            Self::Maintenance => ("R14", 503, "maintenance"),
            Self::BadRequest(_) => ("R15", 400, "bad request"),
            Self::ClientClosed => ("R16", 499, "client closed the connection"),
            Self::HeadTooLarge => ("R17", 431, "request head too large"),
            Self::ClientTooSlow => ("R18", 408, "client too slow"),
            Self::MethodRefused => ("R19", 405, "CONNECT refused"),
            Self::ExpectationFailed => ("R20", 417, "unknown expectation"),
            Self::BackendClosed => ("R21", 502, "closed without an answer"),
            Self::BadAnswer => ("R22", 502, "bad answer"),
            Self::BrokenOff => ("R23", 0, "answer broken off"),
            Self::Stalled => ("R24", 0, "answer stalled"),
            Self::BodyTooLarge => ("R25", 413, "request body too large"),
            Self::RateLimited => ("R26", 429, "rate limit"),
            Self::Misdirected => ("R27", 421, "misdirected request"),
        }
    }

    /// What a visitor reads: it tells nothing of the inside.
    fn visitor_text(&self) -> (&'static str, &'static str) {
        match self {
            Self::NoRoute => ("Not found", "There is no app at this address."),
            Self::NoInstance | Self::ConnectFailed => ("App not available", "The app is not running at the moment."),
            Self::NoAnswer => ("App not available", "The app took too long to answer."),
            Self::Maintenance => ("Maintenance", "The app is being worked on and will be back soon."),
            Self::BackendClosed | Self::BadAnswer | Self::BrokenOff | Self::Stalled => {
                ("App error", "The app did not answer properly.")
            }
            Self::RateLimited => ("Too many requests", "The app gets more requests than it takes. Try again later."),
            Self::Misdirected => ("Misdirected request", "This connection is for another host. Try again."),
            Self::HeadTooLarge => ("Request too large", "The request's header is too large."),
            Self::BodyTooLarge => ("Request too large", "The request's body is too large."),
            Self::ClientTooSlow => ("Request timed out", "The request took too long to arrive."),
            Self::MethodRefused => ("Method not allowed", "This server is not a forward proxy."),
            Self::ExpectationFailed => ("Expectation failed", "Only 100-continue can be expected."),
            Self::BadRequest(_) | Self::ClientClosed => ("Bad request", "The request breaks the rules of HTTP."),
        }
    }

    /// The page for browsers.
    pub(crate) fn html(&self) -> String {
        let (title, text) = self.visitor_text();
        format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title></head>\n\
             <body><h1>{title}</h1><p>{text}</p><p><small>{code}</small></p></body></html>\n",
            code = self.code()
        )
    }

    /// The page for everybody else.
    pub(crate) fn text(&self) -> String {
        let (title, text) = self.visitor_text();
        format!("{title}: {text} ({})\n", self.code())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadRequest(rule) => write!(f, "{}: {rule}", self.row().2),
            _ => f.write_str(self.row().2),
        }
    }
}

//! What an HTTP request asks for.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderMap, Method, StatusCode, Uri, header};

use super::{Access, AppRef, Credentials};

/// A program of git that serves a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    UploadPack,
    ReceivePack,
}

impl Program {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::UploadPack => "git-upload-pack",
            Self::ReceivePack => "git-receive-pack",
        }
    }

    pub(crate) fn subcommand(self) -> &'static str {
        match self {
            Self::UploadPack => "upload-pack",
            Self::ReceivePack => "receive-pack",
        }
    }

    pub(crate) fn access(self) -> Access {
        match self {
            Self::UploadPack => Access::Read,
            Self::ReceivePack => Access::Push,
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::UploadPack, Self::ReceivePack].into_iter().find(|program| program.name() == name)
    }
}

/// What is asked of which repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) app: AppRef,
    pub(crate) program: Program,
    /// Whether only the refs are asked for, which comes before everything else.
    pub(crate) advertise: bool,
}

/// A request that no credentials would make better: a status and what git shows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unserved(pub(crate) StatusCode, pub(crate) &'static str);

pub(crate) fn parse(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Target, Unserved> {
    let missing = || Unserved(StatusCode::NOT_FOUND, "there is no such repository: the URL is HOST/git/APP.git");
    let path = uri.path().strip_prefix("/git/").ok_or_else(missing)?;
    let (app, action) = path.split_once(".git/").ok_or_else(missing)?;
    let app = AppRef::parse(app).ok_or_else(missing)?;
    if action == "info/refs" {
        if method != Method::GET {
            return Err(Unserved(StatusCode::METHOD_NOT_ALLOWED, "use GET"));
        }
        let mut parameters = uri.query().unwrap_or_default().split('&');
        let service = parameters.find_map(|parameter| parameter.strip_prefix("service="));
        let unknown = Unserved(StatusCode::FORBIDDEN, "this client does not speak the smart protocol: use a newer git");
        let program = service.and_then(Program::from_name).ok_or(unknown)?;
        return Ok(Target { app, program, advertise: true });
    }
    let program = Program::from_name(action).ok_or_else(missing)?;
    if method != Method::POST {
        return Err(Unserved(StatusCode::METHOD_NOT_ALLOWED, "use POST"));
    }
    // No form of a web page can send this type, so a browser cannot be made to push.
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if kind != Some(&format!("application/x-{}-request", program.name())) {
        return Err(Unserved(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the content type is not that of this request"));
    }
    Ok(Target { app, program, advertise: false })
}

/// Whether the body is compressed with gzip.
pub(crate) fn is_gzip(headers: &HeaderMap) -> Result<bool, Unserved> {
    match headers.get(header::CONTENT_ENCODING).map(|value| value.as_bytes()) {
        None | Some(b"identity") => Ok(false),
        Some(b"gzip" | b"x-gzip") => Ok(true),
        Some(_) => Err(Unserved(StatusCode::UNSUPPORTED_MEDIA_TYPE, "a body may be compressed with gzip only")),
    }
}

/// The version of the protocol that the client asks for, if it is well formed. It becomes an environment variable.
pub(crate) fn protocol(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get("git-protocol")?.to_str().ok()?;
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric());
    let is_pair = |pair: &str| pair.split_once('=').is_some_and(|(key, value)| is_word(key) && is_word(value));
    (text.len() <= 100 && text.split(':').all(is_pair)).then_some(text)
}

/// The credentials of a request; none if there are none or they are not well formed.
pub(crate) fn credentials(headers: &HeaderMap) -> Option<Credentials> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = text.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Credentials::Bearer(rest.trim().to_owned()));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(BASE64_STANDARD.decode(rest.trim()).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some(Credentials::Basic { user: user.to_owned(), password: password.to_owned() })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn check(method: Method, uri: &str, kind: &str, expect: Result<(&str, Program, bool), StatusCode>) {
        let mut headers = HeaderMap::new();
        if !kind.is_empty() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(kind).unwrap());
        }
        let got = parse(&method, &uri.parse().unwrap(), &headers);
        let got = got.map(|target| (target.app.to_string(), target.program, target.advertise)).map_err(|u| u.0);
        assert_eq!(got, expect.map(|(app, program, advertise)| (app.to_owned(), program, advertise)), "{uri}");
    }

    #[test]
    fn the_smart_protocol_has_two_programs_and_two_steps() {
        use Program::{ReceivePack, UploadPack};
        check(Method::GET, "/git/web.git/info/refs?service=git-upload-pack", "", Ok(("web", UploadPack, true)));
        check(Method::GET, "/git/web.git/info/refs?a=b&service=git-receive-pack", "", Ok(("web", ReceivePack, true)));
        let kind = "application/x-git-receive-pack-request";
        check(Method::POST, "/git/web.git/git-receive-pack", kind, Ok(("web", ReceivePack, false)));
        check(Method::POST, "/git/web.git/git-upload-pack", kind, Err(StatusCode::UNSUPPORTED_MEDIA_TYPE));
        check(Method::GET, "/git/web.git/git-upload-pack", kind, Err(StatusCode::METHOD_NOT_ALLOWED));
    }

    #[test]
    fn other_paths_are_not_found() {
        for uri in [
            "/",
            "/git/",
            "/git/web/info/refs?service=git-upload-pack",
            "/git/web.git/HEAD",
            "/git/web.git/objects/info/packs",
            "/git/../web.git/info/refs",
            "/git/a/b.git/info/refs",
            "/git/%2e%2e.git/info/refs",
            "/git/web.git/git-upload-archive",
        ] {
            check(Method::GET, uri, "", Err(StatusCode::NOT_FOUND));
        }
        check(Method::GET, "/git/web.git/info/refs", "", Err(StatusCode::FORBIDDEN));
        check(Method::GET, "/git/web.git/info/refs?service=git-daemon", "", Err(StatusCode::FORBIDDEN));
    }

    #[test]
    fn the_protocol_header_is_pairs_of_words() {
        let check = |text: &str, good: bool| {
            let headers =
                HeaderMap::from_iter([("git-protocol".parse().unwrap(), HeaderValue::from_str(text).unwrap())]);
            assert_eq!(protocol(&headers), good.then_some(text), "{text}");
        };
        check("version=2", true);
        check("version=2:object=sha1", true);
        for bad in ["", "version", "version=", "=2", "version=2:", "version=2;x", "version=$(x)", "version=2\tx=y"] {
            check(bad, false);
        }
        check(&format!("version={}", "2".repeat(100)), false);
    }

    #[test]
    fn credentials_are_basic_or_bearer() {
        let check = |text: &str, expect: Option<Credentials>| {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_str(text).unwrap())]);
            assert_eq!(credentials(&headers), expect, "{text}");
        };
        let basic = Credentials::Basic { user: "user".into(), password: "pass:word".into() };
        check(&format!("Basic {}", BASE64_STANDARD.encode("user:pass:word")), Some(basic));
        check("bearer token", Some(Credentials::Bearer("token".into())));
        for bad in ["Basic", "Basic !", "Basic dXNlcg==", "Digest x", ""] {
            check(bad, None);
        }
    }
}

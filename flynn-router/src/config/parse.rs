use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;

use flynn_core::name::{AppName, HostPattern, PathPrefix, ProcessName};
use flynn_core::noun::Traffic;
use flynn_core::{Id, Ids, JobId, Timestamp};
use toml::Spanned;

use super::document::{self, Document};
use crate::rules::{FieldRules, RateLimit, RuleError, Rules};
use crate::table::{Content, HostMatch, Place, RouteSpec, TargetKey, TargetSpec};

/// What is wrong with a configuration, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
#[non_exhaustive]
pub struct ConfigFault {
    /// The line, from 1.
    pub line: usize,
    /// The character in that line, from 1.
    pub column: usize,
    /// What is wrong and what to do.
    pub message: String,
}

/// A fault at a place in the text.
pub(super) struct Fault(Range<usize>, String);

/// Reads a configuration.
///
/// ```
/// let content = flynn_router::config::parse("
/// [apps.web]
/// instances = ['127.0.0.1:3000']
/// [[routes]]
/// host = '*'
/// app = 'web'
/// ")?;
/// assert_eq!(content.routes().count(), 1);
///
/// let fault = flynn_router::config::parse("[[routes]]\nhost = 'a b'\napp = 'web'").unwrap_err();
/// assert_eq!((fault.line, fault.column), (2, 8));
/// # Ok::<(), flynn_router::config::ConfigFault>(())
/// ```
///
/// # Errors
/// The first fault in the text.
pub fn parse(text: &str) -> Result<Content, ConfigFault> {
    document(text).and_then(content).map_err(|fault| fault.locate(text))
}

pub(super) fn document(text: &str) -> Result<Document, Fault> {
    toml::from_str(text)
        .map_err(|error| Fault(error.span().unwrap_or_default(), error.message().trim_end().replace('\n', ", ")))
}

impl Fault {
    #[cfg(feature = "tls")]
    pub(super) fn at(place: Range<usize>, message: String) -> Self {
        Self(place, message)
    }

    /// Says where in `text` it is.
    pub(super) fn locate(self, text: &str) -> ConfigFault {
        let Self(place, message) = self;
        let before = text.get(..place.start).unwrap_or(text);
        let line = before.rsplit('\n').next().unwrap_or_default();
        ConfigFault { line: before.matches('\n').count() + 1, column: line.chars().count() + 1, message }
    }
}

pub(super) fn content(document: Document) -> Result<Content, Fault> {
    let mut targets = BTreeMap::new();
    for (name, app) in document.apps {
        let (key, spec) = target(&name, &app)?;
        targets.insert(name.into_inner(), (key, spec));
    }
    let mut routes = BTreeMap::new();
    for route in document.routes {
        let place = place(&route)?;
        let Some((target, _)) = targets.get(route.app.get_ref()) else {
            let name = route.app.get_ref();
            return Err(fault(&route.app, format!("there is no app {name:?}: add a table [apps.{name}]")));
        };
        let rules = Arc::new(rules(&route)?);
        let taken = format!("there is a route for {}{} already", place.host, place.path);
        if routes.insert(place, RouteSpec { target: target.clone(), rules }).is_some() {
            return Err(fault(&route.host, taken));
        }
    }
    // As in a store, a target without a route is not in the table.
    let used: BTreeSet<_> = routes.values().map(|spec| spec.target.clone()).collect();
    Ok(Content::from_parts(routes, targets.into_values().filter(|(key, _)| used.contains(key))))
}

fn target(name: &Spanned<String>, app: &document::App) -> Result<(TargetKey, TargetSpec), Fault> {
    let app_name = AppName::new(name.get_ref()).map_err(|error| fault(name, error))?;
    let process = ProcessName::new("web").map_err(|error| fault(name, error))?;
    let mut backends = BTreeMap::new();
    for instance in &app.instances {
        let address: SocketAddr = instance.get_ref().parse().map_err(|_| {
            let text = instance.get_ref();
            fault(instance, format!("{text:?} is no address of an instance: use one such as 127.0.0.1:3000"))
        })?;
        let job: JobId = id_of(&(app_name.as_str(), address));
        if backends.insert(job, address).is_some() {
            return Err(fault(instance, format!("the app has the instance {address} already")));
        }
    }
    let traffic = if app.maintenance { Traffic::Maintenance } else { Traffic::Serve };
    let key = TargetKey { app: id_of(app_name.as_str()), process };
    Ok((key, TargetSpec { name: app_name, traffic, backends }))
}

fn place(route: &document::Route) -> Result<Place, Fault> {
    let host = match route.host.get_ref().as_str() {
        "*" => HostMatch::Any,
        pattern => HostPattern::new(pattern).map_err(|error| fault(&route.host, error))?.into(),
    };
    let path = match &route.path {
        Some(path) => PathPrefix::new(path.get_ref()).map_err(|error| fault(path, error))?,
        None => PathPrefix::root(),
    };
    Ok(Place { host, path })
}

fn rules(route: &document::Route) -> Result<Rules, Fault> {
    let rate = match &route.rate {
        Some(rate) => {
            let document::Rate { per_second, burst } = rate.get_ref();
            let limit = RateLimit::new(*per_second, burst.unwrap_or(*per_second));
            Some(limit.ok_or_else(|| fault(rate, "a rate limit of zero lets nothing through: use at least 1"))?)
        }
        None => None,
    };
    Ok(Rules {
        redirect_https: route.redirect_https,
        rate,
        maintenance: route.maintenance,
        maintenance_page: route.maintenance_page.as_deref().map(Arc::from),
        strip_prefix: route.strip_prefix,
        request: fields(&route.request_headers)?,
        response: fields(&route.response_headers)?,
    })
}

fn fields(headers: &document::Headers) -> Result<FieldRules, Fault> {
    let mut rules = FieldRules::default();
    for name in &headers.remove {
        rules = rules.without(name.get_ref()).map_err(|error| fault(name, error))?;
    }
    for (name, value) in &headers.set {
        rules = rules.with(name.get_ref(), value.get_ref()).map_err(|error| match error {
            RuleError::Value(_) => fault(value, error),
            error => fault(name, error),
        })?;
    }
    Ok(rules)
}

pub(super) fn fault<T>(at: &Spanned<T>, message: impl fmt::Display) -> Fault {
    Fault(at.span(), message.to_string())
}

/// An id that is the same for the same words, in one process.
fn id_of<N>(words: &(impl Hash + ?Sized)) -> Id<N> {
    let mut hasher = DefaultHasher::new();
    words.hash(&mut hasher);
    Ids::seeded(hasher.finish()).next(Timestamp::EPOCH)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "
[apps.web]
instances = ['127.0.0.1:3000', '[::1]:3001']
[[routes]]
host = '*.Example.com'
app = 'web'
[[routes]]
host = '*'
path = '/api'
app = 'web'
strip_prefix = true
redirect_https = true
rate = { per_second = 5 }
maintenance = true
maintenance_page = 'x'
request_headers = { remove = ['cookie'], set = { x-team = 'red' } }
";

    #[test]
    fn all_that_is_said_is_taken() {
        let content = parse(GOOD).unwrap();
        let routes: Vec<_> = content.routes().collect();
        assert_eq!(routes[0].0.host.to_string(), "*.example.com");
        let (place, spec) = routes[1];
        assert_eq!((place.host.to_string().as_str(), place.path.as_str()), ("*", "/api"));
        let rules = Rules {
            redirect_https: true,
            rate: RateLimit::new(5, 5),
            maintenance: true,
            maintenance_page: Some("x".into()),
            strip_prefix: true,
            request: FieldRules::default().without("cookie").unwrap().with("x-team", "red").unwrap(),
            response: FieldRules::default(),
        };
        assert_eq!(*spec.rules, rules);
        let targets: Vec<_> = content.targets().collect();
        assert_eq!((targets.len(), targets[0].1.backends.len()), (1, 2));
        // Read again, nothing is to be done.
        assert!(parse(GOOD).unwrap().changes_from(&content).is_empty());
        assert_eq!(parse("").unwrap().routes().count(), 0);
    }

    fn check(text: &str, line: usize, column: usize, what: &str) {
        let fault = parse(text).unwrap_err();
        assert_eq!((fault.line, fault.column), (line, column), "{fault}");
        assert!(fault.message.contains(what) && !fault.message.contains('\n'), "{fault}");
    }

    #[test]
    fn faults_say_where_they_are() {
        check("[apps.web]\ninstances = ['127.0.0.1']", 2, 14, "use one such as 127.0.0.1:3000");
        check("[apps.web]\ninstances = ['1.1.1.1:1', '1.1.1.1:1']", 2, 27, "already");
        check("[apps.'A b']", 1, 7, "name");
        check("[apps.web]\nmaintainance = true", 2, 1, "unknown field `maintainance`");
        check("[apps.web\n", 1, 10, "");
        check("[[routes]]\nhost = '*'\napp = 'ä'", 3, 7, "there is no app");
        check("[[routes]]\napp = 'web'", 1, 1, "missing field `host`");
        let with = |rest: &str| format!("[apps.a]\n[[routes]]\nhost = '*'\napp = 'a'\n{rest}");
        check(&with("path = 'x'"), 5, 8, "path");
        check(&with("rate = { per_second = 0 }"), 5, 8, "zero");
        check(&with("rate = { per_second = -1 }"), 5, 23, "");
        check(&with("request_headers.remove = ['x', 'Host']"), 5, 32, "host");
        check(&with("response_headers.set = { 'a b' = '1' }"), 5, 26, "field name");
        check(&with("response_headers.set = { ä-b = '1' }"), 5, 26, "");
        check(&with("response_headers.set = { x = \"ä\\n\" }"), 5, 30, "visible");
        check(&with("[[routes]]\nhost = '*'\napp = 'a'"), 6, 8, "already");
        check(&with("strip_prefix = 'yes'"), 5, 16, "boolean");
    }

    proptest! {
        #[test]
        fn no_text_is_too_strange(text in "[\\[\\]a-z='\",.*{}0-9\\n#é -]{0,200}") {
            if let Err(fault) = parse(&text) {
                let line = text.split('\n').nth(fault.line - 1);
                prop_assert!(line.is_some_and(|line| fault.column <= line.chars().count() + 1), "{}", fault);
            }
        }

        /// A text with one piece of it damaged is read whole or refused inside of it.
        #[test]
        fn damage_is_refused_or_harmless(at in 0..GOOD.len(), with in "[ -~]{0,3}", cut in 0_usize..3) {
            let mut text = GOOD.to_owned();
            text.replace_range(at..(at + cut).min(GOOD.len()), &with);
            if let Err(fault) = parse(&text) {
                prop_assert!(fault.line <= text.split('\n').count() && !fault.message.is_empty());
            }
        }
    }
}

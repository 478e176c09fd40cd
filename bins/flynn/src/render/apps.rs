//! Apps, their configuration and what reaches them.

use std::fmt::Write;

use flynn_core::Timestamp;
use flynn_core::api::{App, Config, ConfigChange, ConfigChanged, Domain, Route};

use super::{Cell, Fields, Table, ago, state};
use crate::output::{Style, Tone};

fn release(app: &App) -> Cell {
    app.release.map_or(Cell::toned("none", Tone::Faint), |number| Cell::from(format!("v{number}")))
}

fn condition(app: &App) -> Cell {
    if app.maintenance { Cell::toned("maintenance", Tone::Busy) } else { state(&app.state) }
}

pub(crate) fn apps(apps: &[App], now: Timestamp) -> Table {
    let mut table = Table::new(
        &["NAME", "TEAM", "STATE", "RELEASE", "URL", "CREATED"],
        "No apps yet. Create one with `flynn create`.",
    );
    for app in apps {
        let created = Cell::toned(ago(app.created_at.0, now), Tone::Faint);
        let url = app.url.clone().unwrap_or_default();
        table.row([
            app.name.as_str().into(),
            app.team.as_str().into(),
            condition(app),
            release(app),
            url.into(),
            created,
        ]);
    }
    table
}

pub(crate) fn app(app: &App, now: Timestamp) -> Fields {
    Fields::default()
        .with("Name", app.name.as_str())
        .with("Id", app.id.to_string())
        .with("Team", app.team.as_str())
        .with("State", condition(app))
        .with("Release", release(app))
        .with_some("URL", app.url.clone())
        .with("Hosts", app.hosts.join(" "))
        .with_some("Deploys", app.deploys.as_ref().map(|_| mode(app)))
        .with("Created", ago(app.created_at.0, now))
}

/// How the deployments of an app go, in the words that set it.
pub(crate) fn mode(app: &App) -> String {
    let Some(mode) = &app.deploys else {
        return String::from("as usual");
    };
    let span = |millis: Option<u64>| {
        millis.filter(|millis| *millis > 0).map(|millis| match millis % 1_000 {
            0 => format!("{}s", millis / 1_000),
            _ => format!("{millis}ms"),
        })
    };
    let settings = [
        ("batch", mode.batch.clone()),
        ("max-extra", mode.max_extra.clone()),
        ("max-missing", mode.max_missing.clone()),
        ("healthy-for", span(mode.healthy_for_ms)),
        ("start-deadline", span(mode.start_deadline_ms)),
        ("progress-deadline", span(mode.progress_deadline_ms)),
        ("on-failure", mode.on_failure.as_ref().map(|word| word.replace('_', "-"))),
    ];
    let settings = settings.into_iter().filter_map(|(name, value)| Some(format!(" {name}={}", value?)));
    mode.strategy.replace('_', "-") + &settings.collect::<String>()
}

/// An app that was made, and what comes next. `remote` is the git remote that was set, and the branch.
pub(crate) fn created(app: &App, remote: Option<(&str, Option<&str>)>, style: Style) -> String {
    let mut text = format!("Created {}.\n", style.bold(&app.name));
    if let Some(url) = &app.url {
        text += &format!("It will answer at {url} once something is deployed.\n");
    }
    text += &match remote {
        Some((remote, branch)) => format!("Deploy with: git push {remote} {}\n", branch.unwrap_or("main")),
        None => format!("Deploy with: flynn deploy -a {} [DIRECTORY]\n", app.name),
    };
    text
}

/// `KEY=VALUE`, one a line.
pub(crate) fn config(config: &Config, style: Style) -> String {
    if config.values.is_empty() && style.aligned {
        return String::from("No variables are set. Set one with `flynn config set KEY=VALUE`.\n");
    }
    let mut text = String::new();
    for (key, value) in &config.values {
        let value = value.as_deref().map_or(style.dim("(hidden)"), str::to_owned);
        // Writing to a string always works.
        let _ = writeln!(text, "{}={value}", style.bold(key));
    }
    text
}

/// What came of a change; values are not repeated.
pub(crate) fn config_changed(app: &str, change: &ConfigChange, changed: &ConfigChanged, live: bool) -> String {
    let names = |set: bool| {
        let names = change.values.iter().filter(|(_, value)| value.is_some() == set).map(|(key, _)| key.as_str());
        names.collect::<Vec<_>>().join(", ")
    };
    let mut text = String::new();
    for (word, names) in [("Set", names(true)), ("Unset", names(false))] {
        if !names.is_empty() {
            text += &format!("{word} {names} of {app}.\n");
        }
    }
    text += &match (&changed.release, live) {
        (Some(release), true) => format!("v{} is live.\n", release.number),
        (Some(release), false) => format!("v{} is being deployed.\n", release.number),
        (None, _) => String::from("No release carries it yet: the next one will, or nothing changed.\n"),
    };
    text
}

pub(crate) fn domains(domains: &[Domain]) -> Table {
    let mut table = Table::new(&["HOST", "KIND"], "No host reaches this app. Add one with `flynn domains add HOST`.");
    for domain in domains {
        let kind = if domain.is_default { Cell::toned("default", Tone::Faint) } else { "added".into() };
        table.row([domain.host.as_str().into(), kind]);
    }
    table
}

/// What a route matches, as it is typed.
pub(crate) fn place(route: &Route) -> String {
    match route.port {
        Some(port) => format!("port {port}"),
        None => {
            let path = route.path.as_deref().filter(|path| *path != "/").unwrap_or_default();
            format!("{}{path}", route.host.as_deref().unwrap_or_default())
        }
    }
}

pub(crate) fn routes(routes: &[Route]) -> Table {
    let mut table = Table::new(
        &["ID", "KIND", "ROUTE", "PROCESS", "OPTIONS"],
        "No route reaches this app. Add one with `flynn routes add http HOST`.",
    );
    for route in routes {
        let mut options = Vec::new();
        options.extend(route.sticky.then(|| String::from("sticky")));
        options.extend(route.redirect_https.then(|| String::from("redirect-https")));
        options.extend(route.proxy_protocol.as_ref().map(|version| format!("proxy-protocol {version}")));
        let id = Cell::toned(route.id.to_string(), Tone::Faint);
        let (kind, process) = (route.kind.as_str().into(), route.process.as_str().into());
        table.row([id, kind, place(route).into(), process, options.join(" ").into()]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::samples::{self, ALIGNED, COLOUR, NOW};

    #[test]
    fn apps_are_shown_with_what_they_serve() {
        let mut later = samples::app("api");
        later.release = None;
        later.maintenance = true;
        let table = apps(&[samples::app("web"), later], NOW);
        assert_eq!(
            table.render(ALIGNED),
            "NAME  TEAM  STATE        RELEASE  URL                   CREATED\n\
             web   ops   active       v3       http://web.localhost  2m ago\n\
             api   ops   maintenance  none     http://api.localhost  2m ago\n"
        );
        assert_eq!(
            table.render(Style::PLAIN),
            "web\tops\tactive\tv3\thttp://web.localhost\t2m ago\napi\tops\tmaintenance\tnone\thttp://api.localhost\t2m ago\n"
        );
        assert!(table.render(COLOUR).contains("\u{1b}[32mactive\u{1b}[0m"));
    }

    #[test]
    fn a_created_app_says_what_comes_next() {
        assert_eq!(
            created(&samples::app("web"), Some(("flynn", Some("trunk"))), Style::PLAIN),
            "Created web.\nIt will answer at http://web.localhost once something is deployed.\nDeploy with: git push flynn trunk\n"
        );
        assert!(
            created(&samples::app("web"), None, COLOUR).ends_with("Deploy with: flynn deploy -a web [DIRECTORY]\n")
        );
    }

    #[test]
    fn a_configuration_can_be_read_by_a_shell_and_hides_what_may_not_be_seen() {
        let values = [("A".to_owned(), Some("1".to_owned())), ("B".to_owned(), None)];
        let shown = Config { values: values.into(), version: 1 };
        assert_eq!(config(&shown, Style::PLAIN), "A=1\nB=(hidden)\n");
        assert_eq!(config(&Config::default(), Style::PLAIN), "");
    }

    #[test]
    fn a_changed_configuration_names_keys_and_no_values() {
        let change =
            ConfigChange { values: [("A".to_owned(), Some("secret".to_owned())), ("B".to_owned(), None)].into() };
        let mut changed =
            ConfigChanged { config: Config::default(), release: Some(samples::release(4)), deployment: None };
        let text = config_changed("web", &change, &changed, true);
        assert_eq!(text, "Set A of web.\nUnset B of web.\nv4 is live.\n");
        changed.release = None;
        assert!(config_changed("web", &change, &changed, true).ends_with("or nothing changed.\n"));
    }

    #[test]
    fn routes_are_shown_as_they_are_typed() {
        let mut below = samples::route("a.example", "/b");
        (below.sticky, below.redirect_https) = (true, true);
        let id = below.id;
        assert_eq!(
            routes(&[samples::route("a.example", "/"), below]).render(Style::PLAIN),
            format!("{id}\thttp\ta.example\tweb\t\n{id}\thttp\ta.example/b\tweb\tsticky redirect-https\n")
        );
        let domain = Domain { host: "web.localhost".into(), is_default: true, routes: vec![] };
        assert_eq!(domains(&[domain]).render(Style::PLAIN), "web.localhost\tdefault\n");
    }
}

//! `flynn routes`.

use clap::{Args, Subcommand};
use flynn_core::api::NewRoute;
use flynn_core::client::Api;
use flynn_core::noun::RouteId;

use super::ALL;
use crate::failure::Failure;
use crate::render;
use crate::session::Session;

/// List the routes of an app, add or remove one
#[derive(Debug, Args)]
pub(crate) struct Routes {
    #[command(subcommand)]
    command: Option<Change>,
}

#[derive(Debug, Subcommand)]
enum Change {
    /// Let requests reach a process type of the app
    #[command(subcommand)]
    Add(Add),
    /// Take a route away
    Remove {
        /// Its id
        id: RouteId,
    },
}

#[derive(Debug, Subcommand)]
enum Add {
    /// HTTP requests for a host and below a path
    Http {
        /// The host and, if only a part of it is meant, the path
        #[arg(value_name = "HOST[/PATH]")]
        place: String,
        /// The process type that answers; web if left out
        #[arg(short, long, value_name = "TYPE")]
        process: Option<String>,
        /// Let a client stay with one instance
        #[arg(long)]
        sticky: bool,
        /// Redirect requests without TLS to https
        #[arg(long)]
        redirect_https: bool,
    },
}

#[derive(serde::Serialize)]
struct Removed {
    id: RouteId,
}

pub(super) async fn run(session: &Session, command: Routes) -> Result<(), Failure> {
    let (api, app) = (session.api()?, session.app()?);
    match command.command {
        None => {
            let routes = Api::collect(ALL, async |page| api.routes(&app, &page).await);
            let routes = session.wait("Listing routes", routes).await?;
            session.output().show(&routes, |style| render::routes(&routes).render(style))
        }
        Some(Change::Add(Add::Http { place, process, sticky, redirect_https })) => {
            let (host, path) = split(&place)?;
            let route = NewRoute { kind: Some("http".into()), host, path, process, sticky, redirect_https };
            let route = session.wait("Adding the route", api.create_route(&app, &route)).await?;
            session
                .output()
                .show(&route, |_| format!("{} reaches {} of {app}.\n", render::place(&route), route.process))
        }
        Some(Change::Remove { id }) => {
            session.wait("Removing the route", api.remove_route(&app, id)).await?;
            session.output().show(&Removed { id }, |_| format!("Removed the route {id}.\n"))
        }
    }
}

/// Splits `HOST/PATH` before its first slash.
fn split(place: &str) -> Result<(String, Option<String>), Failure> {
    if place.contains("://") {
        return Err(Failure::usage(format!("`{place}` is a URL; a route is HOST or HOST/PATH")));
    }
    Ok(match place.find('/') {
        Some(at) => (place[..at].to_owned(), Some(place[at..].to_owned())),
        None => (place.to_owned(), None),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_host_and_perhaps_a_path() {
        assert_eq!(split("a.example"), Ok(("a.example".into(), None)));
        assert_eq!(split("a.example/b/c"), Ok(("a.example".into(), Some("/b/c".into()))));
        assert_eq!(split("http://a.example").unwrap_err().code(), 2);
    }
}

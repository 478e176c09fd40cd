//! What serves an app that does not say how it is started.

use crate::detect::PythonServe;

/// The command, and what the author should know of it; an error that says what to install.
///
/// `has` says whether a program is there, such as `gunicorn`, by the packages that were installed.
pub(super) fn command(serve: &PythonServe, has: &dyn Fn(&str) -> bool) -> Result<(String, Option<String>), String> {
    let found = |command: String| Ok((format!("exec {command}"), None));
    let own = |command: String, server: &str| {
        let note = format!("the server of {server} is meant for development: add gunicorn to the packages");
        Ok((format!("exec {command}"), Some(note)))
    };
    match serve {
        PythonServe::Django { wsgi, asgi } => match (wsgi, asgi) {
            (Some(wsgi), _) if has("gunicorn") => found(format!("gunicorn --bind 0.0.0.0:$PORT {wsgi}:application")),
            (Some(wsgi), _) if has("waitress-serve") => {
                found(format!("waitress-serve --listen=0.0.0.0:$PORT {wsgi}:application"))
            }
            (_, Some(asgi)) if has("uvicorn") => {
                found(format!("uvicorn --host 0.0.0.0 --port $PORT {asgi}:application"))
            }
            (_, Some(asgi)) if has("daphne") => found(format!("daphne -b 0.0.0.0 -p $PORT {asgi}:application")),
            _ if has("django-admin") => own("python manage.py runserver --noreload 0.0.0.0:$PORT".to_owned(), "Django"),
            _ => Err("there is a manage.py of Django, but Django is not among the packages: add django and gunicorn"
                .to_owned()),
        },
        PythonServe::Wsgi(app) if has("gunicorn") => found(format!("gunicorn --bind 0.0.0.0:$PORT '{app}'")),
        PythonServe::Wsgi(app) if has("waitress-serve") => match app.strip_suffix("()") {
            Some(factory) => found(format!("waitress-serve --listen=0.0.0.0:$PORT --call '{factory}'")),
            None => found(format!("waitress-serve --listen=0.0.0.0:$PORT '{app}'")),
        },
        PythonServe::Wsgi(app) if has("flask") => {
            own(format!("flask --app '{app}' run --host 0.0.0.0 --port $PORT"), "Flask")
        }
        PythonServe::Asgi(app) if has("uvicorn") => found(format!("uvicorn --host 0.0.0.0 --port $PORT {app}")),
        PythonServe::Asgi(app) if has("hypercorn") => found(format!("hypercorn --bind 0.0.0.0:$PORT {app}")),
        PythonServe::Asgi(app) if has("daphne") => found(format!("daphne -b 0.0.0.0 -p $PORT {app}")),
        PythonServe::Wsgi(app) => Err(no_server(app, "gunicorn")),
        PythonServe::Asgi(app) => Err(no_server(app, "uvicorn")),
    }
}

fn no_server(app: &str, server: &str) -> String {
    format!(
        "{app} is to be served, but none of the packages is a server: add {server} to them, or a Procfile with a \
         line `web: COMMAND`"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(serve: &PythonServe, programs: &[&str], expect: Result<(&str, bool), &str>) {
        match (command(serve, &|program| programs.contains(&program)), expect) {
            (Ok((command, note)), Ok((expect, has_note))) => {
                assert_eq!((command.as_str(), note.is_some()), (expect, has_note));
            }
            (Err(error), Err(words)) => assert!(error.contains(words), "{error}"),
            (got, expect) => panic!("{got:?} instead of {expect:?}"),
        }
    }

    #[test]
    fn what_is_installed_serves() {
        let flask = PythonServe::Wsgi("app:app".into());
        check(&flask, &["flask", "gunicorn"], Ok(("exec gunicorn --bind 0.0.0.0:$PORT 'app:app'", false)));
        check(&flask, &["flask"], Ok(("exec flask --app 'app:app' run --host 0.0.0.0 --port $PORT", true)));
        check(&flask, &["uvicorn"], Err("add gunicorn"));
        let factory = PythonServe::Wsgi("app:make_app()".into());
        let waitress = "exec waitress-serve --listen=0.0.0.0:$PORT --call 'app:make_app'";
        check(&factory, &["waitress-serve"], Ok((waitress, false)));
        let fast = PythonServe::Asgi("main:app".into());
        check(&fast, &["uvicorn", "fastapi"], Ok(("exec uvicorn --host 0.0.0.0 --port $PORT main:app", false)));
        check(&fast, &["fastapi"], Err("add uvicorn"));
    }

    #[test]
    fn a_site_of_django_is_served_by_what_there_is_or_itself() {
        let django = |wsgi: Option<&str>, asgi: Option<&str>| PythonServe::Django {
            wsgi: wsgi.map(str::to_owned),
            asgi: asgi.map(str::to_owned),
        };
        let both = django(Some("s.wsgi"), Some("s.asgi"));
        let gunicorn = "exec gunicorn --bind 0.0.0.0:$PORT s.wsgi:application";
        check(&both, &["django-admin", "gunicorn", "uvicorn"], Ok((gunicorn, false)));
        let uvicorn = "exec uvicorn --host 0.0.0.0 --port $PORT s.asgi:application";
        check(&both, &["django-admin", "uvicorn"], Ok((uvicorn, false)));
        check(&django(None, Some("s.asgi")), &["django-admin", "gunicorn", "uvicorn"], Ok((uvicorn, false)));
        let own = "exec python manage.py runserver --noreload 0.0.0.0:$PORT";
        check(&both, &["django-admin"], Ok((own, true)));
        check(&both, &["gunicorn-nothing"], Err("Django is not among the packages"));
    }
}

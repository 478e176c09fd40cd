use crate::detect::evidence::Evidence;

/// What an app serves, as far as its files tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PythonServe {
    /// A site of Django, with the module that serves it by WSGI and the one that does by ASGI, where they are there.
    Django {
        /// Such as `mysite.wsgi`.
        wsgi: Option<String>,
        /// Such as `mysite.asgi`.
        asgi: Option<String>,
    },
    /// An app in the sense of WSGI, such as one of Flask: a module and a name or call in it, such as `app:app`.
    Wsgi(String),
    /// An app in the sense of ASGI, such as one of FastAPI: a module and a name in it, such as `main:app`.
    Asgi(String),
}

/// Where apps usually are, the place that counts first.
const PLACES: [&str; 14] = [
    "wsgi.py",
    "asgi.py",
    "main.py",
    "app.py",
    "application.py",
    "server.py",
    "index.py",
    "app/main.py",
    "app/app.py",
    "app/__init__.py",
    "src/main.py",
    "src/app.py",
    "src/__init__.py",
    "api/main.py",
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Speaks {
    Wsgi,
    Asgi,
}

/// What is called to make an app.
const CALLS: [(&str, Speaks); 8] = [
    ("Flask", Speaks::Wsgi),
    ("get_wsgi_application", Speaks::Wsgi),
    ("FastAPI", Speaks::Asgi),
    ("Starlette", Speaks::Asgi),
    ("Quart", Speaks::Asgi),
    ("Litestar", Speaks::Asgi),
    ("Sanic", Speaks::Asgi),
    ("get_asgi_application", Speaks::Asgi),
];
const FACTORIES: [&str; 2] = ["create_app", "make_app"];

/// What is there to be served; none if nothing of it is known.
pub(super) fn serve(evidence: &Evidence) -> Option<PythonServe> {
    django(evidence).or_else(|| {
        PLACES.iter().find_map(|path| {
            let (name, speaks) = app_in(&evidence.head(path), ["wsgi.py", "asgi.py"].contains(path))?;
            let module = path.trim_end_matches(".py").trim_end_matches("/__init__").replace('/', ".");
            let app = format!("{module}:{name}");
            let is_async = speaks == Speaks::Asgi || *path == "asgi.py";
            Some(if is_async { PythonServe::Asgi(app) } else { PythonServe::Wsgi(app) })
        })
    })
}

/// A site of Django is known by its `manage.py`, which names the settings; what serves it is beside those or above.
fn django(evidence: &Evidence) -> Option<PythonServe> {
    let text = evidence.head("manage.py");
    let (_, rest) = text.split_once("DJANGO_SETTINGS_MODULE")?;
    let settings = rest.split(['"', '\'']).map(str::trim).find(|word| {
        let is_module = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
        !word.is_empty() && word.chars().all(is_module)
    })?;
    let find = |name: &str| {
        let mut package = settings;
        while let Some((above, _)) = package.rsplit_once('.') {
            if evidence.has(&format!("{}/{name}.py", above.replace('.', "/"))) {
                return Some(format!("{above}.{name}"));
            }
            package = above;
        }
        None
    };
    Some(PythonServe::Django { wsgi: find("wsgi"), asgi: find("asgi") })
}

/// The app that a file makes at its top level, by the name that it has there; else one that a function of it makes.
fn app_in(text: &str, serves: bool) -> Option<(String, Speaks)> {
    let made = text.lines().find_map(|line| {
        let (name, call) = assignment(line)?;
        let speaks = CALLS.iter().find(|(known, _)| *known == call).map(|(_, speaks)| *speaks);
        // Elsewhere a function of that name may make anything.
        let speaks = speaks.or_else(|| (serves && FACTORIES.contains(&call)).then_some(Speaks::Wsgi));
        speaks.map(|speaks| (name.to_owned(), speaks))
    });
    made.or_else(|| {
        let factory = FACTORIES.iter().find(|name| {
            let start = format!("def {name}(");
            text.lines().any(|line| line.starts_with(&start))
        })?;
        text.contains("Flask(").then(|| (format!("{factory}()"), Speaks::Wsgi))
    })
}

/// The name on the left and the last name of what is called on the right, such as `app` and `Flask` of
/// `app: Flask = flask.Flask(__name__)`.
fn assignment(line: &str) -> Option<(&str, &str)> {
    let (left, right) = line.split_once('=')?;
    let name = left.split(':').next()?.trim_end();
    let is_name = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let callee = right.trim_start().split_once('(')?.0;
    let call = callee.rsplit('.').next()?.trim();
    (is_name(name) && is_name(call)).then_some((name, call))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(files: &[(&str, &str)]) -> Option<PythonServe> {
        serve(&files.iter().fold(Evidence::default(), |evidence, (path, text)| evidence.with(*path, text)))
    }

    #[test]
    fn apps_are_found_where_they_are_made() {
        let wsgi = |app: &str| Some(PythonServe::Wsgi(app.to_owned()));
        let asgi = |app: &str| Some(PythonServe::Asgi(app.to_owned()));
        assert_eq!(served(&[("app.py", "from flask import Flask\napp = Flask(__name__)\n")]), wsgi("app:app"));
        assert_eq!(served(&[("app.py", "import flask\nweb: flask.Flask = flask.Flask('x')\n")]), wsgi("app:web"));
        assert_eq!(served(&[("main.py", "app=FastAPI(title='x')")]), asgi("main:app"));
        assert_eq!(served(&[("app/main.py", "app = FastAPI(\n)")]), asgi("app.main:app"));
        assert_eq!(served(&[("app/__init__.py", "app = Flask(__name__)")]), wsgi("app:app"));
        assert_eq!(
            served(&[("wsgi.py", "from x import create_app\napplication = create_app()")]),
            wsgi("wsgi:application")
        );
        assert_eq!(
            served(&[("app/__init__.py", "def create_app(config=None):\n    app = Flask(__name__)\n    return app\n")]),
            wsgi("app:create_app()")
        );
        let both = [("main.py", "app = FastAPI()"), ("asgi.py", "from main import app\nserver = Starlette()")];
        assert_eq!(served(&both), asgi("asgi:server"));
        for other in ["", "    app = Flask(__name__)", "# app = Flask(__name__)", "app == Flask()", "x = app.run()"] {
            assert_eq!(served(&[("app.py", other)]), None, "{other}");
        }
    }

    #[test]
    fn a_site_of_django_is_served_by_what_is_near_its_settings() {
        let manage = |settings: &str| format!("os.environ.setdefault('DJANGO_SETTINGS_MODULE', \"{settings}\")\n");
        let django = |wsgi: Option<&str>, asgi: Option<&str>| {
            Some(PythonServe::Django { wsgi: wsgi.map(str::to_owned), asgi: asgi.map(str::to_owned) })
        };
        let plain = manage("site.settings");
        assert_eq!(
            served(&[("manage.py", &plain), ("site/wsgi.py", ""), ("site/asgi.py", "")]),
            django(Some("site.wsgi"), Some("site.asgi"))
        );
        let deep = manage("config.settings.production");
        assert_eq!(served(&[("manage.py", &deep), ("config/wsgi.py", "")]), django(Some("config.wsgi"), None));
        assert_eq!(served(&[("manage.py", &plain)]), django(None, None));
        assert_eq!(served(&[("manage.py", "print('x')")]), None);
    }
}

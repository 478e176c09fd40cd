//! The configuration of apps. Values are opened only for who may change them.

use std::collections::BTreeMap;

use super::document::release as release_document;
use super::exchange::{Json, Shown};
use super::releases::{self, Next};
use super::routes::Routes;
use super::{Api, ApiError, Call};
use crate::api::{Config, ConfigChange, ConfigChanged, FieldError};
use crate::change::Change;
use crate::name::EnvKey;
use crate::noun::{App, AppId, Deployment, Release, ReleaseCause, Stored};
use crate::port::SealedFor;
use crate::value::Env;

/// What the platform sets in every job.
const RESERVED: [&str; 6] = ["PORT", "FLYNN_APP", "FLYNN_RELEASE", "FLYNN_PROCESS", "FLYNN_JOB", "FLYNN_NODE"];
/// Linux takes at most this many bytes in one variable: its name, `=`, its value and a NUL byte.
const LONGEST: usize = 128 << 10;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/v1/apps/{app}/config", "getConfig", "The configuration of an app.", get)
        .details("Who may not change it sees the names of the variables and no values.")
        .patch("/v1/apps/{app}/config", "changeConfig", "Sets and unsets variables.", change)
        .details(
            "An app that has been deployed gets a release with the changed configuration, and a deployment that \
             brings it about. If nothing changes there is neither.",
        )
}

async fn get(call: Call, (): ()) -> Result<Shown<Config>, ApiError> {
    let app = call.app()?;
    Ok(Shown::of(document(&call, &app)?, app.spec_version))
}

fn document(call: &Call, app: &Stored<App>) -> Result<Config, ApiError> {
    let may_see = call.would_be_allowed(&Change::update(app.id, app.spec.clone()));
    let mut values = BTreeMap::new();
    for key in app.spec.env.keys() {
        let value = if may_see { Some(open(&call.api, app, key)?) } else { None };
        values.insert(key.to_string(), value);
    }
    Ok(Config { values, version: app.spec_version.get() })
}

fn open(api: &Api, app: &Stored<App>, key: &EnvKey) -> Result<String, ApiError> {
    let Some(sealed) = app.spec.env.get(key) else { return Ok(String::new()) };
    let secret = api.state.key_ring.open(SealedFor::Env(app.id), sealed)?;
    Ok(String::from_utf8_lossy(secret.expose()).into_owned())
}

/// What is to change: the next value of each variable, none to take it away.
fn check(change: ConfigChange) -> Result<BTreeMap<EnvKey, Option<String>>, ApiError> {
    let mut errors = Vec::new();
    let mut checked = BTreeMap::new();
    for (name, value) in change.values {
        let mut refuse = |detail: String| {
            let name: String = name.chars().take(80).flat_map(char::escape_debug).collect();
            errors.push(FieldError { field: format!("values.{name}"), detail });
        };
        let length = value.as_ref().map_or(0, |value| name.len() + value.len() + 2);
        match EnvKey::new(&name) {
            Err(error) => refuse(error.rule().to_owned()),
            Ok(key) if value.is_some() && RESERVED.contains(&key.as_str()) => {
                refuse(String::from("the platform sets this variable itself"));
            }
            Ok(_) if value.as_ref().is_some_and(|value| value.contains('\0')) => {
                refuse(String::from("the value holds a NUL byte, which no program can receive"));
            }
            Ok(_) if length > LONGEST => {
                refuse(format!(
                    "the variable takes {length} bytes with its name, which is more than the {LONGEST} that a program \
                     can receive"
                ));
            }
            Ok(key) => drop(checked.insert(key, value)),
        }
    }
    match errors.is_empty() {
        true => Ok(checked),
        false => Err(ApiError::invalid_fields(errors)),
    }
}

async fn change(mut call: Call, Json(change): Json<ConfigChange>) -> Result<Shown<ConfigChanged>, ApiError> {
    let app = call.app()?.id;
    let change = check(change)?;
    let committed = call
        .commit(|edit| {
            let stored = edit.meant(app)?;
            edit.living(app)?;
            let (env, words) = apply(edit.api(), &stored, &change)?;
            if env == stored.spec.env {
                return Ok(());
            }
            edit.update(&stored, App { env: env.clone(), ..stored.spec.clone() });
            let current = stored.status.release.and_then(|current| edit.objects.get(current)).cloned();
            if let Some(current) = current {
                let base = Release { env, cause: ReleaseCause::Config(words), ..current.spec.clone() };
                releases::deploy(edit, Next { app: &stored, from: Some(current.id), release: base })?;
            }
            Ok(())
        })
        .await?;
    let release = call.made::<Release>(&committed).ok();
    let deployment = call.made::<Deployment>(&committed).ok().map(|deployment| deployment.id);
    answer(&call, app, release.as_deref(), deployment)
}

fn answer(
    call: &Call,
    app: AppId,
    release: Option<&Stored<Release>>,
    deployment: Option<crate::noun::DeploymentId>,
) -> Result<Shown<ConfigChanged>, ApiError> {
    let app = call.objects().get(app).ok_or_else(|| ApiError::not_found("app", &app.to_string()))?;
    let release = release.map(|release| release_document(call.objects(), release));
    let config = document(call, app)?;
    Ok(Shown::of(ConfigChanged { config, release, deployment }, app.spec_version))
}

/// The environment with `change` in it, and what was changed in words. A value that stays keeps its seal.
fn apply(api: &Api, app: &Stored<App>, change: &BTreeMap<EnvKey, Option<String>>) -> Result<(Env, String), ApiError> {
    let mut env = app.spec.env.clone();
    let (mut set, mut unset) = (Vec::new(), Vec::new());
    for (key, value) in change {
        let Some(value) = value else {
            if env.remove(key).is_some() {
                unset.push(key.as_str());
            }
            continue;
        };
        // What cannot be opened any more is replaced.
        let is_same = env.contains_key(key) && open(api, app, key).is_ok_and(|old| old == *value);
        if !is_same {
            env.insert(key.clone(), api.state.key_ring.seal(SealedFor::Env(app.id), value.as_bytes())?);
            set.push(key.as_str());
        }
    }
    let parts = [("set", set), ("unset", unset)].into_iter().filter(|(_, keys)| !keys.is_empty());
    let words: Vec<String> = parts.map(|(verb, keys)| format!("{verb} {}", listed(&keys))).collect();
    Ok((env, words.join(", ")))
}

/// Names in a row, the first of them if they are many.
fn listed(keys: &[&str]) -> String {
    const MOST: usize = 10;
    match keys.len().checked_sub(MOST) {
        Some(more @ 1..) => format!("{} and {more} more", keys[..MOST].join(", ")),
        _ => keys.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_names_are_cut_short() {
        let keys: Vec<String> = (0..12).map(|number| format!("K{number}")).collect();
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        assert_eq!(listed(&keys[..2]), "K0, K1");
        assert_eq!(listed(&keys[..10]), "K0, K1, K2, K3, K4, K5, K6, K7, K8, K9");
        assert_eq!(listed(&keys), "K0, K1, K2, K3, K4, K5, K6, K7, K8, K9 and 2 more");
    }

    #[test]
    fn a_variable_is_as_long_as_a_program_can_receive() {
        let most = LONGEST - "LONG".len() - 2;
        let set = |length| ConfigChange { values: [("LONG".to_owned(), Some("x".repeat(length)))].into() };
        assert!(check(set(most)).is_ok());
        let error = check(set(most + 1)).unwrap_err().problem().clone();
        assert!(error.errors[0].detail.contains("131073 bytes"), "{error:?}");
    }

    #[test]
    fn each_wrong_variable_is_named() {
        let values = [("A B", "1"), ("PORT", "1"), ("NUL", "a\0b"), ("GOOD", "1"), ("FLYNN_X", "1")];
        let values = values.map(|(key, value)| (key.to_owned(), Some(value.to_owned()))).into();
        let error = check(ConfigChange { values }).unwrap_err().problem().clone();
        let fields: Vec<&str> = error.errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, ["values.A B", "values.NUL", "values.PORT"]);
        let unset = [(String::from("PORT"), None)].into();
        assert!(check(ConfigChange { values: unset }).is_ok(), "a variable that is there can be taken away");
    }
}

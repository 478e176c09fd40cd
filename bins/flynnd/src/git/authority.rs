use std::sync::Arc;

use async_trait::async_trait;
use flynn_build::git::{Access, AccessDenied, AppRef, Credentials, GitAuthority, PushContext};
use flynn_core::noun::{App, AppLifecycle, BuildId, Objects, Stored};
use flynn_core::port::Store;
use flynn_core::rule::{Authority, Denial, authorize, authorize_read};
use flynn_core::server::api::Readiness;
use flynn_core::server::{AuthError, Authenticator, Caller, TokenAuthenticator};
use flynn_core::{AppId, Change, Clock, Principal, Scope, SystemClock};
use http::header::AUTHORIZATION;

use super::push::{BUILD, build_of};
use crate::disk::ADVICE;

/// Lets in whoever shows a token, as a password or by itself, that may read or push to the app.
pub(crate) struct TokenAuthority<S> {
    store: Arc<S>,
    tokens: TokenAuthenticator<S>,
    readiness: Readiness,
}

impl<S: Store> TokenAuthority<S> {
    pub(crate) fn new(store: Arc<S>, readiness: Readiness) -> Self {
        Self { tokens: TokenAuthenticator::new(store.clone()), store, readiness }
    }

    async fn principal(&self, credentials: Option<&Credentials>) -> Result<Principal, AccessDenied> {
        let secret = match credentials {
            Some(Credentials::Basic { password, .. }) => password,
            Some(Credentials::Bearer(token)) => token,
            None => return Err(anonymous()),
        };
        let head = http::Request::builder().header(AUTHORIZATION, format!("Bearer {secret}")).body(());
        let (head, ()) = head.map_err(|_| refused(&Denial::UnknownToken))?.into_parts();
        match self.tokens.authenticate(&head).await {
            Ok(Caller::Is(principal)) => Ok(principal),
            Ok(Caller::Trusted) | Err(AuthError::Missing) => Err(anonymous()),
            Err(AuthError::Denied(denial)) => Err(refused(&denial)),
            Err(error) => Err(AccessDenied::Unavailable(error.into())),
        }
    }
}

fn anonymous() -> AccessDenied {
    AccessDenied::Unauthenticated { help: "run `flynn login`, then push again: git asks the CLI for a token".into() }
}

fn refused(denial: &Denial) -> AccessDenied {
    AccessDenied::Unauthenticated { help: denial.to_string() }
}

fn find(objects: &Objects, app: &AppRef) -> Option<Arc<Stored<App>>> {
    match app {
        AppRef::Id(id) => objects.get::<App>(*id).cloned(),
        AppRef::Name(name) => objects.iter::<App>().find(|app| app.spec.name == *name).cloned(),
    }
}

#[async_trait]
impl<S: Store + 'static> GitAuthority for TokenAuthority<S> {
    async fn authorize(
        &self,
        credentials: Option<&Credentials>,
        app: &AppRef,
        access: Access,
    ) -> Result<PushContext, AccessDenied> {
        let principal = self.principal(credentials).await?;
        let snapshot =
            self.store.snapshot(Scope::All).await.map_err(|error| AccessDenied::Unavailable(error.into()))?;
        let objects = &snapshot.objects;
        let authority = Authority::of(principal, objects, SystemClock.now()).map_err(|denial| refused(&denial))?;
        let app = find(objects, app).ok_or(AccessDenied::UnknownApp)?;
        authorize_read(&authority, Scope::App(app.id), objects).map_err(|_| AccessDenied::UnknownApp)?;
        if access == Access::Push {
            may_push(&authority, &app, objects)?;
            if let Some(problem) = self.readiness.disk_problem() {
                return Err(AccessDenied::NotNow { reason: format!("{ADVICE} ({problem})") });
            }
        }
        Ok(PushContext { app: app.id, principal })
    }
}

fn may_push(authority: &Authority, app: &Stored<App>, objects: &Objects) -> Result<(), AccessDenied> {
    let id: AppId = app.id;
    if app.spec.lifecycle != AppLifecycle::Active {
        return Err(AccessDenied::Forbidden { reason: format!("the app {} is being destroyed", app.spec.name) });
    }
    let sample = build_of(id, 1, flynn_core::value::Digest::from_bytes([0; 32]), BUILD);
    authorize(authority, &Change::create(BuildId::NIL, app.team, sample), objects).map_err(|denial| {
        let reason = match denial {
            Denial::Forbidden { reason, .. } => reason.into_owned(),
            other => other.to_string(),
        };
        AccessDenied::Forbidden { reason: format!("you may not push to {}: {reason}", app.spec.name) }
    })
}

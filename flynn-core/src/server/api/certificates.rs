//! The TLS certificates of an app's hosts.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::document::{certificate as document, hosts as hosts_of};
use super::domains::check_host;
use super::edit::Edit;
use super::exchange::{Created, Done, Json, Query, Shown};
use super::routes::Routes;
use super::{ApiError, Call, paging};
use crate::api::{self, FieldError, NewCertificate, Page, PageQuery};
use crate::name::HostPattern;
use crate::noun::{App, AppId, Certificate, CertificateId, CertificateSource, KeyPair, Objects, Stored};
use crate::port::SealedFor;
use crate::rule::Invalid;
use crate::x509::CertificateFacts;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .get("/v1/apps/{app}/certificates", "listCertificates", "The certificates of an app, the oldest first.", list)
        .post("/v1/apps/{app}/certificates", "addCertificate", "Serves hosts of an app with a certificate.", add)
        .details(
            "A host has one certificate. One that another certificate of the app was used for passes to this one, and \
             a certificate that is used for no host any more is removed in the same step, so that this also renews one. \
             The private key is sealed, shown to nobody and opened for routers alone. Who signed the certificate is not \
             judged.",
        )
        .get("/v1/apps/{app}/certificates/{certificate}", "getCertificate", "A certificate, by id.", get)
        .delete("/v1/apps/{app}/certificates/{certificate}", "removeCertificate", "Takes a certificate from an app.", delete)
}

async fn list(call: Call, Query(query): Query<PageQuery>) -> Result<Shown<Page<api::Certificate>>, ApiError> {
    let app = call.app()?.id;
    let key =
        |certificate: &Stored<Certificate>| format!("{:016x}-{}", certificate.created_at.as_millis(), certificate.id);
    let all = of_app(call.objects(), app).map(|certificate| (key(certificate), certificate.clone())).collect();
    paging::sorted(all, &query, |certificate| document(&certificate)).map(Shown::new)
}

fn of_app(objects: &Objects, app: AppId) -> impl Iterator<Item = &Arc<Stored<Certificate>>> {
    objects.iter::<Certificate>().filter(move |certificate| certificate.spec.app == app)
}

async fn add(mut call: Call, Json(wish): Json<NewCertificate>) -> Result<Created<api::Certificate>, ApiError> {
    let app = call.app()?;
    let NewCertificate { chain, key, hosts } = wish;
    let facts = CertificateFacts::of_pair(&chain, key.as_bytes()).map_err(Invalid::from)?;
    facts.check_time(call.now).map_err(Invalid::from)?;
    let asked = asked_hosts(&call, &app, &facts, &hosts)?;
    let committed = call
        .commit(|edit| {
            let stored = edit.living(app.id)?;
            let hosts = match asked.is_empty() {
                true => own_hosts(edit.objects, &stored, &facts)?,
                false => asked.clone(),
            };
            let sealed = edit.api().state.key_ring.seal(SealedFor::CertificateKey(app.id), key.as_bytes())?;
            let source = CertificateSource::Given(KeyPair { chain: chain.clone(), key: sealed });
            edit.create(stored.team, Certificate { app: app.id, hosts: hosts.clone(), source });
            pass_on(edit, app.id, &hosts);
            Ok(())
        })
        .await?;
    let certificate = call.made::<Certificate>(&committed)?;
    Ok(Created::of(document(&certificate), certificate.spec_version))
}

/// The hosts that the caller names, each of which has to be the app's to have and named by the certificate.
fn asked_hosts(
    call: &Call,
    app: &Stored<App>,
    facts: &CertificateFacts,
    texts: &[String],
) -> Result<BTreeSet<HostPattern>, ApiError> {
    let (mut hosts, mut errors) = (BTreeSet::new(), Vec::new());
    for (at, text) in texts.iter().enumerate() {
        let mut refuse = |detail: String| errors.push(FieldError { field: format!("hosts.{at}"), detail });
        match HostPattern::new(text) {
            Err(error) => refuse(error.to_string()),
            Ok(host) if !facts.covers(&host) => {
                refuse(format!("the certificate is not for {host}, but for {}", listed(&facts.names)));
            }
            Ok(host) => {
                check_host(call, app, &host)?;
                hosts.insert(host);
            }
        }
    }
    match errors.is_empty() {
        true => Ok(hosts),
        false => Err(ApiError::invalid_fields(errors)),
    }
}

/// The hosts of the app's routes that the certificate names.
fn own_hosts(
    objects: &Objects,
    app: &Stored<App>,
    facts: &CertificateFacts,
) -> Result<BTreeSet<HostPattern>, ApiError> {
    let all = hosts_of(objects, app);
    let covered: BTreeSet<HostPattern> = all.iter().filter(|host| facts.covers(host)).cloned().collect();
    if !covered.is_empty() {
        return Ok(covered);
    }
    let has = if all.is_empty() { String::from("none") } else { listed(&all) };
    let names = listed(&facts.names);
    let detail = format!(
        "the certificate is for {names}, and the hosts of the app are {has}: add the domain first, or say for which hosts"
    );
    Err(ApiError::invalid("hosts", detail))
}

/// Takes `hosts` from the certificates that the app has for them.
fn pass_on(edit: &mut Edit<'_>, app: AppId, hosts: &BTreeSet<HostPattern>) {
    let before: Vec<_> = of_app(edit.objects, app).cloned().collect();
    for certificate in before {
        let rest: BTreeSet<HostPattern> = certificate.spec.hosts.difference(hosts).cloned().collect();
        if rest.is_empty() {
            edit.remove(&certificate);
        } else if rest != certificate.spec.hosts {
            edit.update(&certificate, Certificate { hosts: rest, ..certificate.spec.clone() });
        }
    }
}

/// Hosts in a row, the first of them if they are many.
fn listed<'a>(hosts: impl IntoIterator<Item = &'a HostPattern>) -> String {
    const MOST: usize = 10;
    let texts: Vec<String> = hosts.into_iter().map(ToString::to_string).collect();
    match texts.len().checked_sub(MOST) {
        Some(more @ 1..) => format!("{} and {more} more", texts[..MOST].join(", ")),
        _ => texts.join(", "),
    }
}

fn certificate_of(call: &Call) -> Result<Arc<Stored<Certificate>>, ApiError> {
    let app = call.app()?.id;
    let text = call.param("certificate");
    let id: Option<CertificateId> = text.parse().ok();
    let found = id.and_then(|id| call.objects().get(id)).filter(|certificate| certificate.spec.app == app);
    found.cloned().ok_or_else(|| ApiError::not_found("certificate", text))
}

async fn get(call: Call, (): ()) -> Result<Shown<api::Certificate>, ApiError> {
    let certificate = certificate_of(&call)?;
    Ok(Shown::of(document(&certificate), certificate.spec_version))
}

async fn delete(mut call: Call, (): ()) -> Result<Done, ApiError> {
    let id = certificate_of(&call)?.id;
    call.commit(|edit| {
        let stored = edit.meant(id)?;
        edit.remove(&stored);
        Ok(())
    })
    .await?;
    Ok(Done)
}

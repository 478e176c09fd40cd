//! Static sites: the files of the tree, served by the run image's nginx.

use std::collections::BTreeMap;

use async_trait::async_trait;
use flynn_core::name::ProcessName;
use flynn_core::noun::ProcessType;
use flynn_core::value::Digest;

use super::{Buildpack, Built, Context};
use crate::base::BaseKind;
use crate::builder::BuildError;
use crate::detect::{Evidence, Language, Plan, SitePlan, Undetected, detect};
use crate::image::{LayerFiles, OWNER, process_type, process_types};

/// Changes whenever the same input leads to another layer.
const VERSION: &str = "1";
const STEP: &str = "configure web server";

const CONFIGURATION: &str = include_str!("nginx.conf");
const SERVE: &str = include_str!("serve.sh");

/// Sites of files that are served as they are, without anything being built.
///
/// `index.html` stands for its folder, `about.html` for `/about`, and `404.html` for what is not there. Text is
/// compressed. Hidden files and those for the platform are not served. A browser that has a page of the same tree
/// is told so; else it gets it again, since files in an image have no times that would say more.
///
/// Other processes of a `Procfile` run as well, but its `web` is the server.
///
/// Not here: redirects, headers, basic authentication and single-page fallbacks of a `Staticfile`.
#[derive(Debug, Clone, Copy, Default)]
pub struct SitePack;

#[async_trait]
impl Buildpack for SitePack {
    fn id(&self) -> &'static str {
        "flynn/static"
    }

    fn version(&self) -> String {
        VERSION.to_owned()
    }

    fn detect(&self, evidence: &Evidence) -> Result<Option<Plan>, Undetected> {
        detect(evidence).map(|plan| Some(plan).filter(|plan| matches!(plan.language, Language::Site(_))))
    }

    fn builds_in(&self) -> BaseKind {
        BaseKind::Run
    }

    async fn build(&self, context: &Context<'_>) -> Result<Built, BuildError> {
        let Language::Site(site) = &context.plan.language else {
            return Err(BuildError::unavailable(STEP, "the plan is for another language"));
        };
        let (server, mut web) = server(context, site).await?;
        let mut processes = process_types(&context.plan.processes);
        if web.keys().any(|name| processes.contains_key(name)) {
            context.log.note("the site is served by the platform, and the command `web` of the Procfile is not run");
        }
        processes.append(&mut web);
        Ok(Built { below: vec![server], processes: Some(processes), ..Built::default() })
    }
}

/// The layer with what serves a site, and the process that does.
pub(super) async fn server(
    context: &Context<'_>,
    site: &SitePlan,
) -> Result<(Digest, BTreeMap<ProcessName, ProcessType>), BuildError> {
    context.log.begin(STEP);
    let configuration = configuration(site, context.request.source)?;
    let layer = LayerFiles::default()
        .folder("layers", 0o755, OWNER)
        .folder("layers/site", 0o755, (0, 0))
        .file("layers/site/nginx.conf", 0o644, (0, 0), configuration.as_bytes())
        .file("layers/site/serve.sh", 0o755, (0, 0), SERVE.as_bytes())
        .store(STEP, context.blobs)
        .await?;
    let web = ProcessName::new("web").map_err(|error| BuildError::unavailable(STEP, error))?;
    let server = process_type(&web, vec!["/layers/site/serve.sh".to_owned()]);
    Ok((layer, BTreeMap::from([(web, server)])))
}

/// The configuration of nginx, but for the port.
fn configuration(site: &SitePlan, tree: Digest) -> Result<String, BuildError> {
    let folder = site.root.as_ref().map_or("", |root| root.as_str());
    // nginx takes some for its own and has no way to write a dollar sign.
    let is_plain = |c: char| c.is_alphanumeric() || "/._- +,=@~".contains(c);
    if !folder.chars().all(is_plain) {
        let reason = format!("the folder `{folder}` has a character in its name that cannot be used: rename it");
        return Err(BuildError::failed(STEP, reason));
    }
    let root = if folder.is_empty() { "/app".to_owned() } else { format!("/app/{folder}") };
    let tree: String = tree.hex().chars().take(32).collect();
    let missing = if site.one_page { "/index.html" } else { "=404" };
    Ok(CONFIGURATION.replace("@ROOT@", &root).replace("@TREE@", &tree).replace("@MISSING@", missing))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::TreePath;

    #[test]
    fn the_configuration_names_the_folder_and_the_tree() {
        let tree = Digest::from_bytes([7; 32]);
        let check = |root: Option<&str>, expect: Option<&str>| {
            let site = SitePlan { root: root.map(|root| TreePath::new(root).unwrap()), one_page: false };
            match (configuration(&site, tree), expect) {
                (Ok(text), Some(expect)) => {
                    assert!(text.contains(&format!("root \"{expect}\";")), "{text}");
                    assert!(text.contains(&format!("W/\"{}\"", "07".repeat(16))), "{text}");
                    assert!(!text.contains("@ROOT@") && !text.contains("@TREE@") && text.contains("@PORT@"));
                }
                (Err(error), None) => assert!(error.to_string().contains("rename it"), "{error}"),
                (got, expect) => panic!("{root:?}: {got:?} instead of {expect:?}"),
            }
        };
        check(None, Some("/app"));
        check(Some("public"), Some("/app/public"));
        check(Some("out put/v1.2"), Some("/app/out put/v1.2"));
        check(Some("a\"b"), None);
        check(Some("a$b"), None);
        check(Some("a;b"), None);
    }

    #[test]
    fn what_is_not_there_is_missing_or_the_one_page() {
        for (one_page, expect) in [(false, "$uri.html =404;"), (true, "$uri.html /index.html;")] {
            let site = SitePlan { root: None, one_page };
            assert!(configuration(&site, Digest::from_bytes([7; 32])).unwrap().contains(expect));
        }
    }
}

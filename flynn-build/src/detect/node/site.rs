use super::package::Package;
use crate::detect::evidence::Evidence;
use crate::detect::{SitePlan, Undetected, site};
use crate::source::TreePath;

/// What makes a site out of sources.
struct Maker {
    package: &'static str,
    /// The folder that its build fills.
    folder: &'static str,
    /// Whether a script in the one page shows the others.
    one_page: bool,
    /// What serves the site to its author while they work, which is not meant for anybody else.
    previews: &'static [&'static str],
}

const MAKERS: [Maker; 7] = [
    maker("react-scripts", "build", true, &["react-scripts start"]),
    maker("@vue/cli-service", "dist", true, &["vue-cli-service serve"]),
    maker("@docusaurus/core", "build", false, &["docusaurus start"]),
    maker("gatsby", "public", false, &["gatsby develop", "gatsby serve", "npm run develop"]),
    maker("astro", "dist", false, &["astro dev", "astro preview", "npm run dev"]),
    maker("parcel", "dist", true, &["parcel"]),
    maker("vite", "dist", true, &["vite", "vite preview", "npm run dev"]),
];

const fn maker(
    package: &'static str,
    folder: &'static str,
    one_page: bool,
    previews: &'static [&'static str],
) -> Maker {
    Maker { package, folder, one_page, previews }
}

/// What uses one of the above and makes a server nevertheless.
const SERVERS: [&str; 7] =
    ["@astrojs/node", "@react-router/node", "@remix-run/node", "@solidjs/start", "@sveltejs/kit", "nuxt", "vike"];

/// The site that the script `build` makes, if the app is nothing else: the folder that a `Staticfile` names, or the
/// usual one of what makes it.
pub(super) fn site(
    evidence: &Evidence,
    package: &Package,
    notes: &mut Vec<String>,
) -> Result<Option<SitePlan>, Undetected> {
    if evidence.has("Procfile") {
        return Ok(None);
    }
    if evidence.has("Staticfile") {
        return site::built(evidence).map(Some);
    }
    if !package.scripts.contains_key("build") || SERVERS.iter().any(|server| package.uses(server)) {
        return Ok(None);
    }
    let start = package.scripts.get("start").map(|start| start.trim());
    let is_for_its_author = |programs: &[&str]| match start {
        Some(start) => programs
            .iter()
            .any(|program| start.strip_prefix(program).is_some_and(|rest| rest.is_empty() || rest.starts_with(" -"))),
        None => !evidence.has("server.js"),
    };
    let Some(Maker { package: maker, folder, one_page, .. }) =
        MAKERS.iter().find(|maker| package.uses(maker.package) && is_for_its_author(maker.previews))
    else {
        return Ok(None);
    };
    notes.push(format!(
        "{maker} makes a site: what it builds in {folder} is served; a Procfile or a Staticfile can say otherwise"
    ));
    Ok(Some(SitePlan { root: TreePath::new(folder).ok(), one_page: *one_page }))
}

use crate::name::{
    AppName, HostPattern, NodeName, PathPrefix, ProcessName, ProviderName, TeamName, UserName, VolumeName,
};
use crate::noun::{AppId, ReleaseId, TeamId, TokenHash, UserId};

/// A name or slot that at most one live object may hold.
///
/// Of two racing commits that claim the same, one wins and the other gets a conflict that names the holder.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Claim {
    /// The name of an app.
    AppName(AppName),
    /// The number of a release of an app.
    ReleaseNumber(AppId, u64),
    /// The number of a build of an app.
    BuildNumber(AppId, u64),
    /// The one formation of an app.
    Formation(AppId),
    /// The one deployment of an app that has not ended.
    OpenDeployment(AppId),
    /// The instance number of a service job that has not ended: `web.1` of a release.
    Instance(ReleaseId, ProcessName, u32),
    /// A host and path of the HTTP router.
    HttpRoute(HostPattern, PathPrefix),
    /// A port of the TCP router.
    TcpRoute(u16),
    /// The one certificate of a host, or of all hosts directly below one.
    CertificateHost(HostPattern),
    /// The name of a node.
    NodeName(NodeName),
    /// The name of a router.
    RouterName(NodeName),
    /// The name of a volume of an app.
    VolumeName(AppId, VolumeName),
    /// The name of an add-on provider.
    ProviderName(ProviderName),
    /// The name of a user.
    UserName(UserName),
    /// The name of a team.
    TeamName(TeamName),
    /// The role of a user in a team.
    Grant(UserId, TeamId),
    /// The secret of a token.
    TokenHash(TokenHash),
    /// The one quota of a team.
    Quota(TeamId),
}

impl Claim {
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::AppName(name) => format!("the app name `{name}`"),
            Self::ReleaseNumber(app, number) => format!("release number {number} of app {app}"),
            Self::BuildNumber(app, number) => format!("build number {number} of app {app}"),
            Self::Formation(app) => format!("the formation of app {app}"),
            Self::OpenDeployment(app) => format!("the one open deployment of app {app}"),
            Self::Instance(release, process, number) => {
                format!("instance {process}.{number} of release {release}")
            }
            Self::HttpRoute(host, path) => format!("the route {host}{path}"),
            Self::CertificateHost(host) => format!("the certificate of {host}"),
            Self::TcpRoute(port) => format!("the TCP port {port} of the router"),
            Self::NodeName(name) => format!("the node name `{name}`"),
            Self::RouterName(name) => format!("the router name `{name}`"),
            Self::VolumeName(app, name) => format!("the volume name `{name}` of app {app}"),
            Self::ProviderName(name) => format!("the provider name `{name}`"),
            Self::UserName(name) => format!("the user name `{name}`"),
            Self::TeamName(name) => format!("the team name `{name}`"),
            Self::Grant(user, team) => format!("the role of user {user} in team {team}"),
            Self::TokenHash(_) => String::from("the secret of this token"),
            Self::Quota(team) => format!("the quota of team {team}"),
        }
    }
}

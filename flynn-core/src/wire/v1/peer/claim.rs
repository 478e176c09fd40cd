use serde::{Deserialize, Serialize};

use super::super::form::forms;
use crate::name::{
    AppName, HostPattern, NodeName, PathPrefix, ProcessName, ProviderName, TeamName, UserName, VolumeName,
};
use crate::noun::{AppId, ReleaseId, TeamId, TokenHash, UserId};
use crate::rule::Claim;

forms! {
    convert Claim => ClaimForm,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ClaimForm {
    AppName { name: AppName },
    ReleaseNumber { app: AppId, number: u64 },
    BuildNumber { app: AppId, number: u64 },
    Formation { app: AppId },
    OpenDeployment { app: AppId },
    Instance { release: ReleaseId, process: ProcessName, number: u32 },
    HttpRoute { host: HostPattern, path: PathPrefix },
    TcpRoute { port: u16 },
    CertificateHost { host: HostPattern },
    NodeName { name: NodeName },
    RouterName { name: NodeName },
    VolumeName { app: AppId, name: VolumeName },
    ProviderName { name: ProviderName },
    UserName { name: UserName },
    TeamName { name: TeamName },
    Grant { user: UserId, team: TeamId },
    TokenHash { hash: TokenHash },
    Quota { team: TeamId },
}

impl From<&Claim> for ClaimForm {
    fn from(claim: &Claim) -> Self {
        match claim.clone() {
            Claim::AppName(name) => Self::AppName { name },
            Claim::ReleaseNumber(app, number) => Self::ReleaseNumber { app, number },
            Claim::BuildNumber(app, number) => Self::BuildNumber { app, number },
            Claim::Formation(app) => Self::Formation { app },
            Claim::OpenDeployment(app) => Self::OpenDeployment { app },
            Claim::Instance(release, process, number) => Self::Instance { release, process, number },
            Claim::HttpRoute(host, path) => Self::HttpRoute { host, path },
            Claim::TcpRoute(port) => Self::TcpRoute { port },
            Claim::CertificateHost(host) => Self::CertificateHost { host },
            Claim::NodeName(name) => Self::NodeName { name },
            Claim::RouterName(name) => Self::RouterName { name },
            Claim::VolumeName(app, name) => Self::VolumeName { app, name },
            Claim::ProviderName(name) => Self::ProviderName { name },
            Claim::UserName(name) => Self::UserName { name },
            Claim::TeamName(name) => Self::TeamName { name },
            Claim::Grant(user, team) => Self::Grant { user, team },
            Claim::TokenHash(hash) => Self::TokenHash { hash },
            Claim::Quota(team) => Self::Quota { team },
        }
    }
}

impl From<ClaimForm> for Claim {
    fn from(claim: ClaimForm) -> Self {
        match claim {
            ClaimForm::AppName { name } => Self::AppName(name),
            ClaimForm::ReleaseNumber { app, number } => Self::ReleaseNumber(app, number),
            ClaimForm::BuildNumber { app, number } => Self::BuildNumber(app, number),
            ClaimForm::Formation { app } => Self::Formation(app),
            ClaimForm::OpenDeployment { app } => Self::OpenDeployment(app),
            ClaimForm::Instance { release, process, number } => Self::Instance(release, process, number),
            ClaimForm::HttpRoute { host, path } => Self::HttpRoute(host, path),
            ClaimForm::TcpRoute { port } => Self::TcpRoute(port),
            ClaimForm::CertificateHost { host } => Self::CertificateHost(host),
            ClaimForm::NodeName { name } => Self::NodeName(name),
            ClaimForm::RouterName { name } => Self::RouterName(name),
            ClaimForm::VolumeName { app, name } => Self::VolumeName(app, name),
            ClaimForm::ProviderName { name } => Self::ProviderName(name),
            ClaimForm::UserName { name } => Self::UserName(name),
            ClaimForm::TeamName { name } => Self::TeamName(name),
            ClaimForm::Grant { user, team } => Self::Grant(user, team),
            ClaimForm::TokenHash { hash } => Self::TokenHash(hash),
            ClaimForm::Quota { team } => Self::Quota(team),
        }
    }
}

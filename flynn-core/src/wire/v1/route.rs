use serde::{Deserialize, Serialize};

use super::form::{self, forms};
use crate::name::{HostPattern, PathPrefix, ProcessName};
use crate::noun::{Affinity, AppId, Entry, PlainHttp, ProxyProtocol, Route};

forms! {
    mirror Route => RouteForm,
    mirror Entry => EntryForm,
    mirror Affinity => AffinityForm,
    mirror PlainHttp => PlainHttpForm,
    mirror ProxyProtocol => ProxyProtocolForm,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Route")]
struct RouteForm {
    app: AppId,
    process: ProcessName,
    #[serde(with = "form")]
    entry: Entry,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Entry", tag = "type", rename_all = "snake_case")]
enum EntryForm {
    Http {
        host: HostPattern,
        path: PathPrefix,
        #[serde(with = "form")]
        affinity: Affinity,
        #[serde(with = "form")]
        plain: PlainHttp,
    },
    Tcp {
        port: u16,
        #[serde(with = "form")]
        proxy_protocol: ProxyProtocol,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Affinity", rename_all = "snake_case")]
enum AffinityForm {
    None,
    Sticky,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "PlainHttp", rename_all = "snake_case")]
enum PlainHttpForm {
    Serve,
    Redirect,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ProxyProtocol", rename_all = "snake_case")]
enum ProxyProtocolForm {
    None,
    V1,
    V2,
}

//! What TLS means for a request. Without the feature `tls` there is none.

use http::request::Parts;

use crate::table::Host;

/// Whether a request came over TLS.
pub(crate) fn is_secured(head: &Parts) -> bool {
    #[cfg(feature = "tls")]
    let is_secured = head.extensions.get::<crate::tls::Secured>().is_some();
    #[cfg(not(feature = "tls"))]
    let is_secured = {
        let _ = head;
        false
    };
    is_secured
}

/// Whether a request for `host` came over a connection that was made for another one.
pub(crate) fn is_misdirected(head: &Parts, host: &Host) -> bool {
    #[cfg(feature = "tls")]
    let is_misdirected = head.extensions.get::<crate::tls::Secured>().is_some_and(|secured| !secured.is_for(host));
    #[cfg(not(feature = "tls"))]
    let is_misdirected = {
        let _ = (head, host);
        false
    };
    is_misdirected
}

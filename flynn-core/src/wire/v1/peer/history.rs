use serde::{Deserialize, Serialize};

use super::super::form::{self, Form, forms};
use crate::noun::{Object, ObjectId};
use crate::port::{Archived, AuditRecord, Cursor, Page};
use crate::revision::Revision;
use crate::rule::Principal;
use crate::time::Timestamp;

forms! {
    mirror Archived => ArchivedForm,
    mirror AuditRecord => AuditRecordForm,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Archived")]
struct ArchivedForm {
    revision: Revision,
    at: Timestamp,
    #[serde(with = "form")]
    object: Object,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "AuditRecord")]
struct AuditRecordForm {
    revision: Revision,
    at: Timestamp,
    #[serde(with = "form")]
    principal: Principal,
    #[serde(with = "form", default, skip_serializing_if = "Vec::is_empty")]
    objects: Vec<ObjectId>,
}

/// Some entries of a list, and where the following ones begin.
#[derive(Serialize, Deserialize)]
pub(super) struct PageForm<E> {
    pub(super) entries: E,
    #[serde(with = "form", default, skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<Cursor>,
}

/// The message that holds `page`.
#[cfg(any(feature = "server", test))]
pub(crate) fn encode_page<T: Form>(what: &'static str, page: &Page<T>) -> Result<String, crate::wire::WireError> {
    use super::super::form::Part;

    let entries: Vec<Part<&T>> = page.entries.iter().map(Part).collect();
    super::super::to_json(what, None, &PageForm { entries, next: page.next })
}

/// The page in a message, and what of it this release cannot read.
#[cfg(any(feature = "client", test))]
pub(crate) fn decode_page<T: Form>(
    what: &'static str,
    message: &str,
) -> Result<(Page<T>, Vec<crate::wire::WireError>), crate::wire::WireError> {
    use serde_json::value::RawValue;

    let form: PageForm<Vec<Box<RawValue>>> = super::super::from_json(what, message)?;
    let mut page = Page { entries: Vec::with_capacity(form.entries.len()), next: form.next };
    let mut opaque = Vec::new();
    for entry in form.entries {
        match super::decode(what, entry.get()) {
            Ok(entry) => page.entries.push(entry),
            Err(problem) => opaque.push(problem),
        }
    }
    Ok((page, opaque))
}

/// What a process of the image's root user may do, the list that the containers project gives by default.
/// `CAP_MKNOD`, `CAP_NET_RAW` and `CAP_AUDIT_WRITE`, which others add to it, are not in it.
const OF_ROOT: [&str; 11] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];

/// The capabilities of a process of this user. All but root have none, and cannot get any.
pub(crate) fn of_user(user: u32) -> &'static [&'static str] {
    if user == 0 { &OF_ROOT } else { &[] }
}

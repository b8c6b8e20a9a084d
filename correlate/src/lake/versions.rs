//! What tells the rows of a versioned table apart, versions aside.

/// Bare names of the versioned tables, and their keys.
pub(crate) const KEYS: &[(&str, &[&str])] = &[
    ("credentials", &["cluster", "credential_id"]),
    ("workloads", &["cluster", "namespace", "pod", "pod_uid"]),
    (
        "grants",
        &[
            "cluster",
            "subject_kind",
            "subject",
            "verb",
            "api_group",
            "resource",
            "object_name",
            "non_resource_url",
            "namespace",
            "role",
            "binding",
            "valid_from",
        ],
    ),
    ("findings", &["finding_id"]),
    ("incidents", &["incident_id"]),
];

/// The keys of a table by its name on disk, `grants_versions`.
pub(crate) fn keys(stored: &str) -> Option<&'static [&'static str]> {
    let bare = stored.strip_suffix("_versions")?;
    KEYS.iter().find(|(name, _)| *name == bare).map(|(_, keys)| *keys)
}

//! What is known, by key and valid time. Indexes are derived; only facts are kept.

pub(crate) mod aggregation;
pub(crate) mod attestation;
pub(crate) mod attested;
pub(crate) mod cloud_identity;
mod cloud_key;
pub(crate) mod cloud_policy;
mod cloud_session;
pub(crate) mod credentials;
pub(crate) mod grants;
pub(crate) mod mesh_policy;
pub(crate) mod objects;
pub(crate) mod policy;
pub(crate) mod recent;
pub(crate) mod sources;
pub(crate) mod spans;
mod svid;
mod vault_token;
pub(crate) mod workloads;

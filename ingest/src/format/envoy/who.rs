//! Who asked whom, and with which certificate: what the ends of a connection say in, identities out.

use std::net::IpAddr;

use durward_schemas::Identity;
use durward_schemas::ids::CredentialId;
use durward_schemas::tables::Access;
use durward_schemas::values::{CredentialKind, IdentityKind, Provider};

use super::super::mesh::{self, Named};
use super::{is_inbound, is_ztunnel, names, node};

/// Which handshakes beside a line failed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Handshake {
    pub(super) has_failed: bool,
    pub(super) has_failed_upstream: bool,
}

/// Who asked whom. Beside a failed handshake the peer's certificate was not verified: whom it names
/// is a claim, which stays among what no column took.
pub(super) fn set(access: &mut Access, fields: &mut Named, handshake: Handshake) {
    if handshake.has_failed {
        access.identity_kind = IdentityKind::Unauthenticated;
        access.credential_kind = Some(CredentialKind::None);
        return;
    }
    let is_outbound =
        fields.peek(names::CLUSTERS).is_some_and(|name| name.starts_with("outbound|"))
            || fields.get(names::UPSTREAM_PEERS).is_some()
            || fields.get(names::UPSTREAM_LOCALS).is_some();
    // ztunnel leaves out whom nobody proved to be.
    let says_nobody = (fields.speaks_of(names::PEERS) && !is_outbound) || is_inbound(fields);
    let peer = principal(fields, names::PEERS).or_else(|| named_peer(fields));
    if let Some(peer) = peer.or_else(|| subject(fields)) {
        credential(access, &peer, fields);
        mesh::set_identity(access, peer);
    } else if fields.get(names::PEERS).is_some() {
        // Two names: neither is known to be the peer.
    } else if let Some(local) = sender(fields) {
        access.credential_kind = Some(CredentialKind::SvidX509);
        mesh::set_identity(access, local);
    } else if says_nobody {
        mesh::set_nobody(access);
        access.credential_kind = Some(CredentialKind::None);
    }
    access.peer_identity = principal(fields, names::LOCALS).and_then(|local| local.name);
    if access.peer_identity.is_none() && !handshake.has_failed_upstream {
        access.peer_identity = principal(fields, names::UPSTREAM_PEERS).and_then(|peer| peer.name);
    }
}

/// The pod that ztunnel found at the address of who asked, where it is of the same namespace.
pub(super) fn set_pod(access: &mut Access, fields: &mut Named) {
    let namespace = fields.peek(names::SOURCE_NAMESPACES);
    let is_its_own = access.namespace.is_some() && access.namespace.as_deref() == namespace;
    if is_ztunnel(fields) && is_its_own {
        access.pod = fields.text(names::SOURCE_WORKLOADS);
    }
}

/// Whom a certificate names: its only SPIFFE ID, since an SVID has one
/// (<https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md#2-spiffe-id>), else its name.
fn principal(fields: &mut Named, names: &[&str]) -> Option<Identity> {
    let text = fields.peek(names).filter(|text| *text != "unknown")?;
    let mut ids = text.split(',').map(str::trim).filter_map(spiffe);
    let identity = match (ids.next(), ids.next()) {
        (Some(id), None) => id,
        (None, _) if !text.contains(',') => Identity::parse(Provider::Envoy, None, text),
        // Two identities in one certificate are none.
        _ => return None,
    };
    fields.take(names);
    Some(identity)
}

/// The peer where a field that may hold something else holds its SPIFFE ID.
fn named_peer(fields: &mut Named) -> Option<Identity> {
    let is_id = fields.peek(names::NAMED_PEERS).is_some_and(|text| text.starts_with("spiffe://"));
    is_id.then(|| principal(fields, names::NAMED_PEERS)).flatten()
}

/// Whom a certificate without URIs names.
fn subject(fields: &mut Named) -> Option<Identity> {
    let subject = fields.peek(names::SUBJECTS).filter(|subject| subject.contains("CN="))?;
    let identity = Identity::parse(Provider::Envoy, None, subject);
    let is_other = fields.get(names::PEERS).is_none();
    is_other.then(|| fields.take(names::SUBJECTS)).flatten().map(|_| identity)
}

/// Who sends what a sidecar forwards: the program beside it. What a gateway forwards somebody else
/// sent, from another address.
fn sender(fields: &mut Named) -> Option<Identity> {
    let ip = |names: &[&str]| fields.peek(names).and_then(mesh::ip)?.parse::<IpAddr>().ok();
    let ends = ip(names::REMOTE).zip(ip(names::UPSTREAM_LOCAL_ADDRESSES));
    let is_elsewhere = ends.is_some_and(|(remote, local)| {
        remote != local && !remote.is_loopback() && !local.is_loopback()
    });
    let is_claim = fields.peek(names::REMOTE).is_some_and(|remote| remote.ends_with(":0"));
    let of_gateway = ["router~", "waypoint~"]
        .iter()
        .any(|kind| node(fields).is_some_and(|name| name.starts_with(kind)));
    if of_gateway || (is_elsewhere && !is_claim) {
        return None;
    }
    principal(fields, names::UPSTREAM_LOCALS)
}

/// A SPIFFE ID, which Istio's policies write without its scheme.
fn spiffe(text: &str) -> Option<Identity> {
    let is_bare = text.contains("/ns/") && text.contains("/sa/") && !text.contains("://");
    if is_bare { Identity::spiffe(&format!("spiffe://{text}")) } else { Identity::spiffe(text) }
}

/// The peer's certificate: by its serial number, which is all that who minted it logs, else by its
/// hash.
fn credential(access: &mut Access, peer: &Identity, fields: &mut Named) {
    let is_svid = peer.kind == IdentityKind::Spiffe;
    access.credential_kind =
        Some(if is_svid { CredentialKind::SvidX509 } else { CredentialKind::ClientCertificate });
    if let Some(serial) = fields.peek(names::SERIALS).and_then(mesh::serial_of_hex) {
        fields.take(names::SERIALS);
        access.credential_id = Some(serial);
    } else if let Some(hash) = fields.text(names::FINGERPRINTS) {
        access.credential_id = Some(CredentialId(format!("X509SHA256={hash}")));
    }
}

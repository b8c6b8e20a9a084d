//! Who is at the other end of a connection: the names in its client certificate, which TLS verified.

use std::net::{IpAddr, Ipv4Addr};

use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::{FromDer, X509Certificate, X509Name};

use super::senders::Name;
use crate::room::Holder;

/// The other end of a connection.
#[derive(Debug, Clone)]
pub(super) struct Peer {
    pub(super) address: IpAddr,
    pub(super) client: Client,
}

impl Peer {
    /// Who sent a request; a router that serves no connection has nobody.
    pub(super) fn of(extensions: &axum::http::Extensions) -> Self {
        let nobody = || Self { address: Ipv4Addr::UNSPECIFIED.into(), client: Client::default() };
        extensions.get::<Self>().cloned().unwrap_or_else(nobody)
    }

    /// Who takes room at a door.
    pub(super) fn holder(&self, door: &str) -> Holder {
        Holder::new(door, self.address)
    }
}

/// The names of a client; none without a certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Client {
    names: Vec<Name>,
}

impl Client {
    /// The URIs among the subject alternative names, the DNS names among them, and the subject
    /// (RFC 5280, 4.2.1.6 and 4.1.2.6).
    pub(super) fn of(certificate: Option<&CertificateDer<'_>>) -> Self {
        let parsed = certificate.and_then(|der| X509Certificate::from_der(der).ok());
        let Some((_, certificate)) = parsed else { return Self::default() };
        let alternative = certificate.subject_alternative_name().ok().flatten();
        let alternative = alternative.into_iter().flat_map(|found| &found.value.general_names);
        let (mut uris, mut hosts) = (Vec::new(), Vec::new());
        for name in alternative {
            match name {
                GeneralName::URI(name) => uris.push(Name::Uri((*name).to_owned())),
                GeneralName::DNSName(name) => hosts.push(Name::Dns((*name).to_owned())),
                _ => {}
            }
        }
        let subject = subject(certificate.subject()).map(Name::Subject);
        Self { names: uris.into_iter().chain(hosts).chain(subject).collect() }
    }

    #[cfg(test)]
    pub(super) fn named(names: Vec<Name>) -> Self {
        Self { names }
    }

    /// Its names, the most telling first.
    pub(super) fn names(&self) -> &[Name] {
        &self.names
    }
}

/// A subject as `CN=kube-apiserver,O=prod`, in the order of the certificate; what would read like a
/// part of another kind has a backslash before it. `None` if it says nothing.
fn subject(name: &X509Name<'_>) -> Option<String> {
    let registry = oid_registry();
    let mut parts = Vec::new();
    for attribute in name.iter_attributes() {
        let oid = attribute.attr_type();
        let kind = oid2abbrev(oid, registry).map_or_else(|_| oid.to_id_string(), str::to_owned);
        let mut part = format!("{kind}=");
        for character in attribute.as_str().ok()?.chars() {
            if matches!(character, ',' | '=' | '+' | '\\') {
                part.push('\\');
            }
            part.push(character);
        }
        parts.push(part);
    }
    (!parts.is_empty()).then(|| parts.join(","))
}

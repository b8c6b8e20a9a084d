//! Who is at the other end of a connection: the names in its client certificate, which TLS verified.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

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
    names: Vec<String>,
}

impl Client {
    /// The subject alternative names, then the common names (RFC 5280, 4.2.1.6 and 4.1.2.6).
    pub(super) fn of(certificate: Option<&CertificateDer<'_>>) -> Self {
        let parsed = certificate.and_then(|der| X509Certificate::from_der(der).ok());
        let Some((_, certificate)) = parsed else { return Self::default() };
        let alternative = certificate.subject_alternative_name().ok().flatten();
        let alternative = alternative.into_iter().flat_map(|found| &found.value.general_names);
        let alternative = alternative.filter_map(|name| match name {
            GeneralName::URI(name) | GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        });
        let common = certificate.subject().iter_common_name();
        let common = common.filter_map(|name| name.as_str().ok().map(str::to_owned));
        Self { names: alternative.chain(common).collect() }
    }

    /// The cluster that is configured for the first of its names that has one.
    pub(super) fn cluster<'a>(&self, clusters: &'a BTreeMap<String, String>) -> Option<&'a str> {
        self.names.iter().find_map(|name| clusters.get(name)).map(String::as_str)
    }
}

//! Who may speak for which cluster: checked, and as the doors take it.

use std::collections::BTreeSet;

use durward_ingest::receive::senders::{self, Name, Senders};

use super::problem::Problems;
use super::{Config, Mismatch, Sender};

/// The map; what means nothing is told.
pub(super) fn senders(config: &Config, problems: &mut Problems) -> Senders {
    let mut known = BTreeSet::new();
    let mut map = Vec::new();
    let listen = &config.listen;
    let asks = [&listen.audit, &listen.otlp_grpc, &listen.otlp_http]
        .iter()
        .any(|door| door.tls.as_ref().is_some_and(|tls| tls.client_ca_file.is_some()));
    if !config.senders.is_empty() && !asks {
        problems.add(
            "senders",
            None,
            "no door asks for the certificates by which these are known",
            "set listen.audit.tls.client_ca_file, or that of listen.otlp_grpc or listen.otlp_http",
        );
    }
    for sender in &config.senders {
        let mut wrong = |told: &str, hint: &str| {
            let shown = [&sender.uri, &sender.dns, &sender.subject].into_iter().flatten().next();
            problems.add("senders", shown.map(String::as_str), told, hint);
        };
        let Some(name) = name(sender) else {
            wrong(
                "a sender has one name",
                "write one of uri, dns and subject, as it is in the client's certificate",
            );
            continue;
        };
        if sender.clusters.is_empty() || sender.clusters.iter().any(String::is_empty) {
            wrong("a sender has clusters", "write clusters: [NAME]; who has none needs no entry");
        }
        if !known.insert(name.clone()) {
            wrong("this sender is there twice", "write all its clusters at one entry");
        }
        let clusters = sender.clusters.iter().cloned().collect();
        map.push(senders::Sender { name, clusters, source: sender.source.clone() });
    }
    let mismatch = match config.sender_mismatch {
        Mismatch::Refuse => senders::Mismatch::Refuse,
        Mismatch::Finding => senders::Mismatch::Keep,
    };
    Senders::new(map, mismatch)
}

/// The one name of a sender.
fn name(sender: &Sender) -> Option<Name> {
    match (&sender.uri, &sender.dns, &sender.subject) {
        (Some(uri), None, None) if uri.contains(':') => Some(Name::Uri(uri.clone())),
        (None, Some(dns), None) if !dns.is_empty() => Some(Name::Dns(dns.clone())),
        (None, None, Some(subject)) if subject.contains('=') => {
            Some(Name::Subject(subject.clone()))
        }
        _ => None,
    }
}

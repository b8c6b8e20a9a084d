//! What the configuration says of how inputs are read, checked.

use std::collections::{BTreeMap, BTreeSet};

use durward_ingest::Network;
use durward_ingest::intake::IntakeSettings;
use durward_ingest::network::NotANetwork;

use super::problem::Problems;
use super::{Config, Loaded, sender};
use crate::failure::Failure;

impl Loaded {
    /// How inputs are read, where nothing is served.
    pub(crate) fn reading(&self) -> Result<IntakeSettings, Failure> {
        let mut problems = Problems::of(self);
        let reading = reading(&self.config, &mut problems);
        problems.end()?;
        Ok(reading)
    }
}

pub(super) fn reading(config: &Config, problems: &mut Problems) -> IntakeSettings {
    IntakeSettings {
        trusted_proxies: networks(config, problems),
        audit_containers: containers(config, problems),
        default_cluster: config.default_cluster.clone(),
        issuers: issuers(config),
        senders: sender::senders(config, problems),
        ..IntakeSettings::default()
    }
}

fn networks(config: &Config, problems: &mut Problems) -> Vec<Network> {
    let mut networks = Vec::new();
    for text in &config.trusted_proxies {
        match text.parse() {
            Ok(network) => networks.push(network),
            Err(error) => {
                let error: NotANetwork = error;
                let hint = "write ranges such as 10.0.0.0/8";
                problems.add("trusted_proxies", Some(text), &error.to_string(), hint);
            }
        }
    }
    networks
}

fn containers(config: &Config, problems: &mut Problems) -> BTreeSet<String> {
    for text in &config.audit_containers {
        let parts = text.split_once('/');
        if parts.is_none_or(|(namespace, name)| {
            namespace.is_empty() || name.is_empty() || name.contains('/')
        }) {
            let hint = "write NAMESPACE/CONTAINER, such as kube-system/kube-apiserver";
            problems.add("audit_containers", Some(text), "is no container", hint);
        }
    }
    config.audit_containers.iter().cloned().collect()
}

/// Clouds name issuers without the scheme.
fn issuers(config: &Config) -> BTreeMap<String, String> {
    let bare =
        |issuer: &str| issuer.trim_start_matches("https://").trim_end_matches('/').to_owned();
    config.clusters.iter().map(|(name, cluster)| (bare(&cluster.issuer), name.clone())).collect()
}

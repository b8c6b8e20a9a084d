//! A configuration that takes the place of another while the server runs: all that can change, or nothing.
//!
//! Rules and exemptions go through the log, since they change judgements: a replay judges by them from the
//! same position on. Certificates are shown from the next connection on.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use durward_ingest::Log;
use durward_ingest::receive::DoorTls;
use durward_schemas::record::Content;

use crate::config::{self, Config, DoorFiles, Settings};
use crate::data_dir::write_silences;
use crate::failure::Failure;
use crate::metrics::Metrics;

/// What is in force.
pub(crate) struct Reload {
    log: Arc<Log>,
    metrics: Arc<Metrics>,
    /// As the server was started with; what it says of rules and certificates may be outdated.
    started: Config,
    detection: durward_detect::Settings,
    tls: DoorFiles,
    /// Where `doctor` finds the silences.
    silences: PathBuf,
}

impl Reload {
    pub(crate) fn of(
        log: &Arc<Log>,
        metrics: &Arc<Metrics>,
        config: &Config,
        detection: &durward_detect::Settings,
        tls: &DoorFiles,
        silences: PathBuf,
    ) -> Self {
        Self {
            silences,
            log: Arc::clone(log),
            metrics: Arc::clone(metrics),
            started: config.clone(),
            detection: detection.clone(),
            tls: tls.clone(),
        }
    }

    /// Puts settings in force; the keys that differ and wait for the next start.
    ///
    /// # Errors
    /// If the log does not take them: then nothing has changed.
    pub(crate) async fn take(&mut self, settings: Settings) -> Result<Vec<String>, Failure> {
        let Settings { config, detection, tls, .. } = settings;
        if detection != self.detection {
            self.log.append(vec![Content::Settings(detection.logged())]).await?;
            write_silences(&self.silences, &detection.exemptions)?;
            self.detection = detection;
        }
        for (door, new) in [
            (&self.tls.audit, &tls.audit),
            (&self.tls.otlp_grpc, &tls.otlp_grpc),
            (&self.tls.otlp_http, &tls.otlp_http),
        ] {
            if let (Some(door), Some(new)) = (door, new) {
                door.replace(new);
            }
        }
        Ok(later(&self.started, &config))
    }

    pub(crate) fn count(&self, is_accepted: bool) {
        self.metrics.reloaded(is_accepted);
    }
}

/// How often files of certificates are looked at: Kubernetes changes those of a mounted Secret by itself.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Reads certificates, keys and authorities again when their files hold something else. Does not end.
pub(crate) async fn watch(tls: DoorFiles) {
    let doors = [("audit", tls.audit), ("otlp_grpc", tls.otlp_grpc), ("otlp_http", tls.otlp_http)];
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        for (name, door) in &doors {
            match door.as_ref().map(DoorTls::read_again) {
                None | Some(Ok(false)) => {}
                Some(Ok(true)) => {
                    tracing::info!("listen.{name}: its certificates changed and are in force");
                }
                Some(Err(errors)) => {
                    for error in errors {
                        let error = format!("{:#}", anyhow::Error::from(error));
                        tracing::error!(
                            error,
                            "listen.{name}: its certificates changed and cannot be used; those before stay in force"
                        );
                    }
                }
            }
        }
    }
}

/// The keys that differ, but for those that are in force at once.
fn later(started: &Config, now: &Config) -> Vec<String> {
    let (started, now) = (leaves(started), leaves(now));
    let has_tls = |leaves: &BTreeSet<(String, String)>, door: &str| {
        leaves.iter().any(|(key, _)| key.starts_with(&format!("{door}.tls.")))
    };
    let is_at_once = |key: &str| match key.split_once(".tls.") {
        Some((door, _)) => has_tls(&started, door) && has_tls(&now, door),
        None => key.starts_with("detect."),
    };
    let differing = started.symmetric_difference(&now).map(|(key, _)| key.clone());
    differing.filter(|key| !is_at_once(key)).collect::<BTreeSet<_>>().into_iter().collect()
}

fn leaves(config: &Config) -> BTreeSet<(String, String)> {
    let mut found = Vec::new();
    config::leaves(&serde_json::to_value(config).unwrap_or_default(), "", &mut found);
    found.into_iter().map(|(key, value)| (key, value.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scenario: rules, an address, and the certificates of a door that has TLS and of one that had none.
    /// Guarantees: what waits for the next start is named, and nothing else.
    #[test]
    fn what_waits_for_the_next_start_is_named() {
        let config = |text: &str| serde_saphyr::from_str::<Config>(text).expect("a configuration");
        let started = config(
            "listen: {audit: {address: \"127.0.0.1:1\", tls: {cert_file: a, key_file: b}}}\n",
        );
        let now = config(
            "retention: 9d\ndetect: {rules: [a]}\nlisten: {audit: {address: \"127.0.0.1:1\", tls: {cert_file: c, key_file: d}}, \
             otlp_http: {address: \"127.0.0.1:4318\", tls: {cert_file: a, key_file: b}}}\n",
        );
        let expected = [
            "listen.otlp_http.tls",
            "listen.otlp_http.tls.cert_file",
            "listen.otlp_http.tls.client_ca_file",
            "listen.otlp_http.tls.key_file",
            "retention",
        ];
        assert_eq!(later(&started, &now), expected);
        assert_eq!(later(&started, &started), [""; 0]);
    }
}

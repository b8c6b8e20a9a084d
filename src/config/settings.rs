//! What a configuration means, once everything that it names was opened: one validation for
//! `config check`, for `serve` before it opens a door, and for what is read again at SIGHUP.

use std::path::Path;
use std::time::Duration;

use durward_detect::RuleFile;
use durward_detect::alert::{Pace, SlackRoute};
use durward_ingest::Keys;
use durward_ingest::intake::IntakeSettings;
use durward_ingest::receive::{DoorTls, TlsSettings};

use super::problem::Problems;
use super::{Config, Door, Loaded, exemption, reading, value};
use crate::failure::{Code, Failure};
use crate::rule_files;

/// A configuration that can be served.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) config: Config,
    pub(crate) pace: Pace,
    pub(crate) retention: Option<Duration>,
    pub(crate) detection: durward_detect::Settings,
    pub(crate) route: Option<SlackRoute>,
    /// How inputs are read.
    pub(crate) reading: IntakeSettings,
    pub(crate) tls: DoorFiles,
}

/// What the files of each door's TLS hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct DoorFiles {
    pub(crate) audit: Option<DoorTls>,
    pub(crate) otlp_grpc: Option<DoorTls>,
    pub(crate) otlp_http: Option<DoorTls>,
}

impl Settings {
    /// Opens everything that the configuration names; everything that is wrong, at once.
    pub(crate) fn of(loaded: &Loaded, data_dir: Option<&Path>) -> Result<Self, Failure> {
        let config = &loaded.config;
        let mut problems = Problems::of(loaded);
        value::check(config, &mut problems);
        let rules = rules(config, &mut problems);
        exemption::check(config, &rules, &mut problems);
        let reading = reading::reading(config, &mut problems);
        let listen = &config.listen;
        let mut tls = |name, door: &Door| door_tls(name, door, &mut problems);
        let tls = DoorFiles {
            audit: tls("audit", &listen.audit),
            otlp_grpc: tls("otlp_grpc", &listen.otlp_grpc),
            otlp_http: tls("otlp_http", &listen.otlp_http),
        };
        let route = match route(config) {
            Ok(route) => route,
            Err(error) => {
                let told = format!("{:#}", anyhow::Error::from(error));
                let hint = "name a file that holds nothing but the webhook's URL";
                problems.add("slack.webhook_url_file", None, &told, hint);
                None
            }
        };
        if let Some(data_dir) = data_dir {
            directory(data_dir, &mut problems);
        }
        problems.end()?;
        let internal =
            |(key, reason)| Failure::new(Code::Config, anyhow::anyhow!("{key}: {reason}"));
        Ok(Self {
            pace: config.pace().map_err(internal)?,
            retention: config.retention().ok().flatten(),
            detection: detection(config, rules),
            route,
            reading,
            tls,
            config: config.clone(),
        })
    }
}

/// The way to people that is configured.
pub(crate) fn route(
    config: &Config,
) -> Result<Option<SlackRoute>, durward_detect::alert::RouteError> {
    let file = config.slack.webhook_url_file.as_ref();
    file.map(|file| SlackRoute::from_file("slack", file)).transpose()
}

/// What detection is told.
fn detection(config: &Config, rules: Vec<RuleFile>) -> durward_detect::Settings {
    let exemptions = config.detect.exemptions.iter().map(|exemption| durward_detect::Exemption {
        of: exemption.of.clone(),
        identity: exemption.identity.clone(),
        cluster: exemption.cluster.clone(),
        until: exemption.until.as_deref().and_then(exemption::until),
        reason: exemption.reason.clone(),
    });
    durward_detect::Settings {
        token_issuers: config.detect.token_issuers.clone(),
        exemptions: exemptions.collect(),
        rules,
        ..durward_detect::Settings::default()
    }
}

/// The rule files, each read and each checked.
fn rules(config: &Config, problems: &mut Problems) -> Vec<RuleFile> {
    let mut rules = Vec::new();
    for path in &config.detect.rules {
        let shown = path.display().to_string();
        let mut wrong =
            |told: &str, hint: &str| problems.add("detect.rules", Some(&shown), told, hint);
        let files = match rule_files::read(std::slice::from_ref(path)) {
            Ok(files) => files,
            Err(error) => {
                wrong(&error.message(), "name a file, or a directory of .yml files");
                continue;
            }
        };
        for file in files {
            match durward_detect::check_rules(std::slice::from_ref(&file)) {
                Ok(_warnings) => rules.push(file),
                Err(error) => {
                    wrong(&error.to_string(), "`durward rules lint FILE` checks a rule");
                }
            }
        }
    }
    rules
}

fn door_tls(name: &str, door: &Door, problems: &mut Problems) -> Option<DoorTls> {
    let files = door.tls.as_ref()?;
    let settings = TlsSettings {
        certificate: files.cert_file.clone(),
        key: files.key_file.clone(),
        client_ca: files.client_ca_file.clone(),
    };
    let errors = match DoorTls::load(&settings) {
        Ok(tls) => return Some(tls),
        Err(errors) => errors,
    };
    for error in errors {
        let is = |file: &Path| error.path() == file;
        let (key, hint) = if is(&files.key_file) {
            ("key_file", "name a PEM file with the private key of cert_file")
        } else if is(&files.cert_file) {
            ("cert_file", "name a PEM file with the door's certificate, followed by its chain")
        } else {
            (
                "client_ca_file",
                "name a PEM file with the authorities that sign clients' certificates",
            )
        };
        let told = format!("{:#}", anyhow::Error::from(error));
        problems.add(&format!("listen.{name}.tls.{key}"), None, &told, hint);
    }
    None
}

/// What is there already must be a directory, with keys that are keys. What is not there is made.
fn directory(path: &Path, problems: &mut Problems) {
    let found = std::fs::metadata(path);
    match found {
        Ok(found) if !found.is_dir() => problems.add_other(
            &format!("data directory {}: it is no directory", path.display()),
            "name another with --data-dir",
        ),
        Ok(_) => {
            if let Err(error) = Keys::check(path) {
                problems.add_other(
                    &format!("{:#}", anyhow::Error::from(error)),
                    "restore the file from a copy; without the key that made them, old markers and ids match no new ones",
                );
            }
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => problems.add_other(
            &format!("data directory {}: {error}", path.display()),
            "name another with --data-dir",
        ),
    }
}

//! What can be said of values without opening anything that they name.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::problem::Problems;
use super::{Config, Door};

/// Looks at every value.
pub(super) fn check(config: &Config, problems: &mut Problems) {
    if config.version != 1 {
        let message = format!("{} is not known", config.version);
        problems.add("version", None, &message, "write version: 1");
    }
    let mut issuers = BTreeSet::new();
    for (name, cluster) in &config.clusters {
        if !cluster.issuer.starts_with("https://") || !issuers.insert(&cluster.issuer) {
            problems.add(
                &format!("clusters.{name}.issuer"),
                None,
                &format!("{} is no issuer of its own", cluster.issuer),
                "write what `kubectl get --raw /.well-known/openid-configuration` shows as issuer",
            );
        }
    }
    if let Err(reason) = config.retention() {
        problems.add("retention", None, &reason, "write a number of days, such as 90d");
    }
    if let Err((key, reason)) = config.pace() {
        problems.add(key, None, &reason, "write a duration, such as 30s, 5m or 4h");
    }
    let doors = doors(config);
    for (name, door) in doors {
        reachable(name, door, problems);
    }
    for (at, (name, door)) in doors.iter().enumerate() {
        let other = doors.iter().take(at).find(|(_, other)| collide(door.address, other.address));
        if let Some((other, _)) = other {
            problems.add(
                &format!("listen.{name}.address"),
                None,
                &format!("{} is taken by listen.{other}", door.address),
                "give each door a port of its own",
            );
        }
    }
}

/// The doors by name.
fn doors(config: &Config) -> [(&'static str, &Door); 5] {
    let doors = &config.listen;
    [
        ("audit", &doors.audit),
        ("otlp_grpc", &doors.otlp_grpc),
        ("otlp_http", &doors.otlp_http),
        ("web", &doors.web),
        ("admin", &doors.admin),
    ]
}

/// Deny by default: what is open to a network says who may come in.
fn reachable(name: &str, door: &Door, problems: &mut Problems) {
    if !door.hosts.is_empty() && (door.tls.is_some() || name == "otlp_grpc") {
        problems.add(
            &format!("listen.{name}.hosts"),
            None,
            "this door looks at no names of hosts: no page in a browser can reach it",
            "leave it out",
        );
    }
    if door.cluster.is_some() && !name.starts_with("otlp") {
        let hint = match name {
            "audit" => {
                "the webhook has it in its path; `senders` says who may speak for which cluster"
            }
            _ => "leave it out",
        };
        problems.add(
            &format!("listen.{name}.cluster"),
            None,
            "nothing that arrives at this door is of its cluster",
            hint,
        );
    }
    let address = format!("listen.{name}.address");
    let off_loopback = !door.address.ip().is_loopback();
    if matches!(name, "web" | "admin") {
        if off_loopback {
            problems.add(
                &address,
                None,
                &format!(
                    "{} is not on loopback, and this door has no authentication",
                    door.address
                ),
                "keep it on 127.0.0.1 and put an authenticating proxy before it",
            );
        }
        if door.tls.is_some() {
            problems.add(
                &format!("listen.{name}.tls"),
                None,
                "this door has no TLS",
                "leave it out, keep the door on 127.0.0.1, and put an authenticating proxy before it",
            );
        }
        return;
    }
    let client_ca = door.tls.as_ref().and_then(|tls| tls.client_ca_file.as_ref());
    if off_loopback && client_ca.is_none() {
        problems.add(
            &address,
            None,
            &format!("{} is not on loopback and has no client certificates", door.address),
            "whoever reaches this door can write history: set tls.cert_file, tls.key_file and tls.client_ca_file",
        );
    }
}

/// Whether two doors cannot both be open. Port 0 is whichever is free.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let any = |address: SocketAddr| address.ip().is_unspecified();
    one.port() != 0
        && one.port() == other.port()
        && (one.ip() == other.ip() || any(one) || any(other))
}

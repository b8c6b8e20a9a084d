//! `durward demo`: a recorded story through the real doors, and what a person would see of it.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use durward_correlate::explain;
use durward_correlate::query::Limits;
use durward_detect::alert::Alert;
use durward_detect::alert::text::render as alert_text;
use durward_detect::escape;
use durward_fixtures::{Door, Scenario};
use durward_ingest::{Format, read, send};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::cli::DemoArgs;
use crate::commands::serve::stopped;
use crate::config::{Config, Exemption, Loaded, Settings};
use crate::data_dir::readable_lake;
use crate::failure::{Code, Failure};
use crate::render::{self, Output};
use crate::server::{Addresses, Server};
use crate::sql::{self, Lake};

/// The story that is told.
const STORY: &str = "minted-for-another";
/// How long the incident is waited for after everything was sent.
const PATIENCE: Duration = Duration::from_secs(45);

/// Three questions that people ask.
const QUESTIONS: [(&str, &str); 3] = [
    (
        "Which credential minted which, and who used it?",
        "SELECT credential_id, identity, issued_by, issuer_pod, uses, source_ips FROM token_lineage \
         WHERE issued_by_credential_id IS NOT NULL AND issued_by LIKE 'system:serviceaccount:%' ORDER BY issued_time LIMIT 5",
    ),
    (
        "What was refused, and why?",
        "SELECT time, identity, verb, resource, decision_explained FROM denials ORDER BY time DESC LIMIT 5",
    ),
    (
        "Which changes of policy let accesses through soon after they were made?",
        "SELECT change_summary, identity, count(*) AS accesses, min(seconds_since_change) AS first_after_seconds \
         FROM accesses_after_change WHERE change_evidence = 'exact' AND decision = 'allow' AND seconds_since_change < 300 \
         GROUP BY change_summary, identity ORDER BY first_after_seconds, accesses DESC LIMIT 5",
    ),
];

/// Messages that the built-in receiver took.
type Received = Arc<Mutex<Vec<Value>>>;

/// Runs it. Whoever stops it finds nothing left of it, but in a directory that they named.
pub(crate) async fn demo(data_dir: Option<PathBuf>, args: &DemoArgs) -> Result<ExitCode, Failure> {
    let interrupted = stopped()?;
    tokio::pin!(interrupted);
    let temporary = tempfile::tempdir()?;
    let mut running = JoinSet::new();
    let shown = tokio::select! {
        shown = show(&mut running, data_dir, temporary.path(), args) => Some(shown),
        () = &mut interrupted => None,
    };
    let is_whole = matches!(shown, Some(Ok(_)));
    if args.keep && is_whole {
        interrupted.await;
    }
    // The server stops when nobody shows it any more; then its directory can go.
    let shown = shown.transpose().map(|shown| shown.map(|shown| shown.is_told));
    while let Some(ran) = running.join_next().await {
        ran??;
    }
    temporary.close()?;
    match shown? {
        None => Ok(ExitCode::from(Code::Interrupted as u8)),
        Some(true) => Ok(ExitCode::SUCCESS),
        Some(false) => Err(Failure::io("the demo's incident was not told in time")
            .hint("run it again with -v and look at the log")),
    }
}

/// What was shown; the server runs as long as this is held.
struct Shown {
    _stop: oneshot::Sender<()>,
    is_told: bool,
}

/// Starts the server, tells the story, and shows what came of it.
async fn show(
    running: &mut JoinSet<anyhow::Result<()>>,
    data_dir: Option<PathBuf>,
    temporary: &Path,
    args: &DemoArgs,
) -> Result<Shown, Failure> {
    let started = Instant::now();
    let data = data_dir.unwrap_or_else(|| temporary.join("data"));
    let scenario =
        durward_fixtures::scenario(STORY).context("the demo's story is part of the program")?;
    let cluster = scenario.expectation()?.cluster;
    let (slack, received) = receiver().await?;
    let secret = temporary.join("slack-webhook-url");
    std::fs::write(&secret, format!("http://{slack}/services/T0/B0/demo"))?;
    let config = config(&cluster, secret);
    let loaded = Loaded { config, ..Loaded::default() };
    let server = Server::open(&data, Settings::of(&loaded, Some(&data))?).await?;
    let addresses = server.addresses.clone();
    let last_alert = Arc::clone(&server.last_alert);
    say(&format!(
        "1. Everything runs in one process tree, on loopback ports:\n{}",
        doors(&addresses)
    ))?;
    seed(&server, scenario, &cluster).await?;
    let (stop, stopping) = oneshot::channel::<()>();
    running.spawn(server.run(async {
        let _dropped = stopping.await;
    }));
    say(&format!("2. A recorded story comes in through the doors: {}", scenario.title()))?;
    replay(scenario, &cluster, &addresses).await?;
    let lake = Lake { dir: readable_lake(&data)?, limits: Limits::default() };
    let message = told(&received).await;
    say("3. The incident:\n")?;
    let alert = last_alert.lock().unwrap_or_else(PoisonError::into_inner).clone();
    say(&indented(&alert.as_ref().map(alert_text).unwrap_or_default()))?;
    say("   How it is known (durward explain INCIDENT):\n")?;
    incident(&lake, alert.as_ref()).await?;
    message_as_json(message.as_ref())?;
    say("5. Three questions in SQL:\n")?;
    for (question, statement) in QUESTIONS {
        ask(&lake.dir, question, statement).await?;
    }
    say(&next(&data, &addresses, args.keep, started))?;
    Ok(Shown { _stop: stop, is_told: message.is_some() })
}

fn say(text: &str) -> Result<(), Failure> {
    let mut out = crate::out::lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

fn config(cluster: &str, secret: PathBuf) -> Config {
    let mut config = Config { default_cluster: Some(cluster.to_owned()), ..Config::default() };
    let listen = &mut config.listen;
    for door in [
        &mut listen.audit,
        &mut listen.otlp_grpc,
        &mut listen.otlp_http,
        &mut listen.web,
        &mut listen.admin,
    ] {
        door.address.set_port(0);
    }
    config.listen.otlp_grpc.cluster = Some(cluster.to_owned());
    config.slack.webhook_url_file = Some(secret);
    // The recording begins with its stage hand building the cluster: known, and accepted.
    config.detect.exemptions.push(Exemption {
        of: "rbac_cluster_admin_bound".to_owned(),
        identity: Some("lab-bootstrap".to_owned()),
        cluster: None,
        until: None,
        reason: "builds the cluster of the recording".to_owned(),
    });
    config
}

fn doors(addresses: &Addresses) -> String {
    format!(
        "     audit webhook  http://{}/v1/k8s-audit/CLUSTER\n     OTLP           grpc://{}  http://{}\n     SQL over HTTP  http://{}/api/v1/query\n     metrics        http://{}/metrics\n",
        addresses.audit, addresses.otlp_grpc, addresses.otlp_http, addresses.web, addresses.admin
    )
}

/// A receiver that speaks Slack's incoming webhook, so that the message can be shown.
async fn receiver() -> Result<(std::net::SocketAddr, Received), Failure> {
    let received = Received::default();
    let taken = Arc::clone(&received);
    let take = move |body: axum::Json<Value>| {
        let taken = Arc::clone(&taken);
        async move {
            taken.lock().unwrap_or_else(PoisonError::into_inner).push(body.0);
            "ok"
        }
    };
    let router = axum::Router::new().route("/services/{*rest}", axum::routing::post(take));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok((address, received))
}

/// What the cluster held before the story: as `durward ingest` would take `kubectl get -o json`.
async fn seed(server: &Server, scenario: &Scenario, cluster: &str) -> Result<(), Failure> {
    let state = scenario.state_json()?;
    let context = server.intake.context(Some(cluster), "kubectl");
    let reading = read(Format::KubeList, state.as_bytes(), &context);
    let items = reading.items();
    server.intake.append(reading.into_contents()).await?;
    say(&format!(
        "   The cluster's {items} objects are known: roles, bindings, pods and their owners.\n"
    ))
}

/// Posts every batch and export in its order, without the recording's pauses.
async fn replay(scenario: &Scenario, cluster: &str, addresses: &Addresses) -> Result<(), Failure> {
    let audit = format!("http://{}/v1/k8s-audit/{cluster}", addresses.audit);
    let grpc = addresses.otlp_grpc.to_string();
    let (mut batches, mut events, mut exports, mut spans) = (0, 0, 0, 0);
    for delivery in scenario.deliveries()? {
        match delivery.door {
            Door::AuditWebhook => {
                send::post(&audit, delivery.body.into_bytes().into()).await?;
                batches += 1;
                events += delivery.items;
            }
            Door::Traces => {
                send::traces(&grpc, &delivery.body).await?;
                exports += 1;
                spans += delivery.items;
            }
        }
    }
    say(&format!(
        "   {events} audit events in {batches} webhook batches, {spans} spans in {exports} OTLP exports: all durable.\n"
    ))
}

/// The first message; incidents wait a moment for more of their story.
async fn told(received: &Received) -> Option<Value> {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        let message = received.lock().unwrap_or_else(PoisonError::into_inner).last().cloned();
        if message.is_some() {
            return message;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    None
}

/// The access that opened it, explained; the other parts are one command away.
async fn incident(lake: &Lake, alert: Option<&Alert>) -> Result<(), Failure> {
    let Some(alert) = alert else { return say("   none was opened") };
    let id = alert.incident_id.as_str();
    let explain::Found::One(found) = explain::explain(lake, id).await? else { return Ok(()) };
    let Some(first) = found.parts.first() else { return Ok(()) };
    say(&super::explain::explanation(first, 3))
}

fn indented(text: &str) -> String {
    text.lines().flat_map(|line| ["   ", line, "\n"]).collect()
}

fn message_as_json(message: Option<&Value>) -> Result<(), Failure> {
    let Some(message) = message else { return say("4. No message reached Slack.\n") };
    let lines = format!("{message:#}");
    say("4. The message that Slack was sent, as JSON:\n")?;
    for line in lines.lines() {
        say(&format!("   {}", escape::visible(line)))?;
    }
    say("")
}

async fn ask(lake: &Path, question: &str, statement: &str) -> Result<(), Failure> {
    let folded = statement.split_whitespace().collect::<Vec<_>>().join(" ");
    say(&format!("   {question}\n   durward query \"{folded}\""))?;
    let answer = sql::question(lake, statement, Limits::default()).await?;
    render::answer(&answer, Output::Table, crate::out::lock())?;
    say("")
}

fn next(data: &Path, addresses: &Addresses, keep: bool, started: Instant) -> String {
    let took = started.elapsed().as_secs();
    let data = data.display();
    if keep {
        return format!(
            "6. It stays open ({took} s so far); stop it with Ctrl-C. Try:\n     durward --data-dir {data} findings list\n     \
             durward --data-dir {data} who payments/ledger\n     \
             curl -H 'Content-Type: application/json' -d '{{\"sql\":\"SELECT * FROM incidents\"}}' http://{}/api/v1/query",
            addresses.web
        );
    }
    format!(
        "6. That took {took} s. Next:\n     durward demo --keep                     to look around while it runs\n     \
         durward demo --data-dir DIR             to keep the tables, then: durward --data-dir DIR findings list\n     \
         durward ingest --cluster NAME audit.log your own API server's audit log"
    )
}

//! One process tree with all its doors: what `serve` runs and `demo` shows.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use durward_detect::alert::{Alert, Outbox, SlackRoute};
use durward_ingest::receive::webhook::WebhookSettings;
use durward_ingest::receive::{OtlpSettings, TlsSettings, otlp_grpc, otlp_http, upload, webhook};
use durward_ingest::{Intake, IntakeSettings, Keys, Log, Network};
use durward_schemas::record::Content;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::admin::{self, Admin};
use crate::config::{Config, Door, Tls};
use crate::data_dir::DataDir;
use crate::failure::{Code, Failure};
use crate::metrics::Metrics;
use crate::pipeline::{Care, Pipeline, Telling};
use crate::store::Store;
use crate::{clock, deliver, web};

/// Time passes in the log by a tick a minute.
const TICK_EVERY: Duration = Duration::from_mins(1);

/// Where the doors are, as `serve -o json` says it.
#[derive(Debug, Clone, serde::Serialize)]
pub(crate) struct Addresses {
    pub(crate) ready: bool,
    pub(crate) audit: SocketAddr,
    pub(crate) otlp_grpc: SocketAddr,
    pub(crate) otlp_http: SocketAddr,
    pub(crate) web: SocketAddr,
    pub(crate) admin: SocketAddr,
}

/// The alert that was owed last, for those who show it beside the doors.
pub(crate) type LastAlert = Arc<Mutex<Option<Alert>>>;

/// A server whose doors are open.
pub(crate) struct Server {
    pub(crate) addresses: Addresses,
    pub(crate) intake: Intake,
    /// The alert that was owed last.
    pub(crate) last_alert: LastAlert,
    pipeline: Pipeline,
    log: Arc<Log>,
    /// Doors and what runs beside the loop.
    doors: JoinSet<anyhow::Result<()>>,
    helpers: JoinSet<()>,
    closing: watch::Sender<bool>,
    ready: Arc<AtomicBool>,
}

impl Server {
    /// Takes the directory, opens every door, and starts what runs beside the loop.
    pub(crate) async fn open(path: &Path, config: &Config) -> Result<Self, Failure> {
        let pace =
            config.pace().map_err(|reason| Failure::new(Code::Config, anyhow::anyhow!(reason)))?;
        let detection = config.detection()?;
        let route = route(config)?;
        let networks = networks(config)?;
        let listeners = Listeners::bind(config).await?;
        let addresses = listeners.addresses()?;
        let dir = DataDir::take(path)?;
        let clock = clock::system();
        let keys = Arc::new(Keys::open(dir.path())?);
        let token = Keys::upload_token(dir.path())?;
        let outbox = match &route {
            Some(_) => Some(Arc::new(Mutex::new(Outbox::open(&dir.outbox(), pace)?))),
            None => None,
        };
        let lake = dir.lake();
        let store = Store::open(dir, Arc::clone(&clock)).await?;
        let log = Arc::clone(&store.log);
        let telling = outbox.clone().map(|outbox| Telling { outbox, muted_from: None });
        let mut pipeline = Pipeline::open(store, telling).await?;
        // What operators say holds from here on, also when the log is replayed.
        log.append(vec![Content::Settings(detection.logged())]).await?;
        let metrics = Arc::new(Metrics::default());
        let last_alert = LastAlert::default();
        let (counted, last) = (Arc::clone(&metrics), Arc::clone(&last_alert));
        pipeline.observe(Box::new(move |turn, judged, owed| {
            counted.turn(turn, judged);
            if let Some(alert) = owed.last() {
                *last.lock().unwrap_or_else(PoisonError::into_inner) = Some(alert.clone());
            }
        }));
        pipeline
            .care(Care { clock: Arc::clone(&clock), retention: config.retention().ok().flatten() });
        let settings = IntakeSettings {
            default_cluster: config.default_cluster.clone(),
            issuers: issuers(config),
            trusted_proxies: networks,
            ..IntakeSettings::default()
        };
        let intake = Intake::new(log.appender(), keys, Arc::clone(&clock), settings);
        let ready = Arc::new(AtomicBool::new(true));
        let (closing, closed) = watch::channel(false);
        let admin = admin::router(Admin { metrics, ready: Arc::clone(&ready) });
        let web = web::router(lake, upload::router(intake.clone(), &token));
        let doors = doors(listeners, config, &intake, web, admin, &closed);
        let mut helpers = JoinSet::new();
        helpers.spawn(tick(Arc::clone(&log)));
        if let (Some(outbox), Some(route)) = (outbox, route) {
            helpers.spawn(deliver::run(outbox, Arc::new(route), clock, pipeline.deliveries()));
        }
        Ok(Self { addresses, intake, last_alert, pipeline, log, doors, helpers, closing, ready })
    }

    /// Runs until `stop`; then says that it is not ready, closes the doors, and takes what is in the log.
    pub(crate) async fn run(mut self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let (ready, closing, mut doors, log) = (self.ready, self.closing, self.doors, self.log);
        let stop = async move {
            tokio::select! {
                () = stop => {}
                Some(ended) = doors.join_next() => report(ended),
            }
            ready.store(false, Ordering::Relaxed);
            closing.send_replace(true);
            while let Some(ended) = doors.join_next().await {
                report(ended);
            }
            // What the doors brought since the last tick is counted by one more.
            tick_once(&log).await;
        };
        let mut ran = self.pipeline.run(stop).await;
        if ran.is_ok() {
            ran = self.pipeline.catch_up().await;
        }
        self.helpers.shutdown().await;
        ran
    }
}

/// A door that ends before it is told to is an error, and ends the program in good order.
fn report(ended: Result<anyhow::Result<()>, tokio::task::JoinError>) {
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            tracing::error!(error = format!("{error:#}"), "a door could not be held open");
        }
        Err(error) => tracing::error!(%error, "a door ended"),
    }
}

/// Every door is taken before anything else is touched, so that a port in use costs nothing.
struct Listeners {
    audit: TcpListener,
    otlp_grpc: TcpListener,
    otlp_http: TcpListener,
    web: TcpListener,
    admin: TcpListener,
}

impl Listeners {
    async fn bind(config: &Config) -> Result<Self, Failure> {
        let listen = &config.listen;
        Ok(Self {
            audit: bind("audit", &listen.audit).await?,
            otlp_grpc: bind("otlp_grpc", &listen.otlp_grpc).await?,
            otlp_http: bind("otlp_http", &listen.otlp_http).await?,
            web: bind("web", &listen.web).await?,
            admin: bind("admin", &listen.admin).await?,
        })
    }

    fn addresses(&self) -> std::io::Result<Addresses> {
        Ok(Addresses {
            ready: true,
            audit: self.audit.local_addr()?,
            otlp_grpc: self.otlp_grpc.local_addr()?,
            otlp_http: self.otlp_http.local_addr()?,
            web: self.web.local_addr()?,
            admin: self.admin.local_addr()?,
        })
    }
}

async fn bind(name: &str, door: &Door) -> Result<TcpListener, Failure> {
    TcpListener::bind(door.address).await.map_err(|error| {
        Failure::io(format!("opening listen.{name} on {}: {error}", door.address)).hint(format!(
            "choose another with --set listen.{name}.address=127.0.0.1:0, or stop what holds it"
        ))
    })
}

fn doors(
    listeners: Listeners,
    config: &Config,
    intake: &Intake,
    web: Router,
    admin: Router,
    closed: &watch::Receiver<bool>,
) -> JoinSet<anyhow::Result<()>> {
    let mut doors = JoinSet::new();
    let listen = &config.listen;
    let audit = WebhookSettings { source: "audit".into(), tls: tls(listen.audit.tls.as_ref()) };
    let serving = webhook::serve(listeners.audit, audit, intake.clone(), wait(closed.clone()));
    doors.spawn(async move { Ok(serving.await?) });
    let grpc = otlp("otlp_grpc", &listen.otlp_grpc);
    let serving = otlp_grpc::serve(listeners.otlp_grpc, grpc, intake.clone(), wait(closed.clone()));
    doors.spawn(async move { Ok(serving.await?) });
    let http = otlp("otlp_http", &listen.otlp_http);
    let serving = otlp_http::serve(listeners.otlp_http, http, intake.clone(), wait(closed.clone()));
    doors.spawn(async move { Ok(serving.await?) });
    for (listener, router) in [(listeners.web, web), (listeners.admin, admin)] {
        let closed = wait(closed.clone());
        doors.spawn(async move {
            Ok(axum::serve(listener, router).with_graceful_shutdown(closed).await?)
        });
    }
    doors
}

fn otlp(name: &str, door: &Door) -> OtlpSettings {
    OtlpSettings {
        source: name.into(),
        cluster: door.cluster.clone(),
        client_clusters: door.client_clusters.clone(),
        tls: tls(door.tls.as_ref()),
    }
}

fn tls(tls: Option<&Tls>) -> Option<TlsSettings> {
    tls.map(|tls| TlsSettings {
        certificate: tls.cert_file.clone(),
        key: tls.key_file.clone(),
        client_ca: tls.client_ca_file.clone(),
    })
}

async fn wait(mut closed: watch::Receiver<bool>) {
    // An error means that the sender is gone, which is the end as well.
    let _ended = closed.wait_for(|closed| *closed).await;
}

async fn tick(log: Arc<Log>) {
    let mut interval = tokio::time::interval(TICK_EVERY);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        tick_once(&log).await;
    }
}

/// A busy log takes the next tick instead.
async fn tick_once(log: &Log) {
    if let Err(error) = log.append(vec![Content::Tick]).await {
        tracing::warn!(%error, "the log took no tick");
    }
}

/// The way to people that is configured.
pub(crate) fn route(config: &Config) -> Result<Option<SlackRoute>, Failure> {
    let Some(file) = &config.slack.webhook_url_file else { return Ok(None) };
    let route = SlackRoute::from_file("slack", file);
    Ok(Some(route.map_err(|error| {
        Failure::new(Code::Config, error)
            .hint("slack.webhook_url_file names a file that holds nothing but the webhook's URL")
    })?))
}

/// Clouds name issuers without the scheme.
fn issuers(config: &Config) -> BTreeMap<String, String> {
    let bare =
        |issuer: &str| issuer.trim_start_matches("https://").trim_end_matches('/').to_owned();
    config.clusters.iter().map(|(name, cluster)| (bare(&cluster.issuer), name.clone())).collect()
}

fn networks(config: &Config) -> Result<Vec<Network>, Failure> {
    let parsed = config.trusted_proxies.iter().map(|text| text.parse::<Network>());
    parsed.collect::<Result<_, _>>().map_err(|error| {
        Failure::new(Code::Config, error).hint("trusted_proxies: write ranges such as 10.0.0.0/8")
    })
}

//! One process tree with all its doors: what `serve` runs and `demo` shows.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use axum::Router;
use durward_detect::alert::{Alert, Outbox};
use durward_ingest::receive::page::Hosts;
use durward_ingest::receive::webhook::WebhookSettings;
use durward_ingest::receive::{
    DoorTls, Limits, OtlpSettings, otlp_grpc, otlp_http, serve, upload, webhook,
};
use durward_ingest::{Intake, IntakeSettings, Keys, Log};
use durward_schemas::record::Content;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use crate::admin::{self, Admin};
use crate::config::{Config, Door, DoorFiles, Settings};
use crate::data_dir::{DataDir, write_silences};
use crate::failure::Failure;
use crate::metrics::Metrics;
use crate::pipeline::{Care, Observer, Pipeline, Telling};
use crate::reload::Reload;
use crate::store::Store;
use crate::{clock, deliver, descriptors, reload, web};

/// Connections of the doors for people and their programs at most.
const FEW: usize = 256;
/// How many doors there are.
const DOORS: u64 = 5;
/// What is in the log when the doors are closed is taken so long; whatever is left the next start takes.
/// With two times the doors' own eight seconds that is less than the 30 s after which Kubernetes kills.
const CATCH_UP: Duration = Duration::from_secs(6);
/// Time passes in the log by a tick a minute.
const TICK_EVERY: Duration = Duration::from_mins(1);

/// A log that refused is asked again after so long.
const ASK_AGAIN: Duration = Duration::from_secs(1);

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
    /// The doors that close last, and the others.
    doors: (Doors, Doors),
    /// What runs beside the loop.
    helpers: JoinSet<()>,
    ready: Arc<AtomicBool>,
    reload: Option<Reload>,
}

impl Server {
    /// Takes the directory, opens every door, and starts what runs beside the loop.
    pub(crate) async fn open(path: &Path, settings: Settings) -> Result<Self, Failure> {
        let Settings { config, pace, detection, route, .. } = settings;
        let listeners = Listeners::bind(&config)?;
        let addresses = listeners.addresses()?;
        let dir = DataDir::take(path)?;
        let clock = clock::system();
        let keys = Arc::new(Keys::open(dir.path())?);
        Keys::upload_token(dir.path())?;
        let data_dir = dir.path().to_owned();
        let outbox = match &route {
            Some(_) => Some(Arc::new(Mutex::new(Outbox::open(&dir.outbox(), pace)?))),
            None => None,
        };
        let (lake, silences) = (dir.lake(), dir.silences());
        let store = Store::open(dir, Arc::clone(&clock)).await?;
        let log = Arc::clone(&store.log);
        let telling = outbox.clone().map(|outbox| Telling { outbox, muted_from: None });
        let mut pipeline = Pipeline::open(store, telling)?;
        let progress = pipeline.wait_for_disk();
        let mut helpers = JoinSet::new();
        stand_first(&log, &detection, &silences, &mut helpers).await;
        let metrics = Arc::new(Metrics::new());
        metrics.sizes(&pipeline.sizes());
        let last_alert = LastAlert::default();
        pipeline.observe(observer(Arc::clone(&metrics), Arc::clone(&last_alert)));
        pipeline.care(Care { clock: Arc::clone(&clock), retention: settings.retention });
        let reading = IntakeSettings {
            limits: Limits::of_connections(descriptors::connections(descriptors::raise(), DOORS)),
            ..settings.reading
        };
        let intake = Intake::new(log.appender(), keys, Arc::clone(&clock), reading);
        let ready = Arc::new(AtomicBool::new(true));
        let reload = Reload::of(&log, &metrics, &config, &detection, &settings.tls, silences);
        let admin = Admin { metrics, log: Arc::clone(&log), progress, ready: Arc::clone(&ready) };
        let hosts = |door: &Door| Hosts::of_door(false, &door.hosts);
        let admin = admin::router(admin, hosts(&config.listen.admin));
        let upload = upload::router(intake.clone(), &data_dir);
        let web = web::router(lake, upload, hosts(&config.listen.web));
        let doors = open(listeners, &config, &settings.tls, &intake, web, admin)?;
        helpers.spawn(tick(Arc::clone(&log)));
        helpers.spawn(reload::watch(settings.tls));
        if let (Some(outbox), Some(route)) = (outbox, route) {
            helpers.spawn(deliver::run(outbox, route, clock, pipeline.deliveries()));
        }
        let reload = Some(reload);
        Ok(Self { addresses, intake, last_alert, pipeline, log, doors, helpers, ready, reload })
    }

    /// What changes a part of the configuration while the server runs; once.
    pub(crate) fn reload(&mut self) -> Option<Reload> {
        self.reload.take()
    }

    /// Runs until `stop`; then says that it is not ready, closes the doors, and takes what is in the log.
    ///
    /// # Errors
    /// If the loop fails, or a door ended before it was told to.
    pub(crate) async fn run(mut self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let (ready, (mut last, mut others), log) = (self.ready, self.doors, self.log);
        let mut broken = Ok(());
        let stop = async {
            tokio::select! {
                () = stop => {}
                Some(ended) = last.tasks.join_next() => broken = ended_early(ended),
                Some(ended) = others.tasks.join_next() => broken = ended_early(ended),
            }
            ready.store(false, Ordering::Relaxed);
            others.close().await;
            last.close().await;
            // What the doors brought since the last tick is counted by one more.
            tick_once(&log).await;
        };
        let mut ran = self.pipeline.run(stop).await;
        if ran.is_ok() {
            ran = self.pipeline.catch_up(CATCH_UP).await;
        }
        self.helpers.shutdown().await;
        ran.and(broken)
    }
}

/// A door that ended before it was told to.
fn ended_early(ended: Result<anyhow::Result<()>, tokio::task::JoinError>) -> anyhow::Result<()> {
    ended_well(ended).and_then(|()| Err(anyhow::anyhow!("a door closed before it was told to")))
}

/// How a door ended.
fn ended_well(ended: Result<anyhow::Result<()>, tokio::task::JoinError>) -> anyhow::Result<()> {
    ended.context("holding a door open")?
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
    fn bind(config: &Config) -> Result<Self, Failure> {
        let listen = &config.listen;
        Ok(Self {
            audit: bind("audit", &listen.audit)?,
            otlp_grpc: bind("otlp_grpc", &listen.otlp_grpc)?,
            otlp_http: bind("otlp_http", &listen.otlp_http)?,
            web: bind("web", &listen.web)?,
            admin: bind("admin", &listen.admin)?,
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

/// Connections that wait to be accepted: whoever finds no place among them tries again after a second.
const BACKLOG: u32 = 4096;

fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart finds the port free at once.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn bind(name: &str, door: &Door) -> Result<TcpListener, Failure> {
    listen(door.address).map_err(|error| {
        Failure::io(format!("opening listen.{name} on {}: {error}", door.address)).hint(format!(
            "choose another with --set listen.{name}.address=127.0.0.1:0, or stop what holds it"
        ))
    })
}

/// The doors for senders and for questions; the audit webhook stands apart, since it closes last.
struct Doors {
    tasks: JoinSet<anyhow::Result<()>>,
    closing: watch::Sender<bool>,
}

impl Doors {
    fn new() -> Self {
        Self { tasks: JoinSet::new(), closing: watch::channel(false).0 }
    }

    /// When these doors are told to close.
    fn closed(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut closed = self.closing.subscribe();
        async move {
            // An error means that the sender is gone, which is the end as well.
            let _ended = closed.wait_for(|closed| *closed).await;
        }
    }

    fn open(&mut self, serving: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(async move {
            serving.await;
            Ok(())
        });
    }

    /// Closes these doors, and waits until what was under way is done.
    async fn close(&mut self) {
        self.closing.send_replace(true);
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended_well(ended) {
                tracing::error!(error = format!("{error:#}"), "a door ended badly");
            }
        }
    }
}

/// Opens the doors: those that close last, and the others.
fn open(
    listeners: Listeners,
    config: &Config,
    tls: &DoorFiles,
    intake: &Intake,
    web: Router,
    admin: Router,
) -> anyhow::Result<(Doors, Doors)> {
    let (mut last, mut others) = (Doors::new(), Doors::new());
    let limits = intake.settings().limits;
    let listen = &config.listen;
    let audit = WebhookSettings {
        source: "audit".into(),
        tls: tls.audit.clone(),
        hosts: listen.audit.hosts.clone(),
    };
    last.open(webhook::serve(listeners.audit, audit, intake.clone(), last.closed()));
    let grpc = otlp("otlp_grpc", &listen.otlp_grpc, tls.otlp_grpc.clone());
    others.open(otlp_grpc::serve(listeners.otlp_grpc, grpc, intake.clone(), others.closed()));
    let http = otlp("otlp_http", &listen.otlp_http, tls.otlp_http.clone());
    others.open(otlp_http::serve(listeners.otlp_http, http, intake.clone(), others.closed()));
    let few = Limits::of_connections(limits.connections.min(FEW));
    others.open(serve::serve(listeners.web, None, web, few, others.closed()));
    let served = on_its_own(listeners.admin, admin, few, last.closed())?;
    last.tasks.spawn(async move { served.await.context("holding the admin door open") });
    Ok((last, others))
}

/// The admin door has a thread of its own: whether the program lives must be told however busy it is.
fn on_its_own(
    listener: TcpListener,
    app: Router,
    limits: Limits,
    closed: impl Future<Output = ()> + Send + 'static,
) -> anyhow::Result<oneshot::Receiver<()>> {
    let listener = listener.into_std()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (done, served) = oneshot::channel();
    std::thread::Builder::new().name("door-admin".to_owned()).spawn(move || {
        runtime.block_on(async move {
            match TcpListener::from_std(listener) {
                Ok(listener) => serve::serve(listener, None, app, limits, closed).await,
                Err(error) => tracing::error!(%error, "the admin door could not be held open"),
            }
        });
        let _heard = done.send(());
    })?;
    Ok(served)
}

fn otlp(name: &str, door: &Door, tls: Option<DoorTls>) -> OtlpSettings {
    OtlpSettings {
        source: name.into(),
        cluster: door.cluster.clone(),
        tls,
        hosts: door.hosts.clone(),
    }
}

async fn tick(log: Arc<Log>) {
    let mut interval = tokio::time::interval(TICK_EVERY);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        tick_once(&log).await;
    }
}

/// What operators say holds from here on, also when the log is replayed: nobody appends before that stands there.
async fn stand_first(
    log: &Arc<Log>,
    detection: &durward_detect::Settings,
    silences: &Path,
    helpers: &mut JoinSet<()>,
) {
    log.hold();
    let first = vec![Content::Settings(detection.logged())];
    if let Err(refusal) = log.append_first(first.clone()).await {
        tracing::error!(%refusal, "the doors take nothing until the log does");
        helpers.spawn(append_first(Arc::clone(log), first));
    }
    if let Err(error) = write_silences(silences, &detection.exemptions) {
        tracing::warn!(%error, "the silences could not be noted for `durward doctor`");
    }
}

async fn append_first(log: Arc<Log>, contents: Vec<Content>) {
    while log.append_first(contents.clone()).await.is_err() {
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

/// Counts what each turn made, and keeps the alert that was owed last.
fn observer(metrics: Arc<Metrics>, last_alert: LastAlert) -> Observer {
    Box::new(move |turn, judged, owed, sizes| {
        metrics.turn(turn, judged);
        if let Some(sizes) = sizes {
            metrics.sizes(&sizes);
        }
        if let Some(alert) = owed.last() {
            *last_alert.lock().unwrap_or_else(PoisonError::into_inner) = Some(alert.clone());
        }
    })
}

/// A busy log takes the next tick instead.
async fn tick_once(log: &Log) {
    if let Err(error) = log.append(vec![Content::Tick]).await {
        tracing::warn!(%error, "the log took no tick");
    }
}

//! What tests share: the lab's recordings of a real API server, and a context to read them in.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};

use durward_schemas::record::{Content, Receipt, Record};
use durward_schemas::table::Row;
use durward_schemas::tables::Access;
use durward_schemas::{Clock, Time};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::receive::{DoorTls, TlsSettings};
use crate::{Context, Intake, IntakeSettings, Keys, Log, LogSettings, Reading};

/// One HTTP or gRPC request as it was sent.
pub(crate) struct Frame {
    /// Method, target, headers.
    pub(crate) head: Value,
    /// The body.
    pub(crate) body: Vec<u8>,
}

/// Names of the recordings.
pub(crate) const RECORDINGS: &[&str] =
    &["a-production", "b-metadata", "c-careless", "d-stratus", "e-benign", "f-production"];

/// The folder of the lab; says so and gives nothing where it is not there.
pub(crate) fn lab() -> Option<PathBuf> {
    let lab =
        std::env::var_os("DURWARD_SHARED_DATA").map(|data| PathBuf::from(data).join("../lab"));
    let lab = lab.filter(|lab| lab.is_dir());
    if lab.is_none() {
        // The runner swallows what print macros say in a test that passes.
        let said = writeln!(
            std::io::stderr(),
            "skipped: DURWARD_SHARED_DATA does not name a folder with the lab beside it"
        );
        said.expect("standard error");
    }
    lab
}

/// The folder of shared data; says so and gives nothing where it is not there.
pub(crate) fn shared() -> Option<PathBuf> {
    Some(lab()?.parent()?.join("data"))
}

/// The file `name` of a recording, decompressed.
pub(crate) fn recorded(recording: &str, name: &str) -> Option<Vec<u8>> {
    let path = lab()?.join("k8s/recordings").join(recording).join(name);
    let bytes = std::fs::read(&path).unwrap();
    Some(if path.extension().is_some_and(|extension| extension == "zst") {
        zstd::decode_all(bytes.as_slice()).unwrap()
    } else {
        bytes
    })
}

/// The requests in a file of frames: a line of JSON that says how many bytes follow.
pub(crate) fn frames(recording: &str, name: &str) -> Option<Vec<Frame>> {
    let bytes = recorded(recording, name)?;
    let mut frames = Vec::new();
    let mut rest = bytes.as_slice();
    while let Some(end) = memchr::memchr(b'\n', rest) {
        let (line, after) = rest.split_at(end);
        let head: Value = serde_json::from_slice(line).unwrap();
        let length = usize::try_from(head["bytes"].as_u64().unwrap()).unwrap();
        let (body, after) = after[1..].split_at(length);
        frames.push(Frame { head, body: body.to_vec() });
        rest = &after[1..];
    }
    Some(frames)
}

/// Runs `read` with a context of cluster `prod`, one known issuer of cluster `shop`, source `test`, received in November 2026.
pub(crate) fn with_context<R>(read: impl FnOnce(&Context<'_>) -> R) -> R {
    // Compiling what secrets look like takes longer than most reads.
    static KEYS: LazyLock<Keys> = LazyLock::new(|| Keys::from_bytes(&[7; 32], [9; 32]));
    read(&Context {
        cluster: Some("prod"),
        source: "test",
        received: Time::parse("2026-11-25T00:00:00Z").unwrap(),
        as_of: None,
        keys: &KEYS,
        trusted_proxies: &[],
        audit_containers: &BTreeSet::new(),
        default_cluster: None,
        speaker: None,
        issuers: &BTreeMap::from([(
            "oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLE".to_owned(),
            "shop".to_owned(),
        )]),
    })
}

/// What rows say, a column a line, without what says nothing: for snapshots.
pub(crate) fn told(accesses: &[Access]) -> String {
    const PLAIN: &[&str] = &[
        "judged: false",
        "log_position: 0",
        "ingest_time: Time(0)",
        "time_suspect: Some(false)",
        "truncated: false",
        "source: \"test\"",
        "cluster: Some(\"prod\")",
    ];
    let row = |access: &Access| {
        let mut text = format!("{access:?}").replace(" }", "");
        for column in Access::TABLE.columns {
            text = text.replace(&format!(", {}: ", column.name), &format!("\n  {}: ", column.name));
        }
        let says = |line: &&str| !line.ends_with(": None") && !PLAIN.contains(&line.trim_start());
        text.lines().filter(says).collect::<Vec<_>>().join("\n")
    };
    accesses.iter().map(row).collect::<Vec<_>>().join("\n")
}

/// Every file under the folder `name` of the lab's recordings of a mesh that ends so.
pub(crate) fn mesh(name: &str, ending: &str) -> Option<Vec<(String, Vec<u8>)>> {
    Some(folder(&lab()?.join("mesh/recordings").join(name), ending))
}

/// Every file in the folder `name` of the shared data that ends so.
pub(crate) fn shared_files(name: &str, ending: &str) -> Option<Vec<(String, Vec<u8>)>> {
    Some(folder(&lab()?.join("../data").join(name), ending))
}

/// Every file in a folder that ends so.
pub(crate) fn folder(path: &std::path::Path, ending: &str) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(ending) {
            files.push((name, std::fs::read(&path).unwrap()));
        }
    }
    files.sort();
    assert!(!files.is_empty(), "nothing in {} ends in {ending}", path.display());
    files
}

/// The lines of a file that are not empty.
pub(crate) fn lines(bytes: &[u8]) -> usize {
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).count()
}

/// A door that is open: its log, its intake, and what closes it.
pub(crate) struct Open {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) log: Log,
    pub(crate) intake: Intake,
    pub(crate) address: SocketAddr,
    close: tokio::sync::oneshot::Sender<()>,
    served: tokio::task::JoinHandle<()>,
}

/// A log in a directory of its own, with an intake before it.
pub(crate) fn intake(
    log: LogSettings,
    settings: IntakeSettings,
) -> (tempfile::TempDir, Log, Intake) {
    // The clients of tests need one, even in clear; whichever test comes first installs it.
    rustls::crypto::ring::default_provider().install_default().ok();
    let dir = tempfile::tempdir().unwrap();
    let clock: Clock = Arc::new(|| Time::parse("2026-11-25T00:00:00Z").unwrap());
    let log = Log::open(&dir.path().join("log"), log, Arc::clone(&clock)).unwrap();
    let keys = Arc::new(Keys::open(dir.path()).unwrap());
    let intake = Intake::new(log.appender(), keys, clock, settings);
    (dir, log, intake)
}

impl Open {
    /// Opens a door with `serve` on a port of its own.
    pub(crate) async fn door<F>(
        log: LogSettings,
        settings: IntakeSettings,
        serve: impl FnOnce(TcpListener, Intake, Pin<Box<dyn Future<Output = ()> + Send>>) -> F,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (dir, log, intake) = intake(log, settings);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (close, closed) = tokio::sync::oneshot::channel::<()>();
        let closed = Box::pin(async move { closed.await.unwrap() });
        let served = tokio::spawn(serve(listener, intake.clone(), closed));
        Self { dir, log, intake, address, close, served }
    }

    /// Tells the door to close; gives what is served when it has.
    pub(crate) fn begin_close(self) -> (tokio::task::JoinHandle<()>, Log, tempfile::TempDir) {
        self.close.send(()).unwrap();
        (self.served, self.log, self.dir)
    }

    /// Everything in the log.
    pub(crate) fn records(&self) -> Vec<Record> {
        records(&self.log)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

/// Everything in a log.
pub(crate) fn records(log: &Log) -> Vec<Record> {
    let mut reader = log.reader(0);
    std::iter::from_fn(|| reader.next().unwrap()?.record()).collect()
}

/// All rows of the records, as one reading.
pub(crate) fn rows(records: &[Record]) -> Reading {
    let mut all = Reading::default();
    for record in records {
        match record.content.clone() {
            Content::Accesses(rows) => all.accesses.extend(rows),
            Content::Objects(rows) => all.objects.extend(rows),
            Content::Spans(rows) => all.spans.extend(rows),
            Content::Logs(rows) => all.logs.extend(rows),
            Content::Metrics(rows) => all.metrics.extend(rows),
            Content::Rejects(rows) => all.rejects.extend(rows),
            Content::Received(_)
            | Content::Tick
            | Content::Settings(_)
            | Content::Loss(_)
            | Content::EndOfSource(_) => {}
        }
    }
    all
}

/// All receipts of the records.
pub(crate) fn receipts(records: &[Record]) -> Vec<Receipt> {
    let receipt = |record: &Record| match &record.content {
        Content::Received(receipt) => Some(receipt.clone()),
        _ => None,
    };
    records.iter().filter_map(receipt).collect()
}

/// Certificates for a door on loopback and for a client, of one authority, in PEM files.
pub(crate) struct Authority {
    dir: tempfile::TempDir,
    root: String,
    client: String,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

pub(crate) fn authority() -> Authority {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    let dir = tempfile::tempdir().unwrap();
    let root_key = KeyPair::generate().unwrap();
    let mut root = CertificateParams::new(vec![]).unwrap();
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root_certificate = root.self_signed(&root_key).unwrap();
    let issuer = Issuer::new(root, root_key);
    let leaf = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (certificate.signed_by(&key, &issuer).unwrap().pem(), key.serialize_pem())
    };
    let (certificate, key) = leaf("localhost");
    let (client_certificate, client_key) = leaf("client");
    let root = root_certificate.pem();
    for (name, text) in [("ca.pem", &root), ("tls.pem", &certificate), ("tls.key", &key)] {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    Authority { dir, root, client: client_certificate + &client_key, issuer }
}

impl Authority {
    /// A door that lets in only who has a certificate of this authority.
    pub(crate) fn door(&self) -> DoorTls {
        DoorTls::load(&self.files()).unwrap()
    }

    /// The files of [`Authority::door`].
    pub(crate) fn files(&self) -> TlsSettings {
        let path = |name: &str| self.dir.path().join(name);
        TlsSettings {
            certificate: path("tls.pem"),
            key: path("tls.key"),
            client_ca: Some(path("ca.pem")),
        }
    }

    /// A client that trusts the authority and finds the door under `localhost`.
    pub(crate) fn client(&self, door: SocketAddr) -> reqwest::ClientBuilder {
        let root = reqwest::Certificate::from_pem(self.root.as_bytes()).unwrap();
        reqwest::Client::builder().tls_certs_only([root]).resolve("localhost", door)
    }

    /// The certificate and key of a client with these URIs, and this common name and organization.
    pub(crate) fn identity_of(&self, uris: &[&str], common_name: &str) -> reqwest::Identity {
        use rcgen::{CertificateParams, DnType, KeyPair, SanType};
        let key = KeyPair::generate().unwrap();
        let mut certificate = CertificateParams::new(vec![]).unwrap();
        let uris = uris.iter().map(|uri| SanType::URI((*uri).try_into().unwrap()));
        certificate.subject_alt_names = uris.collect();
        certificate.distinguished_name = rcgen::DistinguishedName::new();
        certificate.distinguished_name.push(DnType::CommonName, common_name);
        certificate.distinguished_name.push(DnType::OrganizationName, "prod");
        let signed = certificate.signed_by(&key, &self.issuer).unwrap();
        let pem = signed.pem() + &key.serialize_pem();
        reqwest::Identity::from_pem(pem.as_bytes()).unwrap()
    }

    /// The certificate and key of the client `client`.
    pub(crate) fn identity(&self) -> reqwest::Identity {
        reqwest::Identity::from_pem(self.client.as_bytes()).unwrap()
    }
}

//! A disk that is full, really: a small file system in a mount namespace of its own.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::program::Place;
use crate::serve::{Running, batch, client, post};

/// The file system's size.
const DISK: u64 = 16 << 20;
/// Room in which the log still accepts, and the lake does not.
const LITTLE: u64 = 1 << 20;

/// A process in whose mount namespace a small file system is mounted on the data directory.
struct Disk {
    holder: Child,
    data: PathBuf,
}

impl Disk {
    /// None, and a word about it, where the machine lets nobody mount.
    fn mount(place: &Place) -> Option<Self> {
        fs::create_dir(place.data()).expect("a directory");
        let mount = format!(
            "mount -t tmpfs -o size={DISK} tmpfs '{}' && echo mounted && exec cat",
            place.data().display()
        );
        let mut holder = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", &mount])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut said = [0; 7];
        let mounted = holder.stdout.as_mut().map(|out| std::io::Read::read_exact(out, &mut said));
        if !matches!(mounted, Some(Ok(()))) {
            writeln!(std::io::stderr(), "skipped: no file system can be mounted here (unshare)")
                .expect("standard error");
            holder.wait().expect("it ended");
            return None;
        }
        Some(Self { data: place.data(), holder })
    }

    /// What runs the program in the namespace.
    fn command(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--user", "--mount", "--preserve-credentials", "--target"]);
        command.arg(self.holder.id().to_string()).arg(env!("CARGO_BIN_EXE_durward"));
        command
    }

    /// A file of the data directory, as it is seen from here.
    fn path(&self, name: &str) -> PathBuf {
        let inside = self.data.strip_prefix("/").expect("an absolute path");
        Path::new("/proc").join(self.holder.id().to_string()).join("root").join(inside).join(name)
    }

    /// Takes the room until so much is left.
    fn fill(&self, left: u64) {
        let mut file =
            OpenOptions::new().create(true).append(true).open(self.path("fill")).expect("a file");
        while self.room() > left && file.write_all(&[7; 4096]).is_ok() {}
    }

    fn room(&self) -> u64 {
        let disk = rustix::fs::statvfs(self.path("")).expect("a file system");
        disk.f_bavail * disk.f_frsize
    }

    fn empty(&self) {
        fs::remove_file(self.path("fill")).expect("it was there");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ended = self.holder.kill().and_then(|()| self.holder.wait());
    }
}

/// The text of `/readyz`, with its status before it.
async fn readiness(server: &Running) -> String {
    let answer = client().get(server.url("admin", "/readyz")).send().await.expect("an answer");
    format!("{} {}", answer.status().as_u16(), answer.text().await.expect("a text"))
}

async fn accesses(server: &Running) -> Value {
    let sql = "SELECT count(*) AS n, count(DISTINCT event_id) AS ids FROM accesses";
    let asked = client()
        .post(server.url("web", "/api/v1/query"))
        .header("content-type", "application/json")
        .body(json!({ "sql": sql }).to_string());
    let answer = asked.send().await.expect("an answer").text().await.expect("a text");
    serde_json::from_str(&answer).expect("JSON")
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let until = std::time::Instant::now() + std::time::Duration::from_mins(1);
    while !is_so().await {
        assert!(std::time::Instant::now() < until, "{what} did not come about");
        std::thread::park_timeout(std::time::Duration::from_millis(100));
    }
}

/// Scenario: the disk under a server has less and less room, and then none; the server is killed, starts on the full
/// disk, and then there is room again.
/// Guarantees: no process ends; with a little room the log still accepts while the lake waits and `/readyz` says why;
/// without room senders are told to try again and questions are answered, also after a start; with room everything that
/// was answered 200 is in the lake, once, without anybody's help.
#[tokio::test]
async fn a_full_disk_is_waited_for() {
    let place = Place::new();
    let Some(disk) = Disk::mount(&place) else { return };
    let server = Running::start_by(disk.command(), &place, &[]);
    let client = client();
    let send = async |server: &Running, id: u32| {
        post(&client, server.url("audit", "/v1/k8s-audit/c"), batch(id)).await
    };
    assert_eq!(send(&server, 0).await, 200);
    until("the first row", async || accesses(&server).await[0]["n"] == 1).await;
    disk.fill(LITTLE);
    for id in 1..5 {
        assert_eq!(send(&server, id).await, 200);
    }
    until("word of the disk", async || {
        readiness(&server).await.starts_with("503 not ready: waiting for the disk")
    })
    .await;
    disk.fill(0);
    let mut acknowledged = 5;
    until("a refusal", async || {
        let status = send(&server, acknowledged).await;
        acknowledged += u32::from(status == 200);
        assert!([200, 429, 503].contains(&status), "{status}");
        status != 200
    })
    .await;
    assert_eq!(accesses(&server).await[0]["n"], 1);
    server.stop("-KILL");
    let server = Running::start_by(disk.command(), &place, &[]);
    assert_eq!(accesses(&server).await[0]["n"], 1);
    assert!(readiness(&server).await.starts_with("503 "));
    assert!([429, 503].contains(&send(&server, acknowledged).await));
    disk.empty();
    until("it to be ready", async || readiness(&server).await == "200 ok\n").await;
    until("it to accept", async || send(&server, acknowledged).await == 200).await;
    let n = acknowledged + 1;
    until("every row", async || accesses(&server).await[0] == json!({ "n": n, "ids": n })).await;
    assert_eq!(server.stop("-TERM"), Some(0));
}

#!/usr/bin/env python3
"""Real kube-apiserver and Collector -> durward serve -> SQL and a Slack message, with a SIGKILL in the middle.

  e2e/run.py target/debug/durward [--seed 1] [--life 20]

Prints one line a check; ends with 0 if all are good, 1 if not. Keeps its folder for a look if not.
"""
import argparse
import collections
import datetime
import importlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path[:0] = [str(HERE / "lab"), str(HERE / "lab/scenarios"), str(HERE / "lab/scenarios/stories")]
import lab  # noqa: E402

CLUSTER = "e2e"
PROGRAMS = ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kwok", "otelcol-lab"]
# The API server would keep events back for half a minute; nobody wants to wait for that here.
APISERVER_FLAGS = "--audit-webhook-batch-max-wait=2s"


class Checks:
    """Says one line for each check and remembers whether one was bad."""

    def __init__(self):
        self.failed = 0

    def __call__(self, what, good, detail=""):
        self.failed += not good
        print(f"{'ok  ' if good else 'FAIL'}  {what}{f': {detail}' if detail else ''}", flush=True)


def eventually(seconds, ask):
    """Asks until the answer is true, or for so long; returns the last answer."""
    until = time.time() + seconds
    while not (answer := ask()) and time.time() < until:
        time.sleep(0.5)
    return answer


# --- the programs under test --------------------------------------------------

class Slack:
    """The stand-in for Slack."""

    def __init__(self, folder):
        self.child = subprocess.Popen([HERE / "slack-sink", "--port", "0", "--out", folder], stdout=subprocess.PIPE, text=True)
        self.url = re.search(r"http://\S+", self.child.stdout.readline())[0]
        self.door = self.url.partition("/services/")[0]

    def ask(self, path):
        with urllib.request.urlopen(self.door + path, timeout=10) as answer:
            return json.load(answer)

    def told(self, word):
        """Messages that Slack took and that name `word`."""
        return [m for m in self.ask("/messages") if m["answer"]["word"] == "ok" and word in json.dumps(m["body"])]


class Durward:
    """`durward serve` on ports of its own, which stay the same when it is started again."""

    def __init__(self, program, folder, slack):
        self.program, self.folder, self.data = program, folder, folder / "data"
        secret = folder / "slack-webhook-url"
        secret.write_text(slack.url)
        secret.chmod(0o600)
        doors = {name: f"127.0.0.1:{lab.free_port()}" for name in ("audit", "otlp_grpc", "otlp_http", "web", "admin")}
        self.settings = {f"listen.{name}.address": address for name, address in doors.items()}
        self.settings |= {"default_cluster": CLUSTER, "slack.webhook_url_file": str(secret)}
        self.child, self.doors = None, doors

    def start(self):
        """Starts it and waits for its one line `ready`; what else it says goes to durward.log."""
        sets = [word for key, value in self.settings.items() for word in ("--set", f"{key}={value}")]
        with open(self.folder / "durward.log", "ab") as log:
            already = log.tell()
            self.child = subprocess.Popen([self.program, "--data-dir", self.data, "serve", "-o", "json", *sets], stderr=log, stdin=subprocess.DEVNULL)
        eventually(60, lambda: self.ready(already) or self.child.poll() is not None)
        if self.child.poll() is not None or not self.ready(already):
            sys.exit(f"durward serve did not become ready; see {log.name}")

    def ready(self, already):
        with open(self.folder / "durward.log", "rb") as log:
            log.seek(already)
            said = [json.loads(line) for line in log if line.startswith(b"{") and line.endswith(b"}\n")]
        found = [line for line in said if line.get("ready") is True]
        return bool(found) and all(found[0][door] == address for door, address in self.doors.items())

    def stop(self, sign):
        """Returns the exit code."""
        self.child.send_signal(sign)
        return self.child.wait(60)

    def query(self, sql):
        done = subprocess.run([self.program, "--data-dir", self.data, "query", "-o", "json", "--max-rows", "1000000", sql], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"durward query ended with {done.returncode}: {done.stderr}")
        return json.loads(done.stdout)

    def ingest(self, file):
        """Takes a file while no server runs. Ends with a tick, which the counters of the server's last minute wait for."""
        subprocess.run([self.program, "--data-dir", self.data, "ingest", "--cluster", CLUSTER, file], check=True, stdout=subprocess.DEVNULL)


class Collector:
    """The OpenTelemetry Collector: tails the audit file, twice, and takes what the workloads trace."""

    def __init__(self, folder, durward):
        self.door, self.port = f"127.0.0.1:{lab.free_port()}", lab.free_port()
        self.settings = {"AUDIT_LOG": folder / "audit.jsonl", "STORAGE": folder / "collector", "COLLECTOR_HTTP": self.door, "METRICS_PORT": self.port,
                         "DURWARD_GRPC": durward.doors["otlp_grpc"], "DURWARD_HTTP": durward.doors["otlp_http"]}
        self.child, self.log = None, folder / "collector.log"

    def start(self):
        with open(self.log, "wb") as log:
            self.child = subprocess.Popen([lab.BIN / "otelcol-lab", "--config", HERE / "lab/otelcol.yaml"], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                          env={name: str(value) for name, value in self.settings.items()})
        eventually(20, lambda: self.says("Everything is ready") or self.child.poll() is not None)
        if not self.says("Everything is ready"):
            sys.exit(f"the Collector did not become ready; see {self.log}")

    def says(self, words):
        return words in self.log.read_text()

    def metrics(self):
        """What it counts of itself, by name and component; nothing if it does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=10) as answer:
                text = answer.read().decode()
        except OSError:
            return collections.Counter()
        found = re.findall(r'^otelcol_(\w+)\{.*?(?:exporter|receiver)="(.*?)".*\} (\S+)$', text, re.M)
        return collections.Counter({(name, component): int(float(value)) for name, component, value in found})

    def post_traces(self, body):
        request = urllib.request.Request(f"http://{self.door}/v1/traces", body.encode(), {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as refused:
            return refused.code
        except OSError as error:
            return str(error)

    def stop(self):
        """Returns the exit code."""
        self.child.terminate()
        return self.child.wait(60)


# --- the play -----------------------------------------------------------------

def start_cluster(folder, durward):
    os.environ.update(LAB_RUN=str(folder / "cluster"), AUDIT_LOG=str(folder / "audit.jsonl"), TRACING_ENDPOINT=durward.doors["otlp_grpc"],
                      AUDIT_WEBHOOK_URL=f"http://{durward.doors['audit']}/v1/k8s-audit/{CLUSTER}", APISERVER_FLAGS=APISERVER_FLAGS)
    subprocess.run([HERE / "lab/up"], check=True)


def stop_cluster():
    subprocess.run([HERE / "lab/down"], check=True, stdout=subprocess.DEVNULL)


def play(folder, durward, checks, opt):
    """The shop lives, one story is told, Durward is killed and comes back, the other story is told."""
    import shop
    import world as stage
    world = stage.World("e2e", opt.seed, folder)
    shop.build(world)
    people = shop.live(world)
    expected = sum(app["pods"] for app in shop.SHOP.values())
    living = lambda: sum(1 for pods in list(world.pods.values()) for pod in list(pods.values()) if pod.token)
    checks("the shop lives", eventually(60, lambda: living() >= expected), f"{living()} of {expected} workloads")
    world.sleep(opt.life)
    importlib.import_module("mint_token").play(world)
    durward.stop(signal.SIGKILL)
    world.sleep(3)
    durward.start()
    checks("durward came back after SIGKILL", True)
    world.sleep(opt.life)
    importlib.import_module("stolen_token").play(world)
    world.sleep(5)
    # How many events the API server gave up; the metric appears with the first one.
    metrics = world.root.get("/metrics").raw.decode()
    lost = sum(float(line.rsplit(" ", 1)[1]) for line in metrics.splitlines() if line.startswith("apiserver_audit_error_total"))
    checks("the API server gave up no event", lost == 0, f"{lost:.0f} lost")
    world.ended.set()
    for person in people:
        person.join(20)
    labels = {label["scenario"]: label for label in map(json.loads, open(folder / "labels.jsonl"))}
    failed = [name for name in ("mint-token", "stolen-token") if "failed" in labels[name]]
    checks("both stories were told", not failed, " ".join(failed))
    return labels


# --- the checks ---------------------------------------------------------------

def instant(text):
    return datetime.datetime.fromisoformat(text).astimezone(datetime.timezone.utc).isoformat(timespec="microseconds")


def in_file(folder):
    return [json.loads(line) for line in open(folder / "audit.jsonl")]


def check_rows(folder, durward, checks):
    """Every event of the audit file is one row, by however many doors it came."""
    events = collections.Counter((e["auditID"], e["stage"], instant(e["requestReceivedTimestamp"]), e["verb"]) for e in in_file(folder))
    rows = durward.query(f"SELECT source_event_id, stage, time, verb FROM accesses WHERE cluster = '{CLUSTER}'")
    in_table = collections.Counter((row["source_event_id"], row["stage"], instant(row["time"]), row["verb"]) for row in rows)
    lost, more = events - in_table, in_table - events
    checks("every event of the audit file is there", not lost, f"{events.total()} events" if not lost else f"lost {list(lost)[:3]} and {lost.total()} in all")
    checks("every row is in the audit file, once", not more, f"{len(rows)} rows" if not more else str(list(more)[:3]))


def check_doors(folder, durward, stopping, checks):
    """Durward's own counters: every door brought every event, and the file itself brings nothing new."""
    events = in_file(folder)
    # A server that stops closes its webhook before its watches end.
    late = sum(1 for e in events if e["verb"] == "watch" and e["stage"] == "ResponseComplete" and instant(e["stageTimestamp"]) > stopping)
    durward.ingest(folder / "audit.jsonl")
    columns = "sum(accepted) AS accepted, sum(duplicates) AS duplicates, sum(rejected) AS rejected"
    counted = {row["source"]: row for row in durward.query(f"SELECT source, {columns} FROM source_counters GROUP BY source")}
    spans = durward.query("SELECT count(*) AS n FROM spans WHERE source = 'otlp_grpc'")[0]["n"]

    def check(what, source, least, besides=0):
        row = counted.get(source, collections.Counter())
        brought = row["accepted"] + row["duplicates"] - besides
        checks(what, brought >= least and not row["rejected"], f"{brought}, at least {least}; {row['rejected']} rejected")

    check("the webhook brought every event", "audit", len(events) - late)
    check("the Collector brought every event as a string", "otlp_grpc", len(events), besides=spans)
    check("the Collector brought every event as a map", "otlp_http", len(events))
    file = counted.get("file", collections.Counter())
    checks("the audit file itself brings nothing new", not file["accepted"] and file["duplicates"] == len(events), f"{file['duplicates']} duplicates")


def check_edges(durward, label, checks):
    """The stolen token's allowed access: its span, its pod, its minting, and the RBAC change before it."""
    ident = next(r["audit_id"] for r in label["requests"] if r["status"] == 200)
    rows = durward.query(f"SELECT * FROM correlated_events WHERE source_event_id = '{ident}'")
    checks("the stolen token's access is one row", len(rows) == 1, ident)
    row = rows[0] if rows else {}

    def check(what, good, *columns):
        checks(what, good, ", ".join(f"{column} {row.get(column)}" for column in columns))

    # In 1.30 the root span has no audit id, only those below it have.
    evidence = "derived" if lab.RELEASE == "1.30" else "exact"
    check("it has its span", bool(row.get("trace_id")) and row.get("trace_evidence") == evidence, "trace_id", "trace_evidence", "trace_name")
    check("it has its pod and owner", row.get("pod") == label["victim_pod"] and row.get("workload") == "shop/cart", "pod", "workload", "workload_evidence")
    check("it has its minting", str(row.get("minted_by", "")).startswith("system:node:") and bool(row.get("credential_issued_time")), "minted_by", "credential_issued_time", "lineage_evidence")
    earlier = bool(row.get("change_time")) and row["change_time"] < row["time"]
    rbac = row.get("change_kind") in ("role", "role_binding") and row.get("change_evidence") == "exact"
    check("it has the RBAC change before it", earlier and rbac, "change_time", "change_summary", "change_actor", "change_evidence")
    check("it came from where it was stolen to", row.get("source_ip") == label["source"], "source_ip")


def check_slack(slack, checks):
    for story, word in (("stolen-token", "cart"), ("mint-token", "backup")):
        told = eventually(60, lambda: slack.told(word))
        checks(f"Slack has the message of {story}", bool(told), told[0]["body"].get("text", "") if told else f"none names {word}")
    control = slack.ask("/control")
    refused = {answer: count for answer, count in control["answers"].items() if not answer.endswith(" 200 ok")}
    checks("Slack took every message and regrets none", not refused and not control["lint"], f"{control['answers']} {control['lint']}")


def check_collector(folder, collector, checks):
    """Once the API server is down the audit file is whole: the Collector sends what is left of it, and drops nothing."""
    spans = (folder / "client-spans.jsonl").read_text().splitlines()
    answers = collections.Counter(map(collector.post_traces, spans))
    checks("the Collector takes the workloads' own spans", set(answers) == {200}, str(dict(answers)))
    lines = len(in_file(folder))
    due = {("exporter_sent_log_records", "otlp_grpc/durward"): lines, ("exporter_sent_log_records", "otlp_http/durward"): lines,
           ("exporter_sent_spans", "otlp_grpc/durward"): len(spans)}
    eventually(60, lambda: collector.metrics() >= collections.Counter(due))
    metrics = collector.metrics()
    checks("the Collector sent the audit file, twice, and the spans", all(metrics[what] == n for what, n in due.items()),
           ", ".join(f"{metrics[what]} of {n} {' '.join(what)}" for what, n in due.items()))
    again = set(re.findall(r'Will retry the request.*"otelcol.component.id": "(.*?)"', collector.log.read_text()))
    checks("the Collector had to send again when Durward was killed", again == {"otlp_grpc/durward", "otlp_http/durward"}, " ".join(sorted(again)))
    failed = {what: n for what, n in metrics.items() if n and re.search("failed|refused", what[0])}
    words = [words for words in ("Dropping data", "Rejecting data", "Partial success") if collector.says(words)]
    checks("the Collector dropped nothing", metrics and not failed and not words, f"{failed} {words}" if metrics else "it does not answer")
    code = collector.stop()
    checks("the Collector ends well", code == 0, f"exit code {code}")


def check_client_spans(folder, durward, checks):
    """What the instrumented workloads themselves export, through the Collector."""
    scopes = (scope for line in open(folder / "client-spans.jsonl") for resource in json.loads(line)["resourceSpans"] for scope in resource["scopeSpans"])
    exported = {span["spanId"] for scope in scopes for span in scope["spans"]}
    lacking = exported - {row["span_id"] for row in durward.query("SELECT span_id FROM spans")}
    checks("the workloads' own spans are there", exported and not lacking, f"{len(exported)} spans" if not lacking else f"lost {len(lacking)} of {len(exported)}")


def run(opt, folder, checks):
    slack = Slack(folder / "slack")
    durward = Durward(opt.durward.resolve(), folder, slack)
    collector = Collector(folder, durward)
    try:
        durward.start()
        collector.start()
        try:
            start_cluster(folder, durward)
            labels = play(folder, durward, checks, opt)
        finally:
            stopping = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="microseconds")
            stop_cluster()
        check_collector(folder, collector, checks)
        check_slack(slack, checks)
        code = durward.stop(signal.SIGTERM)
        checks("durward drains on SIGTERM", code == 0, f"exit code {code}")
        check_rows(folder, durward, checks)
        check_client_spans(folder, durward, checks)
        check_edges(durward, labels["stolen-token"], checks)
        check_doors(folder, durward, stopping, checks)
    finally:
        for program in (collector, durward, slack):
            if program.child and program.child.poll() is None:
                program.child.kill()
                program.child.wait()


def missing():
    """Builds what is missing, if it can; returns what is still missing."""
    if shutil.which("go"):
        subprocess.run([HERE / "lab/build"], check=True)
    return [name for name in PROGRAMS if not lab.program(name).exists()]


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("durward", type=pathlib.Path, help="the program")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--life", type=float, default=20, help="seconds of ordinary life before each story")
    opt = parser.parse_args()
    if lacking := missing():
        print(f"skipped: e2e needs {', '.join(lacking)} in {lab.BIN}; install Go 1.26 (https://go.dev/dl/) and run e2e/lab/build (about 14 minutes)")
        return
    folder = lab.LAB / "e2e"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    checks = Checks()
    run(opt, folder, checks)
    if checks.failed:
        sys.exit(f"{checks.failed} checks failed; see {folder}")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()

"""What `up`, `down` and the scenarios share: folders, certificates, processes, a plain API client.

Python's standard library and the openssl command are all it needs.
"""
import http.client
import json
import os
import pathlib
import signal
import socket
import ssl
import subprocess
import time
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
LAB = pathlib.Path(os.environ.get("DURWARD_LAB") or pathlib.Path.home() / ".cache/durward-lab")
BIN = LAB / "bin"
RELEASE = os.environ.get("DURWARD_KUBERNETES") or "1.34"
VERSION = {"1.30": "v1.30.14", "1.34": "v1.34.4", "1.37": "v1.37.2"}[RELEASE]


def program(name):
    """A program; of the control plane, the one of the release of Kubernetes that DURWARD_KUBERNETES names."""
    is_release = name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
    return (BIN / RELEASE if is_release and RELEASE != "1.34" else BIN) / name


def run_dir():
    """The folder of the running cluster: keys, kubeconfigs, logs, pids."""
    return pathlib.Path(os.environ.get("LAB_RUN") or LAB / "run")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


# --- certificates -----------------------------------------------------------

def openssl(*args, stdin=None):
    done = subprocess.run(["openssl", *map(str, args)], input=stdin, capture_output=True)
    if done.returncode:
        raise RuntimeError(f"openssl {args[0]}: {done.stderr.decode()}")
    return done.stdout


def make_key(path):
    openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", path)
    os.chmod(path, 0o600)


def make_ca(pki, name="ca"):
    pki.mkdir(parents=True, exist_ok=True)
    make_key(pki / f"{name}.key")
    openssl("req", "-x509", "-new", "-key", pki / f"{name}.key", "-subj", f"/CN=lab-{name}", "-days", 2,
            "-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature", "-out", pki / f"{name}.crt")


def make_cert(pki, name, cn, orgs=(), sans=(), ca="ca", days=1):
    """Issues pki/name.{key,crt}, good for client and server."""
    key, crt = pki / f"{name}.key", pki / f"{name}.crt"
    make_key(key)
    subject = "".join(f"/O={o}" for o in orgs) + f"/CN={cn}"
    csr = openssl("req", "-new", "-key", key, "-subj", subject)
    ext = pki / f"{name}.ext"
    ext.write_text("extendedKeyUsage=clientAuth,serverAuth\nkeyUsage=digitalSignature\n"
                   + (f"subjectAltName={','.join(sans)}\n" if sans else ""))
    openssl("x509", "-req", "-CA", pki / f"{ca}.crt", "-CAkey", pki / f"{ca}.key", "-set_serial", time.time_ns(),
            "-days", days, "-extfile", ext, "-out", crt, stdin=csr)
    ext.unlink()
    return crt, key


def kubeconfig(path, server, ca, user):
    """Writes a kubeconfig; user is a dict such as {"client-certificate": ...} or {"token": ...}."""
    path.write_text(json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "lab",
        "clusters": [{"name": "lab", "cluster": {"server": server, **({"certificate-authority": str(ca)} if ca else {})}}],
        "users": [{"name": "lab", "user": {k: str(v) for k, v in user.items()}}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}]}, indent=1))
    os.chmod(path, 0o600)
    return path


# --- processes --------------------------------------------------------------

def started_at(pid):
    """When a process began, in clock ticks: tells a recorded pid from a later process with the same number."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except OSError:
        return None


def start(name, *args, env=None):
    """Starts a program detached, output to logs/NAME.log, and records its pid."""
    run = run_dir()
    (run / "logs").mkdir(parents=True, exist_ok=True)
    log = open(run / "logs" / f"{name}.log", "ab")
    child = subprocess.Popen([str(a) for a in args], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                             start_new_session=True, env={**os.environ, **(env or {})})
    with open(run / "pids", "a") as pids:
        pids.write(f"{name} {child.pid} {started_at(child.pid)}\n")
    return child


def recorded():
    """The processes that `start` recorded and that still live: (name, pid), newest first."""
    try:
        lines = (run_dir() / "pids").read_text().split("\n")
    except OSError:
        return []
    rows = [line.split() for line in lines if line]
    return [(name, int(pid)) for name, pid, began in reversed(rows) if started_at(pid) == began]


def stop(pid, patience=20):
    """Asks a process to end, insists after a while; returns when it is gone."""
    began = started_at(pid)
    for sig, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 5)):
        try:
            os.kill(pid, sig)
        except ProcessLookupError:
            return
        until = time.time() + seconds
        while time.time() < until:
            try:
                os.waitpid(pid, os.WNOHANG)
            except OSError:
                pass
            if started_at(pid) != began:
                return
            time.sleep(0.05)


# --- recordings -------------------------------------------------------------

def frames(path):
    """Reads a file of frames, .zst or not: pairs of head (a dict) and body (bytes)."""
    path = pathlib.Path(path)
    data = subprocess.run(["zstd", "-dc", str(path)], capture_output=True, check=True).stdout if path.suffix == ".zst" else path.read_bytes()
    at = 0
    while at < len(data):
        end = data.index(b"\n", at)
        head = json.loads(data[at:end])
        at = end + 1 + head["bytes"] + 1
        yield head, data[end + 1:at - 1]


# --- API client -------------------------------------------------------------

class Answer:
    """One reply: status, body, and the audit ID that the server gave the request."""

    def __init__(self, status, body, headers):
        self.status, self.raw, self.headers = status, body, headers
        self.audit_id = headers.get("Audit-Id")

    @property
    def json(self):
        try:
            return json.loads(self.raw)
        except ValueError:
            return {}

    def __repr__(self):
        return f"<{self.status} {self.audit_id}>"


class Api:
    """A client with one credential, one source address and one user agent, all chosen by the caller.

    The source address is any of 127.0.0.0/8: Linux lets a socket bind to each of them.
    """

    def __init__(self, server, ca, cert=None, token=None, source="127.0.0.1", agent=None, tell=None, headers=None):
        self.host = urllib.parse.urlsplit(server).netloc
        self.token, self.source, self.agent, self.tell = token, source, agent, tell
        self.headers = headers or {}
        self.tls = ssl.create_default_context(cafile=str(ca))
        if cert:
            self.tls.load_cert_chain(str(cert[0]), str(cert[1]))
        self.keep = None

    def connect(self, timeout=30):
        return http.client.HTTPSConnection(self.host, context=self.tls, source_address=(self.source, 0), timeout=timeout)

    def request_headers(self, body, headers):
        h = {"Accept": "application/json", "User-Agent": self.agent or f"durward-lab/{VERSION}", **self.headers}
        if self.token:
            h["Authorization"] = f"Bearer {self.token}"
        if body is not None:
            h["Content-Type"] = "application/json"
        return {k: v for k, v in {**h, **(headers or {})}.items() if v is not None}

    def call(self, method, path, body=None, headers=None):
        """One request on a kept connection; told to self.tell(method, path, answer) if set."""
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        for attempt in (1, 2):
            self.keep = self.keep or self.connect()
            try:
                self.keep.request(method, path, data, self.request_headers(body, headers))
                reply = self.keep.getresponse()
                answer = Answer(reply.status, reply.read(), reply.headers)
                break
            except (http.client.HTTPException, OSError):
                self.keep.close()
                self.keep = None
                if attempt == 2:
                    raise
        if self.tell:
            self.tell(method, path, answer)
        return answer

    def close(self):
        if self.keep:
            self.keep.close()
            self.keep = None

    def get(self, path, **kw):
        return self.call("GET", path, **kw)

    def post(self, path, body, **kw):
        return self.call("POST", path, body, **kw)

    def put(self, path, body, **kw):
        return self.call("PUT", path, body, **kw)

    def delete(self, path, **kw):
        return self.call("DELETE", path, **kw)

    def patch(self, path, body, kind="application/strategic-merge-patch+json", **kw):
        return self.call("PATCH", path, body, headers={"Content-Type": kind, **kw.pop("headers", {})}, **kw)

    def stream(self, path, seconds, headers=None, method="GET"):
        """Opens a request that does not end by itself (exec, attach), stays a while, hangs up."""
        c = self.connect(timeout=seconds + 10)
        try:
            c.request(method, path, headers=self.request_headers(None, headers))
            reply = c.getresponse()
            answer = Answer(reply.status, b"", reply.headers)
            if reply.status == 101:
                time.sleep(seconds)
        finally:
            c.close()
        if self.tell:
            self.tell(method, path, answer)
        return answer

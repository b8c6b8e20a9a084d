#!/usr/bin/env python3
"""Attacks the doors of a running `durward serve` as hostile and broken clients would, and says what held.

    e2e/doors.py PROGRAM [ATTACK ...] [--limit-mib 1024] [--times N]

Each attack starts a server of its own. Where cgroup v1 is there the server lives under a memory limit; a
thread asks `/livez` on a new connection every 20 ms throughout. Exit code 1 if anything did not hold.
"""
import argparse, concurrent.futures, gzip, http.client, json, os, pathlib, signal, socket, ssl, subprocess, sys, tempfile, threading, time

CGROUPS = pathlib.Path("/sys/fs/cgroup/memory")
EVENT = b'{"auditID":"a","stage":"ResponseComplete","verb":"get","requestReceivedTimestamp":"2026-11-23T17:56:57Z"}'
DOORS = ("audit", "otlp_grpc", "otlp_http", "web", "admin")

class Server:
    def __init__(self, program, limit_mib, sets=(), nofile=None):
        self.data = tempfile.TemporaryDirectory()
        self.group = None
        if limit_mib and (CGROUPS / "memory.limit_in_bytes").exists():
            self.group = CGROUPS / f"durward-doors-{os.getpid()}"
            self.group.mkdir(exist_ok=True)
            (self.group / "memory.limit_in_bytes").write_text(str(limit_mib << 20))
            (self.group / "memory.max_usage_in_bytes").write_text("0")
        words = [program, "--data-dir", self.data.name, "serve", "-o", "json"]
        for door in DOORS:
            words += ["--set", f"listen.{door}.address=127.0.0.1:0"]
        for entry in sets:
            words += ["--set", entry]
        if nofile:
            words = ["prlimit", f"--nofile={nofile}", *words]
        # The shell joins the group before it becomes the server.
        if self.group:
            words = ["sh", "-c", f'echo $$ > {self.group}/tasks; exec "$@"', "sh", *words]
        self.process = subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        for line in self.process.stderr:
            if line.startswith("{") and json.loads(line).get("ready"):
                self.ready = json.loads(line)
                break
        else:
            sys.exit("durward serve did not become ready")
        self.said = []
        threading.Thread(target=lambda: [self.said.append(line) for line in self.process.stderr], daemon=True).start()
        # A process of its own: threads of this one wait for each other.
        self.prober = subprocess.Popen([sys.executable, __file__, "--probe", self.ready["admin"]], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True)

    def address(self, door):
        host, port = self.ready[door].rsplit(":", 1)
        return host, int(port)

    def end(self):
        lives = json.loads(self.prober.communicate(timeout=60)[0])
        alive = self.process.poll() is None
        peak = None
        if self.group:
            peak = int((self.group / "memory.max_usage_in_bytes").read_text()) >> 20
        rss = [line.split()[1] for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines() if line.startswith("VmHWM")] if alive else []
        if alive:
            self.process.kill()
        self.process.wait()
        if self.group:
            self.group.rmdir()
        waits = sorted(wait for wait, status in lives if status == 200)
        failed = sum(status != 200 for _, status in lives)
        return {"alive": alive, "rss_peak_mib": int(rss[0]) >> 10 if rss else None, "group_peak_mib": peak, "livez": len(lives), "livez_failed": failed,
                "livez_max_ms": round(waits[-1] * 1000) if waits else None, "livez_over_200_ms": sum(wait > 0.2 for wait in waits)}

def probe(address):
    """Asks whether it lives until standard input ends; says how long each answer took."""
    host, port = address.rsplit(":", 1)
    stopped, lives = threading.Event(), []
    threading.Thread(target=lambda: (sys.stdin.read(), stopped.set()), daemon=True).start()
    while not stopped.is_set():
        began = time.monotonic()
        try:
            # From an address of its own, as a kubelet has one.
            status = request((host, int(port)), "GET", "/livez", source="127.0.0.9", timeout=30)[0]
        except OSError:
            status = 0
        lives.append((time.monotonic() - began, status))
        time.sleep(0.02)
    print(json.dumps(lives))

def connect(address, source="127.0.0.1", timeout=60):
    return socket.create_connection(address, timeout=timeout, source_address=(source, 0))

def request(address, method, path, body=b"", headers=(), source="127.0.0.1", timeout=60):
    """Status and headers; 0 where the connection broke before an answer."""
    connection = http.client.HTTPConnection(*address, timeout=timeout, source_address=(source, 0))
    try:
        connection.request(method, path, body, {"Content-Type": "application/json", **dict(headers)})
        answer = connection.getresponse()
        answer.read()
        return answer.status, dict(answer.getheaders())
    finally:
        connection.close()

def varint(number):
    out = bytearray()
    while number > 0x7f:
        out.append(number & 0x7f | 0x80)
        number >>= 7
    return bytes(out + bytes([number]))

def field(number, content):
    return bytes([number << 3 | 2]) + varint(len(content)) + content

def protobuf(items):
    return field(1, field(2, items))

def good(server, timeout=60):
    """A batch by another client: its status and how long it took."""
    began = time.monotonic()
    try:
        status = request(server.address("audit"), "POST", "/v1/k8s-audit/shop", EVENT, source="127.0.0.7", timeout=timeout)[0]
    except OSError as error:
        status = str(error)
    return {"good": status, "good_ms": round((time.monotonic() - began) * 1000)}

def answers(calls):
    """What hostile calls were answered, all at the same time."""
    def one(call):
        try:
            status, headers = call()
            return f"{status} {headers.get('retry-after', '')}".strip()
        except OSError as error:
            return type(error).__name__
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        return list(pool.map(one, calls))

def otlp(server, signal_name, body, coding="application/x-protobuf", packed=True):
    headers = {"Content-Type": coding, "User-Agent": "collector", **({"Content-Encoding": "gzip"} if packed else {})}
    return lambda: request(server.address("otlp_http"), "POST", f"/v1/{signal_name}", body, headers)

def bombs(server):
    half = 30_000_000
    nested = b'{"body":{"stringValue":"{\\"auditID\\":1,\\"items\\":[' + b"{}," * 2_500_000 + b']}"}}'
    bodies = {
        "records of 2 bytes": ("logs", protobuf(b"\x12\x00" * half), "application/x-protobuf"),
        "spans of 2 bytes": ("traces", protobuf(b"\x12\x00" * half), "application/x-protobuf"),
        "points of 2 bytes": ("metrics", protobuf(b"".join([field(2, field(5, b"\x0a\x00" * 3_900_000))] * 7)), "application/x-protobuf"),
        "attributes of 2 bytes": ("logs", protobuf(b"".join([field(2, b"\x32\x00" * 3_900_000)] * 7)), "application/x-protobuf"),
        "scopes of 2 bytes": ("logs", field(1, b"\x12\x00" * half), "application/x-protobuf"),
        "resources of 2 bytes": ("logs", b"\x0a\x00" * half, "application/x-protobuf"),
        "JSON records": ("logs", b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[' + b"{}," * 20_000_000 + b"{}]}]}]}", "application/json"),
        "JSON numbers": ("logs", b'{"x":[' + b"0," * half + b"0]}", "application/json"),
        "events in a body": ("logs", b'{"resourceLogs":[{"scopeLogs":[{"logRecords":[' + nested + b"]}]}]}", "application/json"),
    }
    calls = {name: otlp(server, way, gzip.compress(body, 6), coding) for name, (way, body, coding) in bodies.items()}
    found = dict(zip(calls, [answers([call])[0] for call in calls.values()]))
    audit = lambda body: (lambda: request(server.address("audit"), "POST", "/v1/k8s-audit/shop", body))
    found["webhook items of 3 bytes"] = answers([audit(b'{"items":[' + b"{}," * 5_000_000 + b"{}]}")])[0]
    # Lines that runtimes cut in two bytes each, of which none is the last.
    found["pieces"] = answers([audit(b'{"stream":"s","log":"{a"}' * 600_000)])[0]
    found["webhook item of numbers"] = answers([audit(b'{"items":[{"x":[' + b"0," * 3_900_000 + b"0]}]}")])[0]
    return {"bombs": found, **good(server)}

def zstd(window_log, content):
    """A frame that asks for so large a window, and holds what is given as it is."""
    block = (len(content) << 3 | 1).to_bytes(3, "little")
    return b"\x28\xb5\x2f\xfd\x00" + bytes([(window_log - 10) << 3]) + block + content

def bombs_at_once(server):
    body = gzip.compress(protobuf(b"\x12\x00" * 30_000_000), 6)
    numbers = gzip.compress(b'{"x":[' + b"0," * 30_000_000 + b"0]}", 6)
    batch = b'{"items":[' + b",".join([b'{"x":[' + b"0," * 3_900_000 + b"0]}"] * 2) + b"]}"
    calls = [otlp(server, "logs", body)] * 8 + [otlp(server, "logs", numbers, "application/json")] * 8
    calls += [lambda: request(server.address("audit"), "POST", "/v1/k8s-audit/shop", batch)] * 8
    windows = {"Content-Type": "application/json", "Content-Encoding": "zstd"}
    calls += [lambda: request(server.address("otlp_http"), "POST", "/v1/logs", zstd(27, b"{}"), windows)] * 8
    return {"wire_bytes": len(body), "answers": tally(answers(calls)), **good(server)}

def four_bodies(server):
    body = protobuf(b"\x12\x00" * 1_000_000)
    waiting = threading.Thread(target=lambda: server.__setattr__("four", answers([otlp(server, "logs", body, packed=False)] * 4)))
    waiting.start()
    time.sleep(0.3)
    found = good(server)
    waiting.join()
    return {"answers": server.four, **found}

def tally(texts):
    return {text: texts.count(text) for text in sorted(set(texts))}

def silent(server):
    held = []
    for door in DOORS:
        for _ in range(1100):
            try:
                held.append(connect(server.address(door), timeout=2))
            except OSError:
                break
    found = good(server, 20)
    # And from many addresses.
    for number in range(1200):
        try:
            held.append(connect(server.address("audit"), source=f"127.1.{number // 200}.{number % 200 + 1}", timeout=2))
        except OSError:
            break
    many = good(server, 20)
    return {"held": len(held), **found, "from_many": many, "expected": many["good"] == 200}

def declared(server):
    held = []
    for _ in range(8):
        stream = connect(server.address("audit"))
        stream.sendall(b"POST /v1/k8s-audit/shop HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 33554432\r\n\r\n{")
        held.append(stream)
    time.sleep(0.5)
    return good(server)

def slow(server):
    found = {}
    for door, path in (("audit", "/v1/k8s-audit/shop"), ("otlp_http", "/v1/logs")):
        stream = connect(server.address(door))
        stream.sendall(f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{{".encode())
        began, answer = time.monotonic(), b""
        try:
            answer = stream.recv(4096)
        except OSError:
            pass
        head = answer.decode(errors="replace").split("\r\n\r\n")[0].split("\r\n")
        found[door] = [head[0], [line for line in head if line.lower().startswith("retry-after")], round(time.monotonic() - began, 1)]
    expected = all(answer[1] and answer[0].split()[1] in ("429", "503") for answer in found.values())
    return {"slow": found, "expected": expected, **good(server)}

def heard(server):
    """Refusals of large bodies, sent by a client that only listens when it has sent all."""
    found = []
    for _ in range(20):
        stream = connect(server.address("audit"))
        stream.sendall(b"POST /v1/k8s-audit/shop HTTP/1.1\r\nhost: localhost\r\ncontent-encoding: br\r\ncontent-type: application/json\r\ncontent-length: 8000000\r\n\r\n")
        try:
            for _ in range(80):
                stream.sendall(b" " * 100_000)
            found.append(stream.recv(4096).decode(errors="replace").split("\r\n")[0])
        except OSError as error:
            found.append(type(error).__name__)
    return {"answers": tally(found), "expected": set(found) == {"HTTP/1.1 415 Unsupported Media Type"}, **good(server)}

def terminate(server):
    held = []
    for door in DOORS:
        for text in (b"", b"G", b"POST / HTTP/1.1\r\nhost: x\r\nx-", b"PRI * HTTP/2.0\r\n", b"POST /v1/k8s-audit/shop HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{"):
            stream = connect(server.address(door))
            stream.sendall(text)
            held.append(stream)
    time.sleep(0.5)
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    try:
        code = server.process.wait(60)
    except subprocess.TimeoutExpired:
        code = "hangs"
    return {"code": code, "seconds": round(time.monotonic() - began, 1)}

def terminate_twice(server):
    held = []
    for door in DOORS:
        stream = connect(server.address(door))
        stream.sendall(b"POST /v1/k8s-audit/shop HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{")
        held.append(stream)
    time.sleep(0.3)
    server.process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    began = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    try:
        code = server.process.wait(60)
    except subprocess.TimeoutExpired:
        code = "hangs"
    return {"code": code, "seconds": round(time.monotonic() - began, 1)}

def web_page(server):
    """What a page in a browser can send: simple requests, and any host by DNS rebinding."""
    address = server.address
    tries = {
        "audit, text/plain": (address("audit"), "/v1/k8s-audit/shop", EVENT, {"Content-Type": "text/plain"}),
        "audit, no type": (address("audit"), "/v1/k8s-audit/shop", EVENT, {"Content-Type": ""}),
        "audit, other host": (address("audit"), "/v1/k8s-audit/shop", EVENT, {"Host": "evil.example"}),
        "audit, other origin": (address("audit"), "/v1/k8s-audit/shop", EVENT, {"Origin": "https://evil.example"}),
        "otlp_http, other host": (address("otlp_http"), "/v1/logs", b"{}", {"Host": "evil.example"}),
        "otlp_http, other origin": (address("otlp_http"), "/v1/logs", b"{}", {"Origin": "https://evil.example"}),
        "otlp_grpc, text/plain": (address("otlp_grpc"), "/opentelemetry.proto.collector.logs.v1.LogsService/Export", bytes(5), {"Content-Type": "text/plain"}),
        "admin, other host": (address("admin"), "/metrics", b"", {"Host": "evil.example"}),
    }
    found = {name: request(where, "GET" if where == address("admin") else "POST", path, body, headers) for name, (where, path, body, headers) in tries.items()}
    told = {name: f"{status} {headers.get('grpc-status', '')}".strip() for name, (status, headers) in found.items()}
    return {"page": told, "expected": "200" not in told.values(), **good(server)}

def redial(server):
    """4,000 clients that dial again and again without a certificate, beside one that has one."""
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
    stop, dialled = threading.Event(), []
    def dial(number):
        while not stop.is_set():
            try:
                with connect(server.address("audit"), timeout=5) as stream, trust.wrap_socket(stream) as wrapped:
                    wrapped.recv(1)
            except OSError:
                pass
            dialled.append(1)
    threads = [threading.Thread(target=dial, args=[n], daemon=True) for n in range(200)]
    for thread in threads:
        thread.start()
    time.sleep(3)
    known = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    known.check_hostname, known.verify_mode = False, ssl.CERT_NONE
    known.load_cert_chain(CERTS.name + "/client.pem", CERTS.name + "/client.key")
    took = []
    for _ in range(20):
        began = time.monotonic()
        try:
            connection = http.client.HTTPSConnection(*server.address("audit"), timeout=60, source_address=("127.0.0.7", 0), context=known)
            connection.request("POST", "/v1/k8s-audit/shop", EVENT, {"Content-Type": "application/json"})
            status = connection.getresponse().status
        except OSError as error:
            status = type(error).__name__
        took.append((status, round((time.monotonic() - began) * 1000)))
        time.sleep(0.2)
    stop.set()
    return {"dialled": len(dialled), "good": tally([str(status) for status, _ in took])["200"] if ("200" in [str(s) for s, _ in took]) else 0, "good_max_ms": max(ms for _, ms in took)}

CERTS = None

def certificates():
    global CERTS
    CERTS = tempfile.TemporaryDirectory()
    run = lambda *words: subprocess.run(["openssl", *words], cwd=CERTS.name, check=True, capture_output=True)
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    run("req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca", "-days", "9")
    for name in ("localhost", "client"):
        run("req", *new, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}")
        run("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-copy_extensions", "copy", "-out", f"{name}.pem", "-days", "9")
    return [f"listen.audit.tls={{cert_file: {CERTS.name}/localhost.pem, key_file: {CERTS.name}/localhost.key, client_ca_file: {CERTS.name}/ca.pem}}"]

ATTACKS = {"bombs": bombs, "bombs-at-once": bombs_at_once, "four-bodies": four_bodies, "silent": silent, "silent-1024-files": silent, "declared": declared, "slow": slow,
           "heard": heard, "terminate": terminate, "terminate-twice": terminate_twice, "web-page": web_page, "redial": redial}

def main():
    if sys.argv[1:2] == ["--probe"]:
        return probe(sys.argv[2])
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("program")
    arguments.add_argument("attacks", nargs="*", help=", ".join(ATTACKS))
    arguments.add_argument("--limit-mib", type=int, default=1024)
    arguments.add_argument("--times", type=int, default=1)
    arguments.add_argument("--livez-ms", type=int, default=200, help="what an answer of /livez may take, on a machine that does nothing else")
    # Intermixed: before Python 3.12 the options between them end the list of attacks.
    args = arguments.parse_intermixed_args()
    held = True
    for name in args.attacks or ATTACKS:
        for _ in range(args.times):
            sets = certificates() if name == "redial" else []
            server = Server(args.program, args.limit_mib, sets, nofile="1024:1024" if name.endswith("files") else None)
            try:
                found = ATTACKS[name](server)
            finally:
                told = server.end()
            if name.startswith("terminate"):
                holds = found["code"] == 0 and found["seconds"] <= 25 if name == "terminate" else found["seconds"] <= 2
                told = {}
            else:
                holds = told["alive"] and (told["livez_max_ms"] or 0) <= args.livez_ms and told["livez_failed"] == 0 and found.get("good") in (200, 20)
                holds = holds and found.pop("expected", True)
            held = held and holds
            print(json.dumps({"attack": name, "holds": holds, **found, **told}), flush=True)
    sys.exit(0 if held else 1)

if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Measures a running `durward serve`: acknowledge latency, and from the answer until a query sees the rows.

    e2e/measure.py PROGRAM EVENTS.jsonl [--batches N] [--pause SECONDS]

EVENTS.jsonl is made by the load generator (`gen audit --n 200000 --profile metadata --out EVENTS.jsonl`).
Batches of 400 events go to the audit webhook over one kept connection, one after the other.
"""
import argparse, http.client, json, pathlib, statistics, subprocess, sys, tempfile, time

def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("program")
    arguments.add_argument("events", type=pathlib.Path)
    arguments.add_argument("--batches", type=int, default=60)
    arguments.add_argument("--pause", type=float, default=0.25)
    args = arguments.parse_args()
    with tempfile.TemporaryDirectory() as data:
        doors = [w for d in ("audit", "otlp_grpc", "otlp_http", "web", "admin") for w in ("--set", f"listen.{d}.address=127.0.0.1:0")]
        server = subprocess.Popen([args.program, "--data-dir", data, "serve", "-o", "json", *doors], stderr=subprocess.PIPE, text=True)
        for line in server.stderr:
            if line.startswith("{") and json.loads(line).get("ready"):
                ready = json.loads(line)
                break
        else:
            sys.exit("durward serve did not become ready")
        try:
            measure(args, data, ready, server.pid)
        finally:
            server.terminate()
            server.wait(60)

def measure(args, data, ready, pid):
    connection = http.client.HTTPConnection(ready["audit"], timeout=60)
    acknowledged, sent = [], 0
    with args.events.open() as events:
        for _ in range(args.batches):
            items = [line.rstrip("\n") for _, line in zip(range(400), events)]
            if not items:
                break
            body = '{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[' + ",".join(items) + "]}"
            began = time.monotonic()
            connection.request("POST", "/v1/k8s-audit/bench", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                sys.exit(f"the webhook answered {answer.status}")
            acknowledged.append(time.monotonic() - began)
            sent += len(items)
            time.sleep(args.pause)
    began = time.monotonic()
    while count(ready) < sent:
        time.sleep(0.02)
    visible = time.monotonic() - began
    acknowledged.sort()
    ms = lambda seconds: f"{seconds * 1000:.0f} ms"
    ticks = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    peak = next(line for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(f"{sent} events in {len(acknowledged)} batches of 400, {args.pause} s between them")
    print(f"acknowledged: median {ms(statistics.median(acknowledged))}, 90 % {ms(acknowledged[len(acknowledged) * 9 // 10])}, most {ms(acknowledged[-1])}")
    print(f"last answer until a query sees every row: {ms(visible)}, the query's own time included")
    print(f"server: {(int(ticks[11]) + int(ticks[12])) / 100:.1f} CPU seconds, {peak}")

def count(ready):
    connection = http.client.HTTPConnection(ready["web"], timeout=60)
    connection.request("POST", "/api/v1/query", json.dumps({"sql": "SELECT count(*) AS n FROM accesses"}), {"Content-Type": "application/json"})
    return json.load(connection.getresponse())[0]["n"]

if __name__ == "__main__":
    main()

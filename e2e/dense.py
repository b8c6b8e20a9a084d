#!/usr/bin/env python3
"""What a stream dense with findings costs, by its length: one recording, told again and again.

    e2e/dense.py PROGRAM AUDIT [--state STATE] [--copies 1,2,4,8,16] [--rounds 5]

PROGRAM is a release build. AUDIT is the audit log of a recording and STATE the objects that were listed
before it, as text or compressed with zstd. Each further copy is the same requests a recording later, with
audit ids of their own. Every round ingests each number of copies once, one after the other. Prints the
median of CPU seconds, how many findings and incidents there are, and the exponent of cost over length
that fits them (least squares of the logarithms), without what a directory without events costs.
"""

import argparse
import datetime
import json
import math
import pathlib
import resource
import statistics
import subprocess
import tempfile
import uuid

TIMES = ["requestReceivedTimestamp", "stageTimestamp"]


def read(path: pathlib.Path) -> list[bytes]:
    if path.suffix != ".zst":
        return path.read_bytes().splitlines()
    return subprocess.run(["zstd", "-dc", path], check=True, capture_output=True).stdout.splitlines()


def when(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))


def copies(events: list[dict], number: int) -> list[str]:
    """The same events a recording later each time, each copy with audit ids of its own."""
    times = [when(event["stageTimestamp"]) for event in events]
    length = max(times) - min(times) + datetime.timedelta(minutes=1)
    lines = []
    for copy in range(number):
        for event in events:
            told = dict(event)
            told["auditID"] = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{copy} {event['auditID']}"))
            for field in TIMES:
                later = when(event[field]) + copy * length
                told[field] = later.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
            lines.append(json.dumps(told))
    return lines


def ran(command: list) -> float:
    """CPU seconds of one command and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([str(part) for part in command], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def count(program: pathlib.Path, directory: str, view: str) -> str:
    question = [program, "--data-dir", directory, "query", "-o", "csv", f"SELECT count(*) AS number FROM {view}"]
    answer = subprocess.run([str(part) for part in question], check=True, capture_output=True, text=True)
    return answer.stdout.split()[-1]


def exponent(points: list[tuple[float, float]]) -> float:
    """The slope of the logarithms."""
    logs = [(math.log(x), math.log(y)) for x, y in points]
    mean_x = statistics.mean(x for x, _ in logs)
    mean_y = statistics.mean(y for _, y in logs)
    return sum((x - mean_x) * (y - mean_y) for x, y in logs) / sum((x - mean_x) ** 2 for x, _ in logs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("audit", type=pathlib.Path)
    parser.add_argument("--state", type=pathlib.Path)
    parser.add_argument("--copies", default="1,2,4,8,16")
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    numbers = [int(number) for number in asked.copies.split(",")]
    events = [json.loads(line) for line in read(asked.audit) if line.strip()]
    seconds: dict[int, list[float]] = {}
    found: dict[int, str] = {}
    with tempfile.TemporaryDirectory() as place:
        state = pathlib.Path(place, "state.json")
        state.write_bytes(b"\n".join(read(asked.state)) if asked.state else b"")
        for number in [0, *numbers]:
            pathlib.Path(place, f"{number}.jsonl").write_text("\n".join(copies(events, number)) + "\n")
        for _ in range(asked.rounds):
            for number in [0, *numbers]:
                with tempfile.TemporaryDirectory(dir=place) as data:
                    ingest = [asked.program, "--data-dir", data, "ingest", "--cluster", "bench"]
                    if asked.state:
                        first = min(event["stageTimestamp"] for event in events)
                        ran([*ingest, "--as-of", first, state])
                    seconds.setdefault(number, []).append(ran([*ingest, f"{place}/{number}.jsonl"]))
                    if number and number not in found:
                        findings, incidents = (count(asked.program, data, view) for view in ["findings", "incidents"])
                        found[number] = f"{findings} findings, {incidents} incidents"
    nothing = statistics.median(seconds.pop(0))
    points = []
    print(f"without events {nothing:.2f} s of CPU")
    for number, each in seconds.items():
        median = statistics.median(each)
        points.append((number, median - nothing))
        told = " ".join(f"{second:.2f}" for second in each)
        print(f"{number:>3} copies, {number * len(events)} events: {told}  median {median:.2f} s, {found[number]}")
    print(f"exponent {exponent(points):.3f}")


if __name__ == "__main__":
    main()

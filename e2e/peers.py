#!/usr/bin/env python3
"""Durward beside the peers, in one run: from a file of audit events to tables on disk.

    e2e/peers.py PROGRAM EVENTS [--rounds 5] [--bench DIR] [--draft PROGRAM]

PROGRAM is a release build, EVENTS a file of `gen audit`. DIR holds `peers_ingest.py` of the shared bench,
which runs DuckDB and chdb (`pip install duckdb chdb`); the draft is the shared bench's own program, the
stages of public crates without redaction, log, correlation or detection. Every round runs each once, one
after the other. Prints CPU seconds of each by round, medians, and each peer's median over ours.
"""

import argparse
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile


def cpu_of(command: list[str]) -> float:
    """CPU seconds of one command and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, env=os.environ | {"REPS": "1", "SORT": "1"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("events", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--bench", type=pathlib.Path)
    parser.add_argument("--draft", type=pathlib.Path)
    asked = parser.parse_args()
    with asked.events.open("rb") as lines:
        events = sum(1 for _ in lines)
    found: dict[str, list[float]] = {}
    for _ in range(asked.rounds):
        with tempfile.TemporaryDirectory() as place:
            ours = [asked.program, "--data-dir", f"{place}/data", "ingest", "--cluster", "bench", asked.events]
            commands = {"durward": ours}
            if asked.draft:
                commands["draft"] = [asked.draft, "e2e", asked.events, f"{place}/draft", "1", "3"]
            if asked.bench:
                for peer in ["duckdb", "chdb"]:
                    script = asked.bench / "peers_ingest.py"
                    commands[peer] = [sys.executable, script, peer, asked.events, f"{place}/{peer}.parquet"]
            for name, command in commands.items():
                seconds = cpu_of([str(part) for part in command])
                # The draft makes one run to warm up, and as many as REPS says.
                found.setdefault(name, []).append(seconds / 2 if name == "draft" else seconds)
    own = statistics.median(found["durward"])
    for name, seconds in found.items():
        median = statistics.median(seconds)
        each = " ".join(f"{second:.2f}" for second in seconds)
        print(f"{name:<8} {each}  median {median:.2f} s, {median / events * 1e6:.1f} us an event, {median / own:.3f} of ours")


if __name__ == "__main__":
    main()

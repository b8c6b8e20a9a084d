#!/usr/bin/env python3
"""Makes the corpora of the fuzz targets from shared data and the recordings of the lab.

Usage: DURWARD_SHARED_DATA=/path/to/shared/data fuzz/corpus.py
Standard library only; recordings that are compressed need the program zstd.
"""

import hashlib
import os
import pathlib
import subprocess
import sys

# Where inputs of a target are: below the shared data, or beside it.
SOURCES = {
    "kube-audit": ["falco_k8s_audit/traces/*.json", "audit2rbac/*.log", "../lab/k8s/recordings/*/audit.jsonl.zst"],
    "gke-audit": ["panther/gcp_audit.jsonl", "csa_gcp/*.json"],
    "aks-audit": ["aks_envelope/*.json"],
    "kube-list": ["../lab/k8s/recordings/*/*.json.zst", "../lab/k8s/recordings/*/*.json"],
    "cloudtrail": ["cloudtrail_stratus/*.json", "eks_pod_identity/*.jsonl", "panther/aws_cloudtrail.jsonl"],
    "cloudwatch": ["panther/eks_k8s_audit.jsonl", "ocsf/eks_audit_v1.5/samples/*.raw"],
    "gcp-audit": ["csa_gcp/*.json", "panther/gcp_audit.jsonl"],
    "azure-activity": ["panther/azure_activity.jsonl", "aks_envelope/*.json"],
    "azure-signin": ["panther/azure_audit_signin.jsonl"],
    "azure-audit": ["panther/azure_audit_signin.jsonl"],
    "otlp": ["otlp/*/*.json"],
    "envoy": ["../lab/mesh/recordings/story-json/envoy/*.log"],
    "spire": ["../lab/mesh/recordings/story-json/spire/*.log", "../lab/mesh/recordings/spire-*/*.log"],
    "hubble": ["hubble_flows/*.json"],
    "vault": [],
    "otlp-traces": ["otlp/*/*.json"],
    "otlp-logs": ["otlp/*/*.json"],
    "otlp-metrics": ["otlp/*/*.json"],
}
# The redactor and the detection of formats see some of everything.
ALL = ["detect", "redactor"]
LINES = 100
LARGEST = 64 << 10


def main():
    data = os.environ.get("DURWARD_SHARED_DATA")
    if not data:
        sys.exit("DURWARD_SHARED_DATA must name the folder of shared data")
    corpus = pathlib.Path(__file__).parent / "corpus"
    for target in [*SOURCES, *ALL]:
        (corpus / target).mkdir(parents=True, exist_ok=True)
    for target, patterns in SOURCES.items():
        seeds = {seed for pattern in patterns for path in sorted(pathlib.Path(data).glob(pattern)) for seed in split(path)}
        seeds |= of_code(target)
        for index, seed in enumerate(sorted(seeds)):
            keep(corpus / target, seed)
            if index % 10 == 0:
                for other in ALL:
                    keep(corpus / other, seed)
    for folder in sorted(corpus.iterdir()):
        print(f"{folder.name}: {sum(1 for _ in folder.iterdir())} seeds")


def split(path):
    """A file whole if it is small, and its first lines by themselves."""
    content = path.read_bytes()
    if path.suffix == ".zst":
        content = subprocess.run(["zstd", "-dcq", path], check=True, capture_output=True).stdout
    seeds = [content, *content.split(b"\n")[:LINES]]
    return [seed for seed in seeds if 0 < len(seed) <= LARGEST]


def of_code(target):
    """Formats of which nobody has recordings begin with one small record."""
    if target != "vault":
        return set()
    return {b'{"type":"response","auth":{"accessor":"a"},"request":{"id":"1","operation":"read","path":"secret/a"},"response":{}}'}


def keep(folder, seed):
    (folder / hashlib.sha256(seed).hexdigest()[:16]).write_bytes(seed)


if __name__ == "__main__":
    main()

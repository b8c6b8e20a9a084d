//! Paths of a node: one place has many spellings.

/// A path as it is written, and where it leads on the node, each once.
pub(crate) fn readings(written: &str) -> Vec<String> {
    let mut readings = vec![written.to_owned()];
    if written.starts_with('/') {
        readings.push(clean(written));
        readings.push(resolved(&clean(written)));
    }
    readings.dedup();
    readings
}

/// The path without empty parts, `.`, `..` and a slash at its end.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Where a clean path leads, through the links that every node has: `/var/run`, and the root of a process.
fn resolved(path: &str) -> String {
    let mut path = path.to_owned();
    while let Some(rest) = beneath_root_of_process(&path) {
        path = format!("/{rest}");
    }
    match path.strip_prefix("/var/run") {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("/run{rest}"),
        _ => path,
    }
}

/// What stands behind `/proc/PID/root` or `/proc/PID/cwd`. A hostPath is opened by the kubelet or the runtime,
/// whose own root and working directory, as those of the first process, are the node's root.
fn beneath_root_of_process(path: &str) -> Option<&str> {
    let (process, rest) = path.strip_prefix("/proc/")?.split_once('/')?;
    let is_node = matches!(process, "1" | "self" | "thread-self");
    let rest = rest.strip_prefix("root").or_else(|| rest.strip_prefix("cwd"))?;
    let is_whole = rest.is_empty() || rest.starts_with('/');
    (is_node && is_whole).then(|| rest.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(written: &str, leads_to: &str) {
        assert_eq!(readings(written).last().map(String::as_str), Some(leads_to), "{written}");
    }

    /// Scenario: spellings of some places, and names that only look like them.
    /// Guarantees: each leads where a node would open it, and what was written is kept.
    #[test]
    fn one_place_has_many_spellings() {
        check("/run/containerd/containerd.sock", "/run/containerd/containerd.sock");
        check("/var/run/docker.sock/", "/run/docker.sock");
        check("/var/run/../run/docker.sock", "/run/docker.sock");
        check("//var//run/", "/run");
        check("/./", "/");
        check("", "");
        check("/..", "/");
        check("/proc/1/root", "/");
        check("/proc/1/root/proc/self/root/etc/", "/etc");
        check("/proc/self/cwd/var/run", "/run");
        check("/proc/1/rootless", "/proc/1/rootless");
        check("/proc/77/root", "/proc/77/root");
        check("/var/runner", "/var/runner");
        check("C:\\ProgramData", "C:\\ProgramData");
        assert_eq!(readings("/var/run/"), ["/var/run/", "/var/run", "/run"]);
        assert_eq!(readings("/etc"), ["/etc"]);
    }
}

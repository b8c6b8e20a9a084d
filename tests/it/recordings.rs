//! Every recording of the lab is accounted for.

use durward_ingest::Format;

use crate::story::{Stage, recordings, unpacked};

/// Scenario: the audit log file of each recording, with the state at its start.
/// Guarantees: rows are lines, nothing is rejected, and edges are found.
#[test]
fn files_are_accounted_for() {
    let Some(dir) = recordings("files_are_accounted_for") else { return };
    for entry in std::fs::read_dir(dir).expect("recordings") {
        let path = entry.expect("an entry").path();
        if !path.join("audit.jsonl.zst").is_file() {
            continue;
        }
        let mut stage = Stage::new();
        let listed = stage.read(Format::KubeList, &unpacked(&path.join("state-start.json.zst")));
        assert_eq!(listed.rejects, []);
        stage.take(listed);
        let audit = unpacked(&path.join("audit.jsonl.zst"));
        let lines = audit.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
        let reading = stage.read(Format::KubeAudit, &audit);
        assert_eq!((reading.accesses.len(), reading.rejects.len()), (lines, 0));
        stage.take(reading);
        let accesses: Vec<_> = stage.turns.iter().flat_map(|turn| &turn.accesses).collect();
        let judged = accesses.iter().filter(|row| row.judged).count();
        let count = |f: fn(&durward_schemas::tables::Access) -> bool| {
            accesses.iter().filter(|row| row.judged && f(row)).count()
        };
        let workload = count(|row| row.workload.is_some());
        let pods = count(|row| row.pod.is_some());
        let minted = count(|row| row.lineage_evidence.is_some());
        let change = count(|row| row.change_id.is_some());
        let rows = |f: fn(&durward_schemas::record::Turn) -> usize| {
            stage.turns.iter().map(f).sum::<usize>()
        };
        println!(
            "{} lines {lines} judged {judged} pods {pods} workload {workload} minted {minted} change {change} changes {} amendments {} credentials {} workloads {} grants {}",
            path.display(),
            rows(|t| t.changes.len()),
            rows(|t| t.amendments.len()),
            rows(|t| t.credentials.len()),
            rows(|t| t.workloads.len()),
            rows(|t| t.grants.len())
        );
        for change in stage.turns.iter().flat_map(|turn| &turn.changes).rev().take(8) {
            println!("   {} {}", change.time, change.summary);
        }
        for row in accesses
            .iter()
            .filter(|row| row.judged && row.decision.as_str() == "deny" && row.change_id.is_some())
            .take(3)
        {
            println!(
                "   deny {:?} {:?} {:?} {:?}",
                row.identity, row.verb, row.resource, row.change_summary
            );
        }
    }
}

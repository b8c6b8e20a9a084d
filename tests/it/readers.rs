//! Tables read by programs that are not ours: DuckDB and Python's `deltalake`.

use std::process::Command;

use crate::program::{Place, scenario};
use crate::story::said;

const READ: &str = r#"
import json, sys
from deltalake import DeltaTable
lake = sys.argv[1]
table = DeltaTable(lake + "/accesses")
out = {"deltalake": table.to_pyarrow_dataset().count_rows()}
try:
    import duckdb
    out["duckdb"] = duckdb.sql("SELECT count(*), count(DISTINCT event_id) FROM read_parquet(" + repr([uri.replace("file://", "") for uri in table.file_uris()]) + ")").fetchall()[0]
except ImportError:
    pass
print(json.dumps(out))
"#;

/// Scenario: the lake of a story, opened by Python's `deltalake` and by DuckDB.
/// Guarantees: both see every row once. Skipped visibly where they are not installed.
#[test]
fn others_read_the_tables() {
    let python = std::env::var("DURWARD_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let has = Command::new(&python).args(["-c", "import deltalake, pyarrow"]).output();
    if !has.is_ok_and(|output| output.status.success()) {
        said("skipped others_read_the_tables: pip install deltalake pyarrow duckdb");
        return;
    }
    let place = Place::new();
    place.ingest(scenario("quiet-monday"));
    let lake = place.data().join("lake");
    let output = Command::new(&python).args(["-c", READ]).arg(&lake).output().expect("python");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let rows = place.count("accesses");
    assert_eq!(read["deltalake"], rows);
    if let Some(duckdb) = read.get("duckdb") {
        assert_eq!(*duckdb, serde_json::json!([rows, rows]));
    }
}

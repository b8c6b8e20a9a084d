//! One Delta table: staged batches, commits with a `txn`, and flushes to the device.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::prelude::SessionContext;
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake::kernel::{Action, StructType, Transaction};
use deltalake::parquet::basic::{Compression, ZstdLevel};
use deltalake::parquet::file::properties::WriterProperties;
use deltalake::protocol::{DeltaOperation, SaveMode};
use deltalake::writer::{DeltaWriter, RecordBatchWriter};
use deltalake::{DeltaTable, DeltaTableError, TableProperty};
use durward_schemas::ids::LogPosition;
use durward_schemas::table::Table;

use crate::lake::LakeError;

/// A Delta checkpoint, which spares readers the commits before it, every so many commits.
const CHECKPOINT_INTERVAL: &str = "100";
/// Commits older than this are cleaned up with a checkpoint.
const LOG_RETENTION: &str = "interval 1 days";
/// So many ids are looked up with one query.
const IDS_A_QUERY: usize = 2_000;

/// One table, and what waits to be written to it.
#[derive(Debug)]
pub(crate) struct DeltaLog {
    name: &'static str,
    dir: PathBuf,
    app: String,
    pub(super) table: DeltaTable,
    covered: LogPosition,
    staged: Vec<RecordBatch>,
}

/// The Arrow schema of a table as it is stored: its columns, then `date`.
pub(crate) fn schema(table: &Table) -> SchemaRef {
    let columns = table.schema();
    let date = Arc::new(Field::new("date", DataType::Date32, false));
    Arc::new(Schema::new(columns.fields().iter().cloned().chain([date]).collect::<Vec<_>>()))
}

/// Where a table lies under the lake's directory.
pub(crate) fn url(dir: &Path, name: &str) -> Result<url::Url, LakeError> {
    let path = dir.join(name);
    let absolute = std::path::absolute(&path).map_err(|source| LakeError::Disk {
        doing: "finding",
        path: path.clone(),
        source,
    })?;
    url::Url::from_directory_path(&absolute).map_err(|()| LakeError::Disk {
        doing: "naming",
        path: absolute,
        source: std::io::Error::other("no absolute path"),
    })
}

impl DeltaLog {
    pub(crate) async fn open(dir: &Path, owner: &str, table: &Table) -> Result<Self, LakeError> {
        let path = dir.join(table.name);
        std::fs::create_dir_all(&path).map_err(|source| LakeError::Disk {
            doing: "making directory",
            path: path.clone(),
            source,
        })?;
        let app = format!("{owner}/{}", table.name);
        let (delta, is_new) =
            load_or_create(dir, table).await.map_err(fail("opening", table.name))?;
        let covered = covered(&delta, &app).await.map_err(fail("opening", table.name))?;
        if is_new {
            sync_directory(&path.join("_delta_log"))?;
            sync_directory(&path)?;
            sync_directory(dir)?;
        }
        Ok(Self { name: table.name, dir: path, app, table: delta, covered, staged: Vec::new() })
    }

    /// The last position that this table's commits cover.
    pub(crate) fn covered(&self) -> LogPosition {
        self.covered
    }

    pub(crate) fn stage(&mut self, batch: RecordBatch) {
        self.staged.push(batch);
    }

    /// Files, their directories, the commit, its directory: in this order on the device.
    pub(crate) async fn flush(&mut self, upto: LogPosition) -> Result<(), LakeError> {
        if self.staged.is_empty() {
            return Ok(());
        }
        let actions = self.write().await.map_err(fail("writing", self.name))?;
        for action in &actions {
            if let Action::Add(add) = action {
                self.sync_file(&add.path)?;
            }
        }
        let version = self.commit(actions, upto).await.map_err(fail("committing to", self.name))?;
        self.sync_file(&format!("_delta_log/{version:020}.json"))?;
        self.staged.clear();
        self.covered = self.covered.max(upto);
        Ok(())
    }

    async fn write(&self) -> Result<Vec<Action>, DeltaTableError> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
            .build();
        let mut writer =
            RecordBatchWriter::for_table(&self.table)?.with_writer_properties(properties);
        for batch in &self.staged {
            writer.write(batch.clone()).await?;
        }
        Ok(writer.flush().await?.into_iter().map(Action::Add).collect())
    }

    async fn commit(
        &mut self,
        actions: Vec<Action>,
        upto: LogPosition,
    ) -> Result<u64, DeltaTableError> {
        let transaction = Transaction::new(&self.app, upto);
        let properties = CommitProperties::default().with_application_transaction(transaction);
        let operation = DeltaOperation::Write {
            mode: SaveMode::Append,
            partition_by: Some(vec!["date".into()]),
            predicate: None,
        };
        let log_store = self.table.log_store();
        let commit = CommitBuilder::from(properties)
            .with_actions(actions)
            .build(Some(self.table.snapshot()?), log_store, operation)
            .await?;
        self.table.state = Some(commit.snapshot);
        Ok(commit.version)
    }

    /// Which of `values` the text column holds in rows before `before` for which `condition` is true.
    pub(crate) async fn holds(
        &self,
        column: &str,
        values: &[String],
        before: LogPosition,
        condition: &str,
    ) -> Result<BTreeSet<String>, LakeError> {
        let unread = fail("reading", self.name);
        let failed = fail_lookup(self.name);
        let context = SessionContext::new();
        let provider = self.table.table_provider().await.map_err(&failed)?;
        context.register_table("t", provider).map_err(&failed)?;
        self.table.update_datafusion_session(&context.state()).map_err(&unread)?;
        let mut found = BTreeSet::new();
        for some in values.chunks(IDS_A_QUERY) {
            // Ids are hexadecimal; the filter keeps out anything that is not.
            let hex = some.iter().filter(|id| id.bytes().all(|byte| byte.is_ascii_hexdigit()));
            let list: Vec<String> = hex.map(|id| format!("'{id}'")).collect();
            if list.is_empty() {
                continue;
            }
            let sql = format!(
                "SELECT DISTINCT {column} FROM t WHERE {column} IN ({}) AND log_position < {before} AND {condition}",
                list.join(",")
            );
            let batches =
                context.sql(&sql).await.map_err(&failed)?.collect().await.map_err(&failed)?;
            for batch in batches {
                let texts = arrow::compute::cast(batch.column(0), &DataType::Utf8);
                let texts = texts.map_err(|error| failed(error.into()))?;
                found.extend(texts.as_string::<i32>().iter().flatten().map(str::to_owned));
            }
        }
        Ok(found)
    }

    /// Flushes one file of the table and the directories above it, up to the table.
    fn sync_file(&self, relative: &str) -> Result<(), LakeError> {
        // Paths in Delta's log are URL-encoded; ours hold `date=` and a UUID, nothing to decode.
        let path = self.dir.join(relative);
        let file = File::open(&path).and_then(|file| file.sync_data());
        file.map_err(|source| LakeError::Disk { doing: "flushing", path: path.clone(), source })?;
        let above = path.ancestors().skip(1).take_while(|above| above.starts_with(&self.dir));
        above.into_iter().try_for_each(sync_directory)
    }
}

async fn load_or_create(dir: &Path, table: &Table) -> Result<(DeltaTable, bool), DeltaTableError> {
    let url = url(dir, table.name).map_err(|error| DeltaTableError::generic(error.to_string()))?;
    let mut delta = DeltaTable::try_from_url(url).await?;
    if delta.state.is_some() || delta.verify_deltatable_existence().await? {
        delta.load().await?;
        return Ok((delta, false));
    }
    let columns: StructType = (&*schema(table)).try_into_kernel()?;
    let created = delta
        .create()
        .with_columns(columns.fields().cloned())
        .with_partition_columns(["date"])
        .with_table_name(table.name)
        .with_comment(table.doc.trim())
        .with_configuration_property(TableProperty::CheckpointInterval, Some(CHECKPOINT_INTERVAL))
        .with_configuration_property(TableProperty::LogRetentionDuration, Some(LOG_RETENTION))
        .await?;
    Ok((created, true))
}

async fn covered(table: &DeltaTable, app: &str) -> Result<LogPosition, DeltaTableError> {
    let snapshot = table.snapshot()?;
    let version = snapshot.transaction_version(table.log_store().as_ref(), app).await?;
    Ok(version.unwrap_or(-1))
}

/// Flushes a directory, so that the names in it are on the device.
fn sync_directory(path: &Path) -> Result<(), LakeError> {
    let synced = File::open(path).and_then(|directory| directory.sync_all());
    synced.map_err(|source| LakeError::Disk {
        doing: "flushing directory",
        path: path.to_owned(),
        source,
    })
}

pub(super) fn fail(
    doing: &'static str,
    table: &str,
) -> impl Fn(DeltaTableError) -> LakeError + use<> {
    let table = table.to_owned();
    move |source| LakeError::Delta { doing, table: table.clone(), source: Box::new(source) }
}

fn fail_lookup(table: &str) -> impl Fn(datafusion::error::DataFusionError) -> LakeError + use<> {
    let table = table.to_owned();
    move |source| LakeError::Lookup { table: table.clone(), source: Box::new(source) }
}

//! One Delta table: staged batches, commits with a `txn`, and flushes to the device.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use datafusion::prelude::SessionContext;
use deltalake::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake::kernel::transaction::{CommitBuilder, CommitProperties};
use deltalake::kernel::{Action, StructType, Transaction};
use deltalake::parquet::basic::{Compression, ZstdLevel};
use deltalake::parquet::file::properties::WriterProperties;
use deltalake::protocol::{DeltaOperation, SaveMode};
use deltalake::writer::{DeltaWriter, RecordBatchWriter};
use deltalake::{DeltaTable, DeltaTableBuilder, DeltaTableError, TableProperty};
use durward_schemas::crash;
use durward_schemas::ids::LogPosition;
use durward_schemas::table::{Row, Table};
use object_store::ObjectStoreExt as _;

use crate::lake::LakeError;
use crate::lake::durable::DurableFileSystem;

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
    app: String,
    pub(super) table: DeltaTable,
    covered: LogPosition,
    staged: Vec<RecordBatch>,
    /// A commit that was refused, though it may have happened.
    doubt: Option<Doubt>,
    is_new: bool,
}

/// What a commit was to do.
#[derive(Debug, Clone, Copy)]
struct Doubt {
    /// The version of the table before it.
    version: Option<u64>,
    /// How much of what is staged it was to write.
    batches: usize,
    upto: LogPosition,
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
            sync_directory(dir)?;
        }
        let (staged, doubt) = (Vec::new(), None);
        Ok(Self { name: table.name, app, table: delta, covered, staged, doubt, is_new })
    }

    /// Whether it was made at this opening.
    pub(crate) fn is_new(&self) -> bool {
        self.is_new
    }

    /// Whether nothing was ever written to it.
    pub(crate) fn is_empty(&self) -> bool {
        self.covered < 0
    }

    /// The files that its rows are in, oldest first.
    pub(crate) fn files(&self) -> Result<Vec<PathBuf>, LakeError> {
        files(&self.table).map_err(fail("listing the files of", self.name))
    }

    /// The files that the rows of a table are in which somebody else may be writing to.
    pub(crate) async fn files_in(dir: &Path, table: &Table) -> Result<Vec<PathBuf>, LakeError> {
        let opened = deltalake::open_table(url(dir, table.name)?).await;
        opened.and_then(|table| files(&table)).map_err(fail("listing the files of", table.name))
    }

    /// The last position that this table's commits cover.
    pub(crate) fn covered(&self) -> LogPosition {
        self.covered
    }

    /// Bytes that the staged rows take in memory; their file is smaller.
    pub(crate) fn staged_bytes(&self) -> usize {
        self.staged.iter().map(RecordBatch::get_array_memory_size).sum()
    }

    pub(crate) fn stage(&mut self, batch: RecordBatch) {
        self.staged.push(batch);
    }

    /// Commits what is staged: files first, then the commit that names them.
    ///
    /// Where it is refused, all that is not committed is staged still, and the next call goes on.
    pub(crate) async fn flush(&mut self, upto: LogPosition) -> Result<(), LakeError> {
        if let Some(doubt) = self.doubt {
            self.resolve(doubt).await.map_err(fail("reading again", self.name))?;
        }
        if self.staged.is_empty() {
            return Ok(());
        }
        let actions = self.write().await.map_err(fail("writing", self.name))?;
        crash::point("lake_written");
        let (version, batches) = (self.table.version(), self.staged.len());
        let doubt = Doubt { version, batches, upto };
        self.doubt = Some(doubt);
        let written: Vec<String> = actions.iter().filter_map(added).collect();
        if let Err(error) = self.commit(actions, upto).await {
            // On a disk that is full, what nobody names is not to stay.
            if self.resolve(doubt).await.is_ok_and(|()| !self.staged.is_empty()) {
                self.remove(&written).await;
            }
            return Err(fail("committing to", self.name)(error));
        }
        crash::point("lake_committed");
        self.is_committed(doubt);
        Ok(())
    }

    /// As if the commit of all that is staged had been refused.
    #[cfg(test)]
    pub(crate) fn doubt_all(&mut self, upto: LogPosition) {
        let (version, batches) = (self.table.version(), self.staged.len());
        self.doubt = Some(Doubt { version, batches, upto });
    }

    /// Reads from the disk whether a commit happened.
    async fn resolve(&mut self, doubt: Doubt) -> Result<(), DeltaTableError> {
        self.table.load().await?;
        if self.table.version() > doubt.version {
            self.is_committed(doubt);
        }
        self.doubt = None;
        Ok(())
    }

    fn is_committed(&mut self, doubt: Doubt) {
        self.staged.drain(..doubt.batches.min(self.staged.len()));
        self.covered = self.covered.max(doubt.upto);
        self.doubt = None;
    }

    async fn remove(&self, files: &[String]) {
        let store = self.table.log_store().object_store(None);
        for file in files {
            if let Err(error) = store.delete(&object_store::path::Path::from(file.as_str())).await {
                tracing::debug!(%error, file, "removing a file that no commit names");
            }
        }
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
    ) -> Result<(), DeltaTableError> {
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
        Ok(())
    }

    /// Which of `values` the text column holds in rows before `before` for which `condition` is true.
    pub(crate) async fn holds(
        &self,
        column: &str,
        values: &[String],
        before: LogPosition,
        condition: &str,
    ) -> Result<BTreeSet<String>, LakeError> {
        let failed = fail_lookup(self.name);
        let context = self.context().await?;
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

    /// The rows at positions from `from` to `to`, in their order.
    pub(crate) async fn rows<R: Row>(
        &self,
        from: LogPosition,
        to: LogPosition,
    ) -> Result<Vec<R>, LakeError> {
        let sql = format!(
            "SELECT * FROM t WHERE log_position BETWEEN {from} AND {to} ORDER BY log_position"
        );
        let mut rows = Vec::new();
        for batch in self.select(&sql, &R::TABLE).await? {
            let read = R::from_batch(&batch);
            let read = read.map_err(|wrong| ArrowError::SchemaError(wrong.to_string()));
            rows.extend(read.map_err(|error| fail_lookup(self.name)(error.into()))?);
        }
        Ok(rows)
    }

    /// A session in which this table is `t`.
    async fn context(&self) -> Result<SessionContext, LakeError> {
        let failed = fail_lookup(self.name);
        let context = SessionContext::new();
        let provider = self.table.table_provider().await.map_err(&failed)?;
        context.register_table("t", provider).map_err(&failed)?;
        let session = context.state();
        self.table.update_datafusion_session(&session).map_err(fail("reading", self.name))?;
        Ok(context)
    }

    /// The rows that `sql` selects from `t`, with the columns of the table but for `date`.
    pub(super) async fn select(
        &self,
        sql: &str,
        table: &Table,
    ) -> Result<Vec<RecordBatch>, LakeError> {
        let failed = fail_lookup(self.name);
        let frame = self.context().await?.sql(sql).await.map_err(&failed)?;
        let batches = frame.collect().await.map_err(&failed)?;
        let plain = batches.iter().map(|batch| plain(batch, table));
        plain.collect::<Result<_, _>>().map_err(|error| failed(error.into()))
    }
}

async fn load_or_create(dir: &Path, table: &Table) -> Result<(DeltaTable, bool), DeltaTableError> {
    let url = url(dir, table.name).map_err(|error| DeltaTableError::generic(error.to_string()))?;
    let files = Arc::new(DurableFileSystem::default());
    let mut delta =
        DeltaTableBuilder::from_url(url.clone())?.with_storage_backend(files, url).build()?;
    if delta.state.is_some() || delta.verify_deltatable_existence().await? {
        delta.load().await?;
        return Ok((with_new_columns(delta, table).await?, false));
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

/// Columns that this version of the program has and the stored table lacks are added by one commit of
/// metadata; rows that are there already read as null.
async fn with_new_columns(delta: DeltaTable, table: &Table) -> Result<DeltaTable, DeltaTableError> {
    let columns: StructType = (&*schema(table)).try_into_kernel()?;
    let stored = delta.snapshot()?.schema();
    let new = columns.fields().filter(|field| stored.field(field.name()).is_none());
    let new: Vec<_> = new.cloned().collect();
    if new.is_empty() { Ok(delta) } else { delta.add_columns().with_fields(new).await }
}

fn files(table: &DeltaTable) -> Result<Vec<PathBuf>, DeltaTableError> {
    let snapshot = table.snapshot()?;
    let mut files: Vec<(i64, PathBuf)> = snapshot
        .log_data()
        .iter()
        .map(|file| (file.modification_time(), file.object_store_path().as_ref().into()))
        .collect();
    files.sort();
    Ok(files.into_iter().map(|(_, path)| path).collect())
}

/// The file that an action adds.
fn added(action: &Action) -> Option<String> {
    match action {
        Action::Add(add) => Some(add.path.clone()),
        _ => None,
    }
}

async fn covered(table: &DeltaTable, app: &str) -> Result<LogPosition, DeltaTableError> {
    let snapshot = table.snapshot()?;
    let version = snapshot.transaction_version(table.log_store().as_ref(), app).await?;
    Ok(version.unwrap_or(-1))
}

/// The columns of `table` with its types, however the reader encoded them.
fn plain(batch: &RecordBatch, table: &Table) -> Result<RecordBatch, ArrowError> {
    let schema = table.schema();
    let cast = |field: &Arc<Field>| {
        let missing = || ArrowError::SchemaError(format!("no column {}", field.name()));
        let column = batch.column_by_name(field.name()).ok_or_else(missing)?;
        arrow::compute::cast(column, field.data_type())
    };
    let columns = schema.fields().iter().map(cast).collect::<Result<Vec<_>, _>>()?;
    RecordBatch::try_new(schema, columns)
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

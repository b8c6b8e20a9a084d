//! Inside the worker: one question on standard input, the answer as an Arrow IPC stream on standard output.
//!
//! An error is one line of JSON on standard error and an exit code other than 0.

use std::io::{Read, Write};
use std::sync::Arc;

use arrow_ipc::writer::StreamWriter;
use datafusion::error::DataFusionError;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::StreamExt;

use crate::query::{Limits, QueryError, Question, catalog, guard, times};

/// Planning recurses over expressions; this much stack carries every statement that the guard lets through.
const STACK_BYTES: usize = 64 << 20;
/// What one query may spill to the disk.
const SPILLED_BYTES: u64 = 512 << 20;
/// Memory of the program itself, before a query needs any.
const PROGRAM_BYTES: u64 = 2 << 30;

/// Reads the question from `input`, writes the answer to `output`.
///
/// # Errors
/// Whatever keeps the question from being answered; nothing useful was written then.
pub fn work(mut input: impl Read, output: impl Write + Send + 'static) -> Result<(), QueryError> {
    let mut text = String::new();
    let internal = |error: &dyn std::fmt::Display| {
        QueryError::data(
            format!("in the query worker: {error}"),
            "this is a bug in Durward; please report it",
        )
    };
    input.read_to_string(&mut text).map_err(|error| internal(&error))?;
    let question: Question = serde_json::from_str(&text).map_err(|error| internal(&error))?;
    cap_memory(question.limits);
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            // Each thread's stack is address space, which is limited.
            .max_blocking_threads(4)
            .thread_stack_size(STACK_BYTES)
            .enable_all()
            .build();
        let runtime = runtime.map_err(|error| internal(&error))?;
        runtime.block_on(Box::pin(answer(&question, output)))
    });
    let joined = thread.map_err(|error| internal(&error))?.join();
    joined.unwrap_or_else(|_| Err(internal(&"it panicked")))
}

/// A process that takes more than it may is ended by its own allocator, and nobody else notices.
fn cap_memory(limits: Limits) {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let most = Some(limits.memory.saturating_add(PROGRAM_BYTES));
    // Where a limit cannot be set the memory pool and the deadline still hold.
    let _ignored = setrlimit(Resource::As, Rlimit { current: most, maximum: most });
}

pub(super) async fn answer(question: &Question, mut output: impl Write) -> Result<(), QueryError> {
    let statement = guard::statement(&question.sql)?;
    let context = context(question).map_err(|error| explain(&error, question.limits))?;
    catalog::open(&context, &question.lake, &statement).await?;
    let explain = |error: DataFusionError| explain(&error, question.limits);
    let plan = context.state().create_logical_plan(&question.sql).await.map_err(explain)?;
    guard::plan(&plan)?;
    let frame = context.execute_logical_plan(plan).await.map_err(explain)?;
    let mut stream = frame.execute_stream().await.map_err(explain)?;
    let schema = stream.schema();
    let lost = |error: &dyn std::fmt::Display| {
        QueryError::data(format!("sending the answer: {error}"), "the reader went away")
    };
    let mut output = Counted { to: &mut output, bytes: 0 };
    let mut writer = StreamWriter::try_new(&mut output, &schema).map_err(|error| lost(&error))?;
    let mut rows = 0;
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(explain)?;
        rows += batch.num_rows();
        if rows > question.limits.max_rows {
            let message = format!("the answer has more than {} rows", question.limits.max_rows);
            return Err(QueryError::limit(message, "add a LIMIT or a WHERE, or raise --max-rows"));
        }
        let bytes = writer.get_ref().bytes + batch.get_array_memory_size() as u64;
        if bytes > question.limits.max_bytes {
            let most = question.limits.max_bytes >> 20;
            let message = format!("the answer has more than {most} MiB");
            return Err(QueryError::limit(
                message,
                "name the columns that you need, or add a LIMIT",
            ));
        }
        writer.write(&batch).map_err(|error| lost(&error))?;
    }
    writer.finish().map_err(|error| lost(&error))
}

/// Counts what is written.
struct Counted<W> {
    to: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        let written = self.to.write(buffer)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.to.flush()
    }
}

fn context(question: &Question) -> Result<SessionContext, DataFusionError> {
    let memory = usize::try_from(question.limits.memory).unwrap_or(usize::MAX);
    let mode = match &question.spill {
        Some(spill) => DiskManagerMode::Directories(vec![spill.clone()]),
        None => DiskManagerMode::Disabled,
    };
    let disk = DiskManagerBuilder::default().with_mode(mode);
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(memory)))
        .with_disk_manager_builder(disk.with_max_temp_directory_size(SPILLED_BYTES));
    let config = SessionConfig::new()
        .with_information_schema(true)
        .with_target_partitions(2)
        .set_str("datafusion.sql_parser.dialect", "postgresql")
        // Answers go to clients that know plain text columns.
        .set_bool("datafusion.sql_parser.map_string_types_to_utf8view", false)
        .set_bool("datafusion.execution.parquet.schema_force_view_types", false)
        // In 55.2 this rule names an extracted JSON path twice in nested views and then cannot plan.
        .set_bool("datafusion.optimizer.enable_leaf_expression_pushdown", false)
        .set_bool("datafusion.execution.parquet.pushdown_filters", true);
    let mut context = SessionContext::new_with_config_rt(config, runtime.build_arc()?);
    datafusion_functions_json::register_all(&mut context)?;
    guard::functions(&context);
    context.add_analyzer_rule(Arc::new(times::WholeMinutes));
    Ok(context)
}

/// What DataFusion says, in our form: primary message, then a hint.
fn explain(error: &DataFusionError, limits: Limits) -> QueryError {
    let root = error.find_root();
    let text = root.strip_backtrace();
    if matches!(root, DataFusionError::ResourcesExhausted(_)) {
        let message = format!("the query needs more than {} MiB of memory", limits.memory >> 20);
        return QueryError::limit(message, "narrow it with WHERE, or raise --memory");
    }
    let first = text.lines().next().unwrap_or_default();
    if let Some(name) = missing_table(first) {
        let error = QueryError::statement(format!("there is no table or view {name}"));
        return error.with_hint(format!("there are: {}", catalog::view_names().join(", ")));
    }
    let (message, hint) = match text.split_once(". Did you mean") {
        Some((message, hint)) => (message.to_owned(), Some(format!("did you mean{hint}"))),
        None => (text.clone(), None),
    };
    let shown = QueryError::statement(message.trim());
    match hint.or_else(|| interval_hint(&text)) {
        Some(hint) => shown.with_hint(hint.trim().to_owned()),
        None => shown,
    }
}

/// What is added to a time or taken from it is an interval; a text by itself is none.
fn interval_hint(text: &str) -> Option<String> {
    let is_sum = text.contains("Timestamp") && (text.contains(" - ") || text.contains(" + "));
    let is_unread = text.contains("Error parsing timestamp from") || text.contains("parsing '");
    let units = ["second", "minute", "hour", "day", "week", "month", "year"];
    let is_span = units.iter().any(|unit| text.contains(unit));
    (is_sum || (is_unread && is_span)).then(|| "write now() - interval '1 day'".to_owned())
}

fn missing_table(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("table '")?;
    let (name, rest) = rest.split_once('\'')?;
    rest.contains("not found").then(|| name.rsplit('.').next().unwrap_or(name))
}

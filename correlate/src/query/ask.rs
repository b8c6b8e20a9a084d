//! Outside the worker: start it, hand it the question, read the answer, and end it at its deadline.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_ipc::reader::StreamReader;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use crate::query::{Fault, Limits, QueryError, Question};

/// How long a worker may take over its deadline before it is killed.
const GRACE: Duration = Duration::from_secs(1);
/// An answer larger than this is refused by its reader.
const MOST_ANSWER_BYTES: u64 = 512 << 20;

/// The rows that a query gave.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Their columns.
    pub schema: SchemaRef,
    /// The rows.
    pub batches: Vec<RecordBatch>,
}

/// Asks `question` of a worker that `command` starts.
///
/// # Errors
/// If the statement is wrong, costs too much, or the data cannot be read.
pub async fn ask(mut command: Command, question: &Question) -> Result<Answer, QueryError> {
    let text = serde_json::to_vec(question).unwrap_or_default();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| lost(&error))?;
    let within = question.limits.timeout + GRACE;
    let Ok(done) = tokio::time::timeout(within, exchange(&mut child, &text)).await else {
        // Dropping the child kills it.
        let seconds = question.limits.timeout.as_secs_f64();
        let message = format!("the query took longer than {seconds} s");
        return Err(QueryError::limit(message, "narrow it with WHERE, or raise --timeout"));
    };
    let (output, complaint, succeeded) = done.map_err(|error| lost(&error))?;
    if succeeded {
        return decode(&output);
    }
    Err(complaint_of(&complaint, question.limits))
}

/// Writes the question, reads both pipes to their end.
async fn exchange(child: &mut Child, text: &[u8]) -> std::io::Result<(Vec<u8>, Vec<u8>, bool)> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let send = async {
        if let Some(mut stdin) = stdin {
            // A worker that is gone already says why on its standard error.
            let _gone = stdin.write_all(text).await;
        }
    };
    let mut output = Vec::new();
    let mut complaint = Vec::new();
    let receive = async {
        match stdout {
            Some(stdout) => stdout.take(MOST_ANSWER_BYTES).read_to_end(&mut output).await,
            None => Ok(0),
        }
    };
    let listen = async {
        match stderr {
            Some(stderr) => stderr.take(1 << 20).read_to_end(&mut complaint).await,
            None => Ok(0),
        }
    };
    let ((), received, heard) = tokio::join!(send, receive, listen);
    received?;
    heard?;
    let status = child.wait().await?;
    Ok((output, complaint, status.success()))
}

pub(super) fn decode(bytes: &[u8]) -> Result<Answer, QueryError> {
    let reader = StreamReader::try_new(bytes, None).map_err(|error| lost(&error))?;
    let schema = Arc::clone(&reader.schema());
    let batches = reader.collect::<Result<Vec<_>, _>>().map_err(|error| lost(&error))?;
    Ok(Answer { schema, batches })
}

/// The worker's own words; where it could not speak it was ended for its memory.
fn complaint_of(complaint: &[u8], limits: Limits) -> QueryError {
    let text = String::from_utf8_lossy(complaint);
    let spoken = text.lines().rev().find_map(|line| serde_json::from_str(line).ok());
    spoken.unwrap_or_else(|| {
        let last = text.lines().map(str::trim).rfind(|line| !line.is_empty());
        let message = format!(
            "the query worker was ended ({}); {} MiB of memory are its limit",
            last.unwrap_or("it said nothing"),
            limits.memory >> 20
        );
        QueryError::limit(message, "narrow the query with WHERE, or raise --memory")
    })
}

fn lost(error: &dyn std::fmt::Display) -> QueryError {
    QueryError {
        fault: Fault::Data,
        message: format!("talking to the query worker: {error}"),
        hint: Some("try again; if it stays, report it".to_owned()),
    }
}

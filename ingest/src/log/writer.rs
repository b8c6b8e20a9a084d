//! The one thread that writes: jobs in, one flush for all that wait, then everybody is answered.
//!
//! After a failed write or flush the segment is never written again, since the kernel reports a
//! failed flush once and then calls the pages clean. What was not acknowledged is written once more
//! to a new segment; if that fails too, its senders are told to try again, and so is everybody until
//! a segment can be made.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use durward_schemas::ids::LogPosition;
use durward_schemas::{Clock, Time, crash};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::disk::{Disk, DiskFile};
use super::frame::Body;
use super::segment::{BEGUN, MAGIC, Segment, Segments};
use super::{Appended, LogSettings, Refusal};

/// Bytes that are flushed together at most, but for a single append that is larger.
const GROUP: usize = 8 << 20;

/// What the writer is asked for.
#[derive(Debug)]
pub(super) enum Job {
    /// Append, then answer.
    Append(Append),
    /// Write what came before, and end.
    Close,
}

/// Contents that wait to be written.
#[derive(Debug)]
pub(super) struct Append {
    pub(super) bodies: Vec<Body>,
    pub(super) reply: oneshot::Sender<Result<Appended, Refusal>>,
    /// Its part of the byte budget, given back when it is answered.
    pub(super) room: OwnedSemaphorePermit,
}

impl Append {
    fn bytes(&self) -> usize {
        self.bodies.iter().map(Body::frame_len).sum()
    }

    fn positions(&self) -> LogPosition {
        self.bodies.iter().map(Body::positions).sum()
    }

    fn answer(self, answer: Result<Appended, Refusal>) {
        drop(self.room);
        if self.reply.send(answer).is_err() {
            tracing::trace!("the sender went away before it was answered");
        }
    }
}

/// The segment that is being written.
struct Open {
    file: Box<dyn DiskFile>,
    /// Bytes that are flushed.
    bytes: u64,
}

pub(super) struct Writer {
    disk: Box<dyn Disk>,
    settings: LogSettings,
    clock: Clock,
    segments: Arc<Segments>,
    open: Option<Open>,
    sequence: u64,
    next: LogPosition,
    /// Of this run: a clock that was wrong before is no reason to be wrong now.
    last_time: Option<Time>,
    /// The last group could not be written.
    is_failing: bool,
}

impl Writer {
    pub(super) fn new(
        disk: Box<dyn Disk>,
        settings: LogSettings,
        clock: Clock,
        segments: Arc<Segments>,
    ) -> Self {
        let (sequence, next) = (segments.next_sequence(), segments.end());
        let (open, last_time, is_failing) = (None, None, false);
        Self { disk, settings, clock, segments, open, sequence, next, last_time, is_failing }
    }

    /// Serves jobs until it is told to close.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        let mut is_closing = false;
        while !is_closing && let Ok(job) = jobs.recv() {
            let mut group = Vec::new();
            let mut bytes = 0;
            let mut next = Some(job);
            while let Some(job) = next.take() {
                match job {
                    Job::Close => is_closing = true,
                    Job::Append(append) => {
                        bytes += append.bytes();
                        group.push(append);
                    }
                }
                if !is_closing && bytes < GROUP {
                    next = jobs.try_recv().ok();
                }
            }
            self.commit(group, bytes);
        }
        self.close();
    }

    /// Writes and flushes a group, then answers everybody in it.
    fn commit(&mut self, group: Vec<Append>, bytes: usize) {
        if group.is_empty() {
            return;
        }
        let has_room = self.segments.bytes() + bytes as u64 <= self.settings.budget_bytes;
        // The second try is on a new segment; where the one before failed too, this one is new already.
        let written =
            has_room && (self.try_write(&group) || !self.is_failing && self.try_write(&group));
        self.is_failing = has_room && !written;
        let mut first = self.next;
        for append in group {
            let last = first + append.positions() - 1;
            let answer = if written {
                Ok(Appended { first, last })
            } else {
                Err(Refusal::Busy { retry_after: self.settings.retry_after })
            };
            first = last + 1;
            append.answer(answer);
        }
        if written {
            self.next = first;
        }
    }

    fn try_write(&mut self, group: &[Append]) -> bool {
        let written = self.write(group);
        match &written {
            // Told once, however often senders try again.
            Err(error) if !self.is_failing => {
                tracing::error!(%error, "writing the log failed: nothing of the group is acknowledged, and senders are asked to try again");
                self.abandon();
            }
            Err(_) => self.abandon(),
            Ok(()) if self.is_failing => tracing::warn!("the log can be written again"),
            Ok(()) => {}
        }
        written.is_ok()
    }

    fn write(&mut self, group: &[Append]) -> io::Result<()> {
        if self.open.as_ref().is_some_and(|open| open.bytes >= self.settings.segment_bytes) {
            self.open = None;
        }
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(begin(
                self.disk.as_ref(),
                &self.segments,
                &mut self.sequence,
                self.next,
            )?),
        };
        let time = self.last_time.map_or_else(|| (self.clock)(), |last| last.max((self.clock)()));
        let mut frames = Vec::new();
        let mut next = self.next;
        for body in group.iter().flat_map(|append| &append.bodies) {
            body.write(open.bytes, next, time, &mut frames);
            next += body.positions();
        }
        open.file.write_all(&frames)?;
        crash::point("log_written");
        open.file.sync()?;
        crash::point("log_flushed");
        open.bytes += frames.len() as u64;
        self.last_time = Some(time);
        self.segments.advance(next, open.bytes);
        Ok(())
    }

    /// Leaves the segment as it is but for what was never acknowledged, as far as that can be cut.
    fn abandon(&mut self) {
        if let Some(mut open) = self.open.take()
            && let Err(error) = open.file.cut(open.bytes)
        {
            tracing::debug!(%error, "cutting an abandoned segment failed; readers stop before its tail");
        }
    }

    /// Proves that the last group was flushed, so that later damage to it cannot pass for a torn tail.
    fn close(&mut self) {
        let Some(open) = &mut self.open else { return };
        let mut frame = Vec::new();
        let time = self.last_time.unwrap_or_default();
        Body::end().write(open.bytes, self.next, time, &mut frame);
        let closed = open.file.write_all(&frame).and_then(|()| open.file.sync());
        if let Err(error) = closed {
            tracing::warn!(%error, "marking the end of the log failed; everything acknowledged is there");
        }
    }
}

/// Begins a segment at position `first`; its name is flushed before anything is written to it.
fn begin(
    disk: &dyn Disk,
    segments: &Segments,
    sequence: &mut u64,
    first: LogPosition,
) -> io::Result<Open> {
    let mut segment = Segment::new(&segments.dir, *sequence, first);
    // A file that could not be finished keeps its number; it holds no frames and no one reads it.
    *sequence += 1;
    let made = make(disk, &segments.dir, &segment);
    if made.is_err()
        && let Err(error) = disk.remove(&segment.path)
    {
        tracing::debug!(%error, "removing an unfinished segment failed");
    }
    let file = made?;
    segment.bytes = MAGIC.len() as u64;
    let bytes = segment.bytes;
    segments.push(segment);
    Ok(Open { file, bytes })
}

fn make(disk: &dyn Disk, dir: &Path, segment: &Segment) -> io::Result<Box<dyn DiskFile>> {
    let mut file = disk.create(&segment.path)?;
    file.write_all(MAGIC)?;
    file.sync()?;
    let name = segment.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    disk.replace(&dir.join(BEGUN), name)?;
    disk.sync_dir(dir)?;
    Ok(file)
}

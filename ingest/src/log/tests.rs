use std::fs;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};

use durward_schemas::Time;
use durward_schemas::cell::Json;
use durward_schemas::record::{Content, Loss, Receipt, Record};
use durward_schemas::tables::{Access, Log as LogRow, Metric, Object, Reject, Span};
use proptest::prelude::*;

use super::disk::DiskFile;
use super::*;

/// A clock that stands still.
fn still() -> Clock {
    Arc::new(|| Time(1_000_000))
}

fn accesses(count: usize, text: &str) -> Content {
    let row = Access { unmapped: Some(Json(text.into())), ..Access::default() };
    Content::Accesses(vec![row; count])
}

/// Records and gaps, in their order.
fn read(log: &Log) -> Vec<Read> {
    let mut reader = log.reader(0);
    std::iter::from_fn(|| reader.next().unwrap()).collect()
}

fn read_all(log: &Log) -> Vec<Record> {
    read(log).into_iter().filter_map(Read::record).collect()
}

/// The first and last positions of the gaps.
fn gaps(log: &Log) -> Vec<(LogPosition, LogPosition)> {
    let gaps = read(log).into_iter().filter_map(|read| match read {
        Read::Record(_) => None,
        Read::Gap(gap) => Some((gap.first, gap.last)),
    });
    gaps.collect()
}

fn open(dir: &Path) -> Result<Log, LogError> {
    Log::open(dir, LogSettings::default(), still())
}

/// The segment files of `dir` by name.
fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read(&path).unwrap())).collect()
}

/// Scenario: one content of every kind, appended together.
/// Guarantees: they come back as they were, placed one after the other, with one recording time.
#[test]
fn every_kind_comes_back_placed() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    let receipt =
        Receipt { source: "s".into(), cluster: Some("c".into()), items: 3, ..Receipt::default() };
    let contents = vec![
        accesses(2, "{}"),
        Content::Objects(vec![Object::default()]),
        Content::Spans(vec![Span::default(); 3]),
        Content::Logs(vec![LogRow::default()]),
        Content::Metrics(vec![Metric::default()]),
        Content::Rejects(vec![Reject::default()]),
        Content::Received(receipt),
        Content::Tick,
        Content::Settings(Json("{}".into())),
        Content::Loss(Loss { part: "log".into(), text: "gone".into(), is_lasting: true }),
        Content::EndOfSource("s".into()),
    ];
    let appended = log.append_blocking(contents.clone()).unwrap();
    assert_eq!((appended, log.end()), (Appended { first: 1, last: 14 }, 15));
    let mut first = 1;
    for (record, mut content) in read_all(&log).into_iter().zip(contents) {
        content.place(first, Time(1_000_000));
        let next = first + i64::try_from(content.positions()).unwrap();
        assert_eq!(record, Record { first_position: first, ingest_time: Time(1_000_000), content });
        first = next;
    }
    assert_eq!(first, 15);
    let nothing = log.append_blocking(vec![Content::Accesses(vec![])]).unwrap();
    assert_eq!(nothing, Appended { first: 15, last: 14 });
}

/// Scenario: the clock goes back within a run; a run whose clock stands in the year 2100, and one after it.
/// Guarantees: recording times never go back within a run, follow the clock from the next start on, and the
/// log says that they went back; positions go on.
#[test]
fn recording_time_follows_the_clock_of_each_run() {
    let dir = tempfile::tempdir().unwrap();
    let now = Arc::new(AtomicI64::new(0));
    let clock: Clock = {
        let now = Arc::clone(&now);
        Arc::new(move || Time(now.load(Ordering::Relaxed)))
    };
    let (year, today) = (4_102_444_800_000_000, 1_700_000_000_000_000);
    let mut kept = Vec::new();
    for (times, ahead) in [
        (&[today, today - 9, today + 2][..], None),
        (&[year], None),
        (&[today + 5], Some(Time(year))),
    ] {
        now.store(times[0], Ordering::Relaxed);
        let log = Log::open(dir.path(), LogSettings::default(), Arc::clone(&clock)).unwrap();
        assert_eq!(log.clock_ahead(), ahead);
        for time in times {
            now.store(*time, Ordering::Relaxed);
            log.append_blocking(vec![Content::Tick]).unwrap();
        }
        kept = read_all(&log).iter().map(|record| record.ingest_time.0).collect();
    }
    assert_eq!(kept, [today, today, today + 2, year, today + 5]);
}

/// Scenario: many threads append at once.
/// Guarantees: every row has a position of its own, and no position is left out.
#[test]
fn positions_are_consecutive() {
    let dir = tempfile::tempdir().unwrap();
    let settings = LogSettings { segment_bytes: 20_000, ..LogSettings::default() };
    let log = Log::open(dir.path(), settings, still()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let appender = log.appender();
            scope.spawn(move || {
                for _ in 0..10 {
                    appender.append_blocking(vec![accesses(thread + 1, "x")]).unwrap();
                }
            });
        }
    });
    let mut next = 1;
    for record in read_all(&log) {
        assert_eq!(record.first_position, next);
        next += i64::try_from(record.content.positions()).unwrap();
    }
    assert_eq!((next, log.end()), (361, 361));
    assert!(files(dir.path()).len() > 1, "segments were rotated");
}

/// Scenario: a reader that starts in the middle, one that starts in a record, one at the end.
/// Guarantees: each begins with the record that holds its position, across segments.
#[test]
fn readers_begin_where_they_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let settings = LogSettings { segment_bytes: 1, ..LogSettings::default() };
    let log = Log::open(dir.path(), settings, still()).unwrap();
    for _ in 0..4 {
        log.append_blocking(vec![accesses(2, "x")]).unwrap();
    }
    for (from, first) in
        [(0, Some(1)), (1, Some(1)), (2, Some(1)), (3, Some(3)), (8, Some(7)), (9, None)]
    {
        let record = log.reader(from).next().unwrap();
        let begun = record.map(|read| match read {
            Read::Record(record) => record.first_position,
            Read::Gap(gap) => -gap.first,
        });
        assert_eq!(begun, first, "from {from}");
    }
}

/// Scenario: the log is trimmed while a reader is in the part that goes.
/// Guarantees: whole segments go, the reader that has one open finishes it, a new one is told what is missing.
#[test]
fn trimmed_segments_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let settings = LogSettings { segment_bytes: 1, ..LogSettings::default() };
    let log = Log::open(dir.path(), settings, still()).unwrap();
    for _ in 0..4 {
        log.append_blocking(vec![accesses(2, "x")]).unwrap();
    }
    log.trim(6).unwrap();
    assert_eq!((log.first(), files(dir.path()).len()), (5, 2));
    assert_eq!(gaps(&log), [(1, 4)]);
    log.trim(100).unwrap();
    assert_eq!((log.first(), log.end()), (7, 9));
}

/// Scenario: one who reads waits for more, and more comes.
/// Guarantees: the wait ends, and the record is there.
#[tokio::test]
async fn waiting_readers_are_woken() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    let mut reader = log.reader(1);
    assert_eq!(reader.next().unwrap(), None);
    let ((), appended) = tokio::join!(reader.wait(), log.append(vec![Content::Tick]));
    assert_eq!(appended.unwrap().first, 1);
    assert!(
        matches!(reader.next().unwrap(), Some(Read::Record(record)) if record.content == Content::Tick)
    );
}

/// Scenario: contents that are too large, and more than may wait.
/// Guarantees: each is refused for what it is, at once, and smaller ones still pass.
#[test]
fn refusals_say_why() {
    let dir = tempfile::tempdir().unwrap();
    let settings =
        LogSettings { record_bytes: 4_000, queue_bytes: 10 << 10, ..LogSettings::default() };
    let log = Log::open(dir.path(), settings, still()).unwrap();
    let noise: String =
        (0_u32..2_000).map(|i| blake3::hash(&i.to_le_bytes()).to_hex().to_string()).collect();
    assert_eq!(log.append_blocking(vec![accesses(1, &noise)]), Err(Refusal::TooLarge));
    assert_eq!(log.append_blocking(vec![accesses(1, "x"); 20]), Err(Refusal::TooLarge));
    log.append_blocking(vec![accesses(1, "x")]).unwrap();
    let appender = log.appender();
    drop(log);
    assert_eq!(appender.append_blocking(vec![Content::Tick]), Err(Refusal::Closed));
}

/// Scenario: a log that has reached its budget, then is trimmed.
/// Guarantees: busy while there is no room, and taken again afterwards.
#[test]
fn full_budget_is_busy_until_trimmed() {
    let dir = tempfile::tempdir().unwrap();
    let settings = LogSettings { segment_bytes: 1, budget_bytes: 8_000, ..LogSettings::default() };
    let log = Log::open(dir.path(), settings, still()).unwrap();
    let mut taken = 0;
    while log.append_blocking(vec![accesses(1, "x")]).is_ok() {
        taken += 1;
    }
    assert!(taken >= 1);
    let refused = log.append_blocking(vec![accesses(1, "x")]);
    assert!(matches!(refused, Err(Refusal::Busy { .. })));
    log.trim(log.end()).unwrap();
    log.append_blocking(vec![accesses(1, "x")]).unwrap();
}

/// A log of three groups as a crash leaves it: its one file, and where its groups end.
fn crashed() -> (tempfile::TempDir, PathBuf, Vec<u8>, Vec<usize>) {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    let mut ends = Vec::new();
    for first in
        [accesses(1, "x"), Content::EndOfSource("a".into()), Content::EndOfSource("b".into())]
    {
        log.append_blocking(vec![first, Content::Tick]).unwrap();
        ends.push(files(dir.path())[0].1.len());
    }
    let (path, bytes) = files(dir.path()).remove(0);
    drop(log);
    (dir, path, bytes, ends)
}

/// Scenario: the last group is cut at every byte.
/// Guarantees: what was flushed before is there, nothing is half there, and the log goes on.
#[test]
fn torn_tails_are_cut() {
    let (dir, path, bytes, ends) = crashed();
    for cut in ends[1]..=bytes.len() {
        for (path, _) in files(dir.path()) {
            fs::remove_file(path).unwrap();
        }
        fs::write(&path, &bytes[..cut]).unwrap();
        let log = open(dir.path()).unwrap();
        let found = read_all(&log).len();
        let expect = if cut == bytes.len() { 6..=6 } else { 4..=5 };
        assert!(expect.contains(&found), "{found} records after a cut at {cut}");
        let end = log.end();
        assert_eq!(log.append_blocking(vec![Content::Tick]).unwrap().first, end);
        assert_eq!(read_all(&log).len(), found + 1);
    }
}

/// Scenario: a segment was begun, and the machine lost power before anything of it was flushed.
/// Guarantees: any beginning of a file, zeros and noise are no obstacle to a start.
#[test]
fn unflushed_segments_are_no_obstacle() {
    let (dir, _, _, _) = crashed();
    for tail in [&b""[..], b"dur", b"durward1", &[0; 300], b"noise noise noise noise"] {
        let next = segment::Segment::new(dir.path(), 7, 7).path;
        fs::write(&next, tail).unwrap();
        let log = open(dir.path()).unwrap();
        assert_eq!((log.end(), read_all(&log).len()), (7, 6), "{tail:?}");
        drop(log);
        fs::remove_file(&next).ok();
    }
}

/// Scenario: one byte of the file is wrong, in a part that was flushed before the last group.
/// Guarantees: the start succeeds, the reader names the positions and the place; every other record is there,
/// rows are never made up, and no position is given twice.
#[test]
fn damage_is_not_taken_for_a_torn_tail() {
    let (dir, path, bytes, ends) = crashed();
    for at in 8..ends[1] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x20;
        fs::write(&path, &damaged).unwrap();
        let log = open(dir.path()).unwrap();
        let found = read(&log);
        let lost: Vec<&Gap> = found
            .iter()
            .filter_map(|read| match read {
                Read::Gap(gap) => Some(gap),
                Read::Record(_) => None,
            })
            .collect();
        assert!(
            matches!(lost[..], [gap] if gap.first == gap.last && gap.place.contains(path.to_str().unwrap())),
            "{at}: {lost:?}"
        );
        assert_eq!((found.len(), log.end()), (6, 7), "{at}");
    }
}

/// Scenario: a log that was closed properly, then one byte of its last group turned.
/// Guarantees: the mark of the clean end tells damage from a torn tail there too.
#[test]
fn clean_end_guards_the_last_group() {
    let dir = tempfile::tempdir().unwrap();
    drop({
        let log = open(dir.path()).unwrap();
        log.append_blocking(vec![accesses(1, "x")]).unwrap();
        log
    });
    let (path, bytes) = files(dir.path()).remove(0);
    let marked = bytes.len() - frame::HEADER;
    for at in 8..marked {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        fs::write(&path, &damaged).unwrap();
        assert_eq!(gaps(&open(dir.path()).unwrap()), [(1, 1)], "{at}");
    }
}

/// A log of three segments with two records each, the second of which `change` was done to.
fn segments(change: impl Fn(&Path, &[u8])) -> (tempfile::TempDir, Log) {
    let dir = tempfile::tempdir().unwrap();
    let settings = LogSettings { segment_bytes: 1, ..LogSettings::default() };
    let log = Log::open(dir.path(), settings, still()).unwrap();
    for _ in 0..3 {
        log.append_blocking(vec![accesses(1, "x"), Content::Tick]).unwrap();
    }
    let (path, bytes) = files(dir.path()).remove(1);
    change(&path, &bytes);
    (dir, log)
}

/// Scenario: in a segment that has a successor a byte is turned, its end is cut, it is emptied or deleted.
/// Guarantees: readers come to a gap of just the positions that are not there, and go on behind it.
#[test]
fn damage_in_older_segments_is_a_gap() {
    let check = |change: &dyn Fn(&Path, &[u8]), expected: (LogPosition, LogPosition)| {
        let (dir, log) = segments(change);
        assert_eq!(gaps(&log), [expected]);
        drop(log);
        let log = open(dir.path()).unwrap();
        assert_eq!((gaps(&log), log.end()), (vec![expected], 7), "after a restart");
    };
    let turned = |path: &Path, bytes: &[u8], at: usize| {
        let mut damaged = bytes.to_vec();
        damaged[at] ^= 1;
        fs::write(path, damaged).unwrap();
    };
    check(&|path, bytes| turned(path, bytes, 100), (3, 3));
    check(&|path, bytes| turned(path, bytes, bytes.len() - 1), (4, 4));
    check(&|path, bytes| turned(path, bytes, 8), (3, 3));
    check(&|path, bytes| fs::write(path, &bytes[..bytes.len() - 10]).unwrap(), (4, 4));
    check(&|path, _| fs::write(path, []).unwrap(), (3, 4));
    check(&|path, _| fs::remove_file(path).unwrap(), (3, 4));
}

/// Scenario: the last segment is deleted, emptied, or an older copy of it is put back, while others know of
/// positions up to ten; the whole log is deleted.
/// Guarantees: the next record stands behind all that is known; what is missing is named, and is a gap.
#[test]
fn positions_are_never_given_twice() {
    let settings = LogSettings { segment_bytes: 1, first_position: 11, ..LogSettings::default() };
    let check = |change: &dyn Fn(&Path, &[u8]),
                 missing: Option<LogPosition>,
                 gap: &[(LogPosition, LogPosition)]| {
        let (dir, log) = segments(|_, _| {});
        drop(log);
        let (path, bytes) = files(dir.path()).remove(2);
        change(&path, &bytes);
        let log = Log::open(dir.path(), settings.clone(), still()).unwrap();
        assert_eq!(log.missing().map(|missing| missing.first), missing);
        assert_eq!(log.append_blocking(vec![Content::Tick]).unwrap().first, 11);
        assert_eq!(gaps(&log), gap);
        drop(log);
        let log = Log::open(dir.path(), settings.clone(), still()).unwrap();
        assert_eq!((gaps(&log), log.end()), (gap.to_vec(), 12), "after a restart");
    };
    check(&|_, _| {}, Some(7), &[(7, 10)]);
    check(&|path, _| fs::remove_file(path).unwrap(), Some(5), &[(5, 10)]);
    check(&|path, _| fs::write(path, []).unwrap(), Some(5), &[(5, 10)]);
    check(&|path, bytes| fs::write(path, &bytes[..bytes.len() / 2]).unwrap(), Some(5), &[(5, 10)]);
    check(&|path, _| fs::remove_dir_all(path.parent().unwrap()).unwrap(), Some(11), &[(1, 10)]);
}

/// Scenario: something must stand first, and others append before it could be written.
/// Guarantees: they are refused as busy until it stands there.
#[test]
fn what_comes_first_stands_first() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    log.hold();
    assert!(matches!(log.append_blocking(vec![Content::Tick]), Err(Refusal::Busy { .. })));
    let first =
        futures::executor::block_on(log.append_first(vec![Content::Settings(Json("{}".into()))]));
    assert_eq!(first.unwrap().first, 1);
    assert_eq!(log.append_blocking(vec![Content::Tick]).unwrap().first, 2);
}

/// A disk whose writes and flushes can be made to fail, and whose flushes are counted.
#[derive(Default)]
struct Unreliable {
    /// How many of the next flushes and writes fail.
    failing_syncs: AtomicUsize,
    failing_writes: AtomicUsize,
    syncs: AtomicUsize,
    /// Told at each flush, which then waits to be let go.
    gate: Mutex<Option<(mpsc::Sender<()>, mpsc::Receiver<()>)>>,
}

struct UnreliableDisk(Arc<Unreliable>);
struct UnreliableFile(Box<dyn DiskFile>, Arc<Unreliable>);

fn fails(count: &AtomicUsize) -> io::Result<()> {
    let left = count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
    if left.is_ok() { Err(io::Error::from(io::ErrorKind::StorageFull)) } else { Ok(()) }
}

impl Disk for UnreliableDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(UnreliableFile(LocalDisk.create(path)?, Arc::clone(&self.0))))
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        LocalDisk.sync_dir(dir)
    }
    fn replace(&self, path: &Path, text: &str) -> io::Result<()> {
        LocalDisk.replace(path, text)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        LocalDisk.remove(path)
    }
}

impl DiskFile for UnreliableFile {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = fails(&self.1.failing_writes) {
            // A full disk takes a part.
            self.0.write_all(&bytes[..bytes.len() / 2])?;
            return Err(error);
        }
        self.0.write_all(bytes)
    }
    fn sync(&mut self) -> io::Result<()> {
        self.1.syncs.fetch_add(1, Ordering::SeqCst);
        if let Some((at, go)) = &*self.1.gate.lock().unwrap() {
            at.send(()).unwrap();
            go.recv().unwrap();
        }
        fails(&self.1.failing_syncs)?;
        self.0.sync()
    }
    fn cut(&mut self, _: u64) -> io::Result<()> {
        Err(io::Error::from(io::ErrorKind::Other))
    }
}

fn unreliable(dir: &Path) -> (Log, Arc<Unreliable>) {
    let state = Arc::new(Unreliable::default());
    let disk = Box::new(UnreliableDisk(Arc::clone(&state)));
    (Log::open_on(disk, dir, LogSettings::default(), still()).unwrap(), state)
}

/// Scenario: a flush or a write fails once, or for longer, and then space returns.
/// Guarantees: what was acknowledged is there once and in order, also after a restart; what was not
/// is busy; nobody is told twice of one position.
#[test]
fn failing_disks_lose_nothing_acknowledged() {
    let check = |syncs: usize, writes: usize, is_refused: bool| {
        let dir = tempfile::tempdir().unwrap();
        let (log, disk) = unreliable(dir.path());
        log.append_blocking(vec![accesses(1, "a")]).unwrap();
        disk.failing_syncs.store(syncs, Ordering::SeqCst);
        disk.failing_writes.store(writes, Ordering::SeqCst);
        let mut kept = vec!["a".to_owned()];
        let answer = log.append_blocking(vec![accesses(1, "b")]);
        assert_eq!(answer.is_err(), is_refused, "{answer:?}");
        kept.extend(answer.is_ok().then(|| "b".to_owned()));
        while log.append_blocking(vec![accesses(1, "c")]).is_err() {}
        kept.push("c".to_owned());
        let texts = |log: &Log| -> Vec<String> {
            let records = read_all(log);
            let positions: Vec<_> = records.iter().map(|record| record.first_position).collect();
            assert_eq!(positions, (1..log.end()).collect::<Vec<_>>());
            let text = |record: &Record| match &record.content {
                Content::Accesses(rows) => rows[0].unmapped.clone().unwrap().0,
                other => panic!("{other:?}"),
            };
            records.iter().map(text).collect()
        };
        assert_eq!(texts(&log), kept, "{syncs} {writes}");
        drop(log);
        let empty = files(dir.path()).iter().filter(|(_, bytes)| bytes.len() <= 8).count();
        assert_eq!(empty, 0, "{syncs} {writes}: nothing is left of refused groups");
        assert_eq!(texts(&open(dir.path()).unwrap()), kept, "{syncs} {writes} after a restart");
    };
    check(0, 0, false);
    check(1, 0, false);
    check(0, 1, false);
    check(2, 0, true);
    check(0, 2, true);
    check(7, 0, true);
    check(3, 4, true);
}

/// Scenario: ten appends arrive while a flush is under way.
/// Guarantees: one more flush serves them all, and none is answered before it.
#[test]
fn one_flush_serves_all_that_wait() {
    let dir = tempfile::tempdir().unwrap();
    let (log, disk) = unreliable(dir.path());
    log.append_blocking(vec![Content::Tick]).unwrap();
    let ((at_sync, arrived), (let_go, go)) = (mpsc::channel(), mpsc::channel());
    *disk.gate.lock().unwrap() = Some((at_sync, go));
    let before = disk.syncs.load(Ordering::SeqCst);
    let appender = log.appender();
    let mut first = appender.enqueue(&[Content::Tick]).unwrap();
    arrived.recv().unwrap();
    let waiting: Vec<_> = (0..10).map(|_| appender.enqueue(&[Content::Tick]).unwrap()).collect();
    assert!(first.try_recv().is_err(), "nobody is answered before the flush");
    let_go.send(()).unwrap();
    arrived.recv().unwrap();
    let_go.send(()).unwrap();
    let positions: Vec<_> =
        waiting.into_iter().map(|wait| wait.blocking_recv().unwrap().unwrap().first).collect();
    assert_eq!(positions, (3..13).collect::<Vec<_>>());
    assert_eq!(disk.syncs.load(Ordering::SeqCst) - before, 2);
    *disk.gate.lock().unwrap() = None;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Scenario: any bytes after the last group, or any one byte of the last group turned.
    /// Guarantees: the start succeeds with every acknowledged group before it, or names the damage.
    #[test]
    fn any_tail_recovers(tail in proptest::collection::vec(any::<u8>(), 0..200), turn in any::<prop::sample::Index>()) {
        let (dir, path, bytes, ends) = crashed();
        let reopen = |bytes: &[u8]| {
            for (path, _) in files(dir.path()) {
                fs::remove_file(path).unwrap();
            }
            fs::write(&path, bytes).unwrap();
            read_all(&open(dir.path()).unwrap()).len()
        };
        prop_assert_eq!(reopen(&[bytes.as_slice(), &tail].concat()), 6);
        let mut turned = bytes.clone();
        let at = ends[1] + turn.index(bytes.len() - ends[1]);
        turned[at] ^= 4;
        let found = reopen(&turned);
        prop_assert!((4..=5).contains(&found), "{} records with byte {} turned", found, at);
    }
}

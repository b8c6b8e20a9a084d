//! Places for connections at a door: how many there may be, of one address and in all, and for how long.
//!
//! A door that is full gives up who asks for nothing for whoever comes next: the connection without a
//! request under way that was silent for longest, those that never asked for anything first.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::room::host;

/// A request of which nothing came and went for so long is given up.
const STALLED: Duration = Duration::from_mins(2);
/// A connection that asked for nothing for so long is given up.
const IDLE: Duration = Duration::from_mins(5);
/// So long nobody is given up for another: it is enough for a handshake and a head, however many come.
const LIFE: Duration = Duration::from_secs(1);
/// Whoever comes to a door that is full waits so long for a place, and whoever comes after it waits behind it.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is looked whether somebody can be given up.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Addresses whose rate is remembered; beyond it those that have been quiet are forgotten.
const REMEMBERED: usize = 10_000;

/// What a door bears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections of the door at most.
    pub connections: usize,
    /// Connections of one address at most.
    pub of_address: usize,
    /// New connections of one address in a second; twice as many at once.
    pub per_second: u32,
    /// A client that has not said what it wants by then is given up.
    pub first_within: Duration,
    /// Requests under way are waited for at the end, so long.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self::of_connections(1024)
    }
}

impl Limits {
    /// The same shares of another number of connections.
    #[must_use]
    pub fn of_connections(connections: usize) -> Self {
        Self {
            connections,
            of_address: (connections / 4).max(1),
            per_second: 500,
            first_within: Duration::from_secs(10),
            drain: Duration::from_secs(8),
        }
    }
}

/// The connections of a door.
#[derive(Debug, Clone)]
pub(super) struct Connections(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: Limits,
    began: Instant,
    state: Mutex<State>,
    freed: Notify,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoPlace {
    /// The address has as many as it may.
    OfAddress,
    /// The door is full.
    Full,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    open: HashMap<u64, Open>,
    of_address: HashMap<IpAddr, usize>,
    rates: HashMap<IpAddr, Rate>,
}

#[derive(Debug)]
struct Open {
    address: IpAddr,
    since: Instant,
    activity: Arc<Activity>,
}

/// Connections that an address may yet open at once.
#[derive(Debug, Clone, Copy)]
struct Rate {
    left: f64,
    at: Instant,
}

impl Rate {
    fn at(self, now: Instant, limits: Limits) -> Self {
        let rate = f64::from(limits.per_second);
        let earned = now.saturating_duration_since(self.at).as_secs_f64() * rate;
        Self { left: (self.left + earned).min(2.0 * rate), at: now }
    }
}

impl Connections {
    pub(super) fn new(limits: Limits) -> Self {
        let (began, state) = (Instant::now(), Mutex::default());
        Self(Arc::new(Shared { limits, began, state, freed: Notify::new() }))
    }

    /// A place for a connection, waited for a while where the door is full; `None` if it is to be closed.
    ///
    /// Nobody else is accepted meanwhile: whoever comes waits in the system's queue, first come, first served.
    pub(super) async fn place(&self, address: IpAddr) -> Option<Place> {
        let address = host(address);
        let began = Instant::now();
        if !self.state().is_within_rate(address, began, self.0.limits) {
            return None;
        }
        loop {
            match self.admit(address, Instant::now()) {
                Ok(place) => return Some(place),
                Err(NoPlace::Full) if began.elapsed() < PATIENCE => {
                    // Either way it is looked again.
                    let _freed = tokio::time::timeout(LOOK_EVERY, self.0.freed.notified()).await;
                }
                Err(_) => return None,
            }
        }
    }

    fn admit(&self, address: IpAddr, now: Instant) -> Result<Place, NoPlace> {
        let limits = self.0.limits;
        let mut state = self.state();
        let of_address = state.of_address.get(&address).copied().unwrap_or(0);
        if of_address >= limits.of_address {
            state.evict(Some(address), now).ok_or(NoPlace::OfAddress)?;
        }
        if state.open.len() >= limits.connections {
            state.evict(None, now).ok_or(NoPlace::Full)?;
        }
        let id = state.next;
        state.next += 1;
        let activity = Arc::new(Activity::new(self.0.began, now));
        state.open.insert(id, Open { address, since: now, activity: Arc::clone(&activity) });
        *state.of_address.entry(address).or_default() += 1;
        Ok(Place { id, connections: self.clone(), activity, opened: now })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_within_rate(&mut self, address: IpAddr, now: Instant, limits: Limits) -> bool {
        if self.rates.len() > REMEMBERED {
            let full = 2.0 * f64::from(limits.per_second);
            self.rates.retain(|_, rate| rate.at(now, limits).left < full);
        }
        let full = Rate { left: 2.0 * f64::from(limits.per_second), at: now };
        let rate = self.rates.entry(address).or_insert(full);
        *rate = rate.at(now, limits);
        if rate.left < 1.0 {
            return false;
        }
        rate.left -= 1.0;
        true
    }

    /// Gives up a connection that asks for nothing, of one address or of any; `None` if there is none.
    fn evict(&mut self, of: Option<IpAddr>, now: Instant) -> Option<()> {
        let of = self.open.iter().filter(|(_, open)| of.is_none_or(|of| open.address == of));
        let has_lived = |open: &Open| now.saturating_duration_since(open.since) >= LIFE;
        let idle =
            of.filter(|(_, open)| has_lived(open) && open.activity.under_way.load(Relaxed) == 0);
        let longest = idle.min_by_key(|(id, open)| {
            (open.activity.is_heard.load(Relaxed), open.activity.last.load(Relaxed), **id)
        });
        let id = *longest?.0;
        self.remove(id)?.activity.evict();
        Some(())
    }

    fn remove(&mut self, id: u64) -> Option<Open> {
        let open = self.open.remove(&id)?;
        if let Some(count) = self.of_address.get_mut(&open.address) {
            *count -= 1;
            if *count == 0 {
                self.of_address.remove(&open.address);
            }
        }
        Some(open)
    }
}

/// What goes on in a connection.
#[derive(Debug)]
struct Activity {
    began: Instant,
    /// Milliseconds since then, when something last went on.
    last: AtomicU64,
    under_way: AtomicUsize,
    /// Whether it has asked for something.
    is_heard: AtomicBool,
    is_cut: AtomicBool,
    evicted: Notify,
    changed: Notify,
}

impl Activity {
    fn new(began: Instant, now: Instant) -> Self {
        let activity = Self {
            began,
            last: AtomicU64::new(0),
            under_way: AtomicUsize::new(0),
            is_heard: AtomicBool::new(false),
            is_cut: AtomicBool::new(false),
            evicted: Notify::new(),
            changed: Notify::new(),
        };
        activity.touch(now);
        activity
    }

    fn touch(&self, now: Instant) {
        let since = now.saturating_duration_since(self.began).as_millis();
        self.last.store(u64::try_from(since).unwrap_or(u64::MAX), Relaxed);
    }

    fn last(&self) -> Instant {
        self.began + Duration::from_millis(self.last.load(Relaxed))
    }

    fn evict(&self) {
        self.is_cut.store(true, Relaxed);
        self.evicted.notify_one();
    }
}

/// The place of one connection, free again when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    id: u64,
    connections: Connections,
    activity: Arc<Activity>,
    opened: Instant,
}

impl Place {
    /// When it was given up for another.
    pub(super) async fn evicted(&self) {
        self.activity.evicted.notified().await;
    }

    /// When it has lasted too long: said nothing, or nothing more.
    pub(super) async fn overdue(&self) {
        loop {
            let activity = &self.activity;
            let until = match activity.under_way.load(Relaxed) {
                0 if !activity.is_heard.load(Relaxed) => {
                    self.opened + self.connections.0.limits.first_within
                }
                0 => activity.last() + IDLE,
                _ => activity.last() + STALLED,
            };
            if Instant::now() >= until {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep_until(until) => {}
                () = activity.changed.notified() => {}
            }
        }
    }

    /// When no request was under way for so long.
    pub(super) async fn quiet_for(&self, while_: Duration) {
        loop {
            tokio::time::sleep(while_).await;
            if self.activity.under_way.load(Relaxed) == 0 {
                return;
            }
        }
    }

    /// A request has begun; it is under way until what is given is dropped.
    pub(super) fn begin(&self) -> UnderWay {
        self.activity.under_way.fetch_add(1, Relaxed);
        self.activity.is_heard.store(true, Relaxed);
        self.activity.touch(Instant::now());
        self.activity.changed.notify_one();
        UnderWay(Arc::clone(&self.activity))
    }

    /// It is not to be ended politely.
    pub(super) fn cut(&self) {
        self.activity.is_cut.store(true, Relaxed);
    }

    /// Whether somebody may wait for an answer that was given.
    pub(super) fn is_waited_for(&self) -> bool {
        self.activity.is_heard.load(Relaxed) && !self.activity.is_cut.load(Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _gone = self.connections.state().remove(self.id);
        self.connections.0.freed.notify_one();
    }
}

/// A request under way.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Activity>);

impl UnderWay {
    /// Something of it came or went.
    pub(super) fn touch(&self) {
        self.0.touch(Instant::now());
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.touch(Instant::now());
        self.0.under_way.fetch_sub(1, Relaxed);
        self.0.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn connections(connections: usize, of_address: usize, per_second: u32) -> Connections {
        Connections::new(Limits { connections, of_address, per_second, ..Limits::default() })
    }

    /// Scenario: one address opens more connections than it may, some of them at work; then others come to a
    /// door that is full.
    /// Guarantees: whoever is new gets the place of who is silent for longest, never of who is at work or has only just come; where there
    /// is none the new one is refused.
    #[tokio::test]
    async fn the_silent_make_room() {
        let now = Instant::now();
        let door = connections(3, 2, 100);
        let later = |seconds| now + Duration::from_secs(seconds);
        let silent = door.admit(address(1), now).unwrap();
        let working = door.admit(address(1), later(1)).unwrap();
        let first = working.begin();
        let third = door.admit(address(1), later(2)).unwrap();
        silent.evicted().await;
        let _second = third.begin();
        let full = |address, now| door.admit(address, now).map(|_| ()).unwrap_err();
        assert_eq!(
            full(address(1), later(3)),
            NoPlace::OfAddress,
            "both of the address are at work"
        );
        let other = door.admit(address(2), later(4)).unwrap();
        assert_eq!(full(address(3), later(4)), NoPlace::Full, "it has only just come");
        let last = door.admit(address(3), later(5)).unwrap();
        other.evicted().await;
        let _third = last.begin();
        assert_eq!(full(address(4), later(6)), NoPlace::Full, "all are at work");
        drop(first);
        assert!(door.admit(address(4), later(7)).is_ok());
        working.evicted().await;
    }

    /// Scenario: one address opens connections faster than it may, and another comes in between.
    /// Guarantees: only the first is refused, until time has passed; addresses that are quiet are forgotten.
    #[tokio::test]
    async fn addresses_have_a_rate() {
        let now = Instant::now();
        let door = connections(1000, 1000, 5);
        let mut open = Vec::new();
        let mut admitted = |address, now| {
            let before = open.len();
            let admit = || {
                let is_within = door.state().is_within_rate(address, now, door.0.limits);
                is_within.then(|| door.admit(address, now).unwrap())
            };
            open.extend(std::iter::from_fn(admit).take(100));
            open.len() - before
        };
        assert_eq!((admitted(address(1), now), admitted(address(2), now)), (10, 10));
        assert_eq!(admitted(address(1), now + Duration::from_secs(1)), 5);
        let mut state = door.state();
        for number in 0..=u32::try_from(REMEMBERED).unwrap() {
            let address = IpAddr::from((number + (10 << 24)).to_be_bytes());
            state.is_within_rate(address, now, door.0.limits);
        }
        state.is_within_rate(address(3), now + Duration::from_mins(1), door.0.limits);
        assert!(state.rates.len() < 10, "{}", state.rates.len());
    }
}

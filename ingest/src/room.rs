//! Room that clients share: bytes of requests under way, and places to read them in.
//!
//! Who holds much must leave as much free: a client may take more as long as it then holds no more than what
//! is left, and all clients of a door together three times that. So one client alone gets half, and whoever
//! comes next finds room, whatever the others do.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// All clients of a door may hold so many times what is left.
const DOOR_SHARE: usize = 3;

/// Who takes room: a client, by a door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    door: Arc<str>,
    client: IpAddr,
}

impl Holder {
    /// The client at `address`. A host has a whole network of IPv6, so its first half counts.
    pub(crate) fn new(door: &str, address: IpAddr) -> Self {
        Self { door: door.into(), client: host(address) }
    }
}

/// What counts as one client.
pub(crate) fn host(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address @ IpAddr::V4(_) => address,
    }
}

/// A bounded amount of something; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Room(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    free: usize,
    clients: HashMap<IpAddr, usize>,
    doors: HashMap<Arc<str>, usize>,
}

impl Room {
    pub(crate) fn new(amount: usize) -> Self {
        let state = State { free: amount, ..State::default() };
        Self(Arc::new(Shared { state: Mutex::new(state), freed: Notify::new() }))
    }

    /// Nothing yet, to grow.
    pub(crate) fn none(&self, holder: &Holder) -> Held {
        Held { room: self.clone(), holder: holder.clone(), amount: 0 }
    }

    /// `amount`, once that leaves the others their share.
    pub(crate) async fn take_within(
        &self,
        holder: &Holder,
        amount: usize,
        patience: Duration,
    ) -> Option<Held> {
        let mut held = self.none(holder);
        held.grow_within(amount, patience).await.then_some(held)
    }

    /// Everything, whoever has a share in it.
    #[cfg(test)]
    pub(crate) fn take_all(&self) -> Held {
        let mut held = self.none(&Holder::new("test", IpAddr::from([192, 0, 2, 1])));
        held.amount = std::mem::take(&mut self.state().free);
        held
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, holder: &Holder, amount: usize) -> bool {
        let Some(left) = self.free.checked_sub(amount) else { return false };
        let of_client = self.clients.get(&holder.client).copied().unwrap_or(0) + amount;
        let of_door = self.doors.get(&holder.door).copied().unwrap_or(0) + amount;
        if of_client > left || of_door > left.saturating_mul(DOOR_SHARE) {
            return false;
        }
        self.free = left;
        self.clients.insert(holder.client, of_client);
        self.doors.insert(Arc::clone(&holder.door), of_door);
        true
    }

    fn give(&mut self, holder: &Holder, amount: usize) {
        self.free += amount;
        give(&mut self.clients, &holder.client, amount);
        give(&mut self.doors, &holder.door, amount);
    }
}

/// Who holds nothing is forgotten, so that addresses leave nothing behind.
fn give<K: Eq + Hash>(held: &mut HashMap<K, usize>, key: &K, amount: usize) {
    if let Some(of_key) = held.get_mut(key) {
        *of_key = of_key.saturating_sub(amount);
        if *of_key == 0 {
            held.remove(key);
        }
    }
}

/// What somebody holds, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    room: Room,
    holder: Holder,
    amount: usize,
}

impl Held {
    pub(crate) fn amount(&self) -> usize {
        self.amount
    }

    /// Takes more, or nothing.
    pub(crate) fn grow(&mut self, more: usize) -> bool {
        let is_taken = self.room.state().take(&self.holder, more);
        self.amount += if is_taken { more } else { 0 };
        is_taken
    }

    /// As [`Held::grow`], waiting for it.
    pub(crate) async fn grow_within(&mut self, more: usize, patience: Duration) -> bool {
        let room = self.room.clone();
        let taken = async {
            loop {
                let freed = room.0.freed.notified();
                tokio::pin!(freed);
                // What is freed from here on is heard.
                freed.as_mut().enable();
                if self.grow(more) {
                    return;
                }
                freed.await;
            }
        };
        tokio::time::timeout(patience, taken).await.is_ok()
    }

    /// Gives back all but `amount`.
    pub(crate) fn shrink_to(&mut self, amount: usize) {
        let less = self.amount.saturating_sub(amount);
        if less > 0 {
            self.amount = amount;
            self.room.state().give(&self.holder, less);
            self.room.0.freed.notify_waiters();
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.shrink_to(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Room {
        fn take(&self, holder: &Holder, amount: usize) -> Option<Held> {
            let mut held = self.none(holder);
            held.grow(amount).then_some(held)
        }
    }

    fn holder(door: &str, client: u8) -> Holder {
        Holder::new(door, IpAddr::from([192, 0, 2, client]))
    }

    /// Scenario: clients of two doors take one by one until each is refused, in an order that favours the first.
    /// Guarantees: the first gets half and no more; a client and a door that come later find room; what is
    /// given back can be taken again, and nobody is remembered who holds nothing.
    #[test]
    fn whoever_comes_next_finds_room() {
        let room = Room::new(1000);
        let mut held = Vec::new();
        let mut all = |door: &str, client: u8| {
            let before = held.len();
            held.extend(std::iter::from_fn(|| room.take(&holder(door, client), 1)));
            held.len() - before
        };
        assert_eq!(all("audit", 1), 500);
        assert_eq!(all("audit", 2), 250);
        assert_eq!(all("audit", 3), 0);
        assert_eq!(all("otlp", 4), 125);
        assert_eq!(all("otlp", 1), 0);
        drop(held);
        assert!(room.state().clients.is_empty() && room.state().doors.is_empty());
        assert_eq!(room.take(&holder("audit", 1), 500).map(|held| held.amount()), Some(500));
    }

    /// Scenario: clients with many addresses of IPv6, and IPv4 in IPv6.
    /// Guarantees: a network of 64 bits is one client, and an address in two spellings is one.
    #[test]
    fn a_network_is_one_client() {
        let client = |text: &str| host(text.parse().unwrap());
        assert_eq!(client("2001:db8::1"), client("2001:db8::ffff:1"));
        assert_ne!(client("2001:db8::1"), client("2001:db8:0:1::1"));
        assert_eq!(client("::ffff:192.0.2.1"), client("192.0.2.1"));
        assert_ne!(client("192.0.2.1"), client("192.0.2.2"));
    }

    /// Scenario: somebody waits for room that another holds, and somebody for room that nobody gives back.
    /// Guarantees: the first gets it when it is given back, the second is told that there is none.
    #[tokio::test]
    async fn room_is_waited_for() {
        let room = Room::new(2);
        let first = room.take(&holder("audit", 1), 1).unwrap();
        let (one, two) = (holder("audit", 2), holder("audit", 3));
        let waiting = room.take_within(&one, 1, Duration::from_hours(1));
        let giving = async { drop(first) };
        let (held, ()) = tokio::join!(waiting, giving);
        assert_eq!(held.map(|held| held.amount()), Some(1));
        assert!(room.take_within(&two, 2, Duration::ZERO).await.is_none());
    }
}

//! The places that connections take: who holds one, since when, and who must make room.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::ConnectionLimits;
use crate::http::meter::{Closed, DoorMeter};

/// What a connection is doing while no request is in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Waiting {
    /// For the end of the TLS handshake.
    Handshake = 0,
    /// For the first request, or for the rest of a request's head.
    Head = 1,
    /// For the next request.
    Idle = 2,
    /// For the client to stop sending what nobody will read.
    Linger = 3,
}

/// Time for a refused sender to stop and to read its answer. Closing at once would reset the connection, and the
/// sender would see a network error, which it repeats, instead of the answer, which it does not.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);

impl Waiting {
    fn from_u8(value: u8) -> Self {
        match value {
            0 => Self::Handshake,
            1 => Self::Head,
            2 => Self::Idle,
            _ => Self::Linger,
        }
    }
}

/// One connection as the sweeper sees it. Written by the connection's task, read by the sweeper.
#[derive(Debug)]
pub(super) struct Seat {
    number: u64,
    network: IpAddr,
    waiting: AtomicU8,
    /// Milliseconds since `epoch` at which `waiting` began.
    since_ms: AtomicU64,
    /// Requests in progress, until the last byte of the response is taken.
    requests: AtomicU32,
    /// Milliseconds since `epoch` at which the client stopped taking bytes; 0 while it takes them.
    write_stalled_ms: AtomicU64,
    /// HTTP/2 sends frames between requests too: bytes alone do not mean that a request begins.
    http2: AtomicBool,
    /// The last answer was given before its request was read.
    unread: AtomicBool,
    why_closed: OnceLock<Closed>,
    pub(super) close: CancellationToken,
}

impl Seat {
    pub(super) fn now_waiting_for(&self, waiting: Waiting) {
        self.waiting.store(waiting as u8, Ordering::Relaxed);
        self.since_ms.store(now_ms(), Ordering::Relaxed);
    }

    /// Bytes came in: after a pause between requests they begin the next one.
    pub(super) fn bytes_came(&self) {
        let idle = self.requests.load(Ordering::Relaxed) == 0
            && Waiting::from_u8(self.waiting.load(Ordering::Relaxed)) == Waiting::Idle;
        if idle && !self.http2.load(Ordering::Relaxed) {
            self.now_waiting_for(Waiting::Head);
        }
    }

    /// The request that was just answered still has a body under way, which nobody will read.
    pub(super) fn leaves_request_unread(&self) {
        self.unread.store(true, Ordering::Relaxed);
    }

    /// Whether the end must wait for the client, and begins that wait.
    pub(super) fn lingers(&self) -> bool {
        let lingers = self.unread.load(Ordering::Relaxed);
        if lingers && Waiting::from_u8(self.waiting.load(Ordering::Relaxed)) != Waiting::Linger {
            self.now_waiting_for(Waiting::Linger);
        }
        lingers
    }

    pub(super) fn request_begins(&self, http2: bool) {
        if http2 {
            self.http2.store(true, Ordering::Relaxed);
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn request_ends(&self) {
        // The time first: a sweep in between must not see an old one.
        self.now_waiting_for(Waiting::Idle);
        self.requests.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn write_stalls(&self) {
        let _ =
            self.write_stalled_ms.compare_exchange(0, now_ms().max(1), Ordering::Relaxed, Ordering::Relaxed);
    }

    pub(super) fn write_flows(&self) {
        if self.write_stalled_ms.load(Ordering::Relaxed) != 0 {
            self.write_stalled_ms.store(0, Ordering::Relaxed);
        }
    }

    /// Why it must be closed now, if it must.
    fn overdue(&self, limits: &ConnectionLimits, now_ms: u64) -> Option<Closed> {
        let passed =
            |since: u64, limit: Duration| u128::from(now_ms.saturating_sub(since)) >= limit.as_millis();
        let stalled = self.write_stalled_ms.load(Ordering::Relaxed);
        if stalled != 0 && passed(stalled, limits.write_timeout) {
            return Some(Closed::WriteTimeout);
        }
        if self.requests.load(Ordering::Relaxed) > 0 {
            return None;
        }
        let since = self.since_ms.load(Ordering::Relaxed);
        let (limit, why) = match Waiting::from_u8(self.waiting.load(Ordering::Relaxed)) {
            Waiting::Handshake => (limits.tls_handshake_timeout, Closed::HandshakeTimeout),
            Waiting::Head => (limits.header_timeout, Closed::HeaderTimeout),
            Waiting::Idle => (limits.idle_timeout, Closed::IdleTimeout),
            Waiting::Linger => (LINGER_TIMEOUT, Closed::LingerTimeout),
        };
        passed(since, limit).then_some(why)
    }
}

/// All connections, at most as many as the limits allow.
#[derive(Debug)]
pub(super) struct Places {
    limits: ConnectionLimits,
    meter: DoorMeter,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    next_number: u64,
    seats: HashMap<u64, Arc<Seat>>,
    by_network: HashMap<IpAddr, usize>,
}

/// A place that is taken; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) seat: Arc<Seat>,
    places: Arc<Places>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.give_back(&self.seat);
    }
}

impl Places {
    pub(super) fn new(limits: ConnectionLimits, meter: DoorMeter) -> Self {
        Self { limits, meter, taken: Mutex::default() }
    }

    pub(super) fn meter(&self) -> &DoorMeter {
        &self.meter
    }

    /// Takes a place for a new connection, displacing the one that has waited longest if need be. `None` where every
    /// place is taken by a request in progress.
    pub(super) fn admit(self: &Arc<Self>, ip: IpAddr, with_handshake: bool) -> Option<Place> {
        let network = network_of(ip);
        let mut taken = self.lock();
        let from_here = taken.by_network.get(&network).copied().unwrap_or(0);
        let makes_room = if from_here >= self.limits.connections_per_ip {
            taken.longest_waiting(|seat| seat.network == network).map(Some)
        } else if taken.seats.len() >= self.limits.connections {
            taken.longest_waiting(|_| true).map(Some)
        } else {
            Some(None)
        };
        let Some(displaced) = makes_room else {
            drop(taken);
            self.meter.closed(Closed::Refused);
            return None;
        };
        if let Some(displaced) = displaced {
            // Its number is free at once; its task ends when it gets to it.
            taken.remove(&displaced);
            self.close(&displaced, Closed::Displaced);
        }
        let number = taken.next_number;
        taken.next_number += 1;
        let waiting = if with_handshake { Waiting::Handshake } else { Waiting::Head };
        let seat = Arc::new(Seat {
            number,
            network,
            waiting: AtomicU8::new(waiting as u8),
            since_ms: AtomicU64::new(now_ms()),
            requests: AtomicU32::new(0),
            write_stalled_ms: AtomicU64::new(0),
            http2: AtomicBool::new(false),
            unread: AtomicBool::new(false),
            why_closed: OnceLock::new(),
            close: CancellationToken::new(),
        });
        taken.seats.insert(number, Arc::clone(&seat));
        *taken.by_network.entry(network).or_insert(0) += 1;
        self.meter.opened();
        Some(Place { seat, places: Arc::clone(self) })
    }

    /// Closes every connection that has overrun a limit.
    pub(super) fn sweep(&self) {
        let now = now_ms();
        let overdue: Vec<(Arc<Seat>, Closed)> = self
            .lock()
            .seats
            .values()
            .filter_map(|seat| Some((Arc::clone(seat), seat.overdue(&self.limits, now)?)))
            .collect();
        for (seat, why) in overdue {
            self.close(&seat, why);
        }
    }

    /// Closes every connection, and says how many there were.
    pub(super) fn close_all(&self, why: Closed) -> usize {
        let all: Vec<Arc<Seat>> = self.lock().seats.values().cloned().collect();
        for seat in &all {
            self.close(seat, why);
        }
        all.len()
    }

    fn close(&self, seat: &Seat, why: Closed) {
        if seat.why_closed.set(why).is_ok() {
            self.meter.closed(why);
            seat.close.cancel();
        }
    }

    fn give_back(&self, seat: &Seat) {
        self.lock().remove(seat);
        self.meter.gone();
    }

    /// A panic elsewhere leaves whole entries behind, so a poisoned lock is still sound.
    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// The connection without a request that has waited longest. A look at each is cheap against what a connection
    /// costs, and only happens when places are scarce.
    fn longest_waiting(&self, of: impl Fn(&Seat) -> bool) -> Option<Arc<Seat>> {
        self.seats
            .values()
            .filter(|seat| of(seat) && seat.requests.load(Ordering::Relaxed) == 0)
            .min_by_key(|seat| (seat.since_ms.load(Ordering::Relaxed), seat.number))
            .cloned()
    }

    fn remove(&mut self, seat: &Seat) {
        if self.seats.remove(&seat.number).is_none() {
            return;
        }
        if let Some(count) = self.by_network.get_mut(&seat.network) {
            *count -= 1;
            if *count == 0 {
                self.by_network.remove(&seat.network);
            }
        }
    }
}

/// Who counts as one caller: an IPv4 address, or an IPv6 network of 64 bits, all of which one host can use.
fn network_of(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
    }
}

/// Milliseconds since the first connection of the process. Monotonic: a wrong wall clock closes nothing.
fn now_ms() -> u64 {
    static EPOCH: OnceLock<Instant> = OnceLock::new();
    let elapsed = EPOCH.get_or_init(Instant::now).elapsed();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mk_places(connections: usize, connections_per_ip: usize) -> Arc<Places> {
        let limits = ConnectionLimits {
            connections,
            connections_per_ip,
            tls_handshake_timeout: Duration::ZERO,
            header_timeout: Duration::ZERO,
            header_bytes: 8192,
            headers: 10,
            idle_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
            shutdown_grace: Duration::ZERO,
        };
        Arc::new(Places::new(limits, DoorMeter::default()))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn the_longest_waiting_makes_room_and_requests_in_progress_do_not() {
        let places = mk_places(2, 2);
        let first = places.admit(ip("192.0.2.1"), false).expect("there is room");
        let second = places.admit(ip("192.0.2.2"), false).expect("there is room");
        first.seat.request_begins(false);
        let third = places.admit(ip("192.0.2.3"), false).expect("the second makes room");
        assert!(second.seat.close.is_cancelled() && !first.seat.close.is_cancelled());
        third.seat.request_begins(false);
        assert!(places.admit(ip("192.0.2.4"), false).is_none(), "everybody is busy");
        assert_eq!(places.meter().connections_closed(Closed::Displaced), 1);
        assert_eq!(places.meter().connections_closed(Closed::Refused), 1);
        drop(first);
        assert!(places.admit(ip("192.0.2.4"), false).is_some());
    }

    #[test]
    fn one_address_only_takes_from_itself() {
        let places = mk_places(10, 2);
        let other = places.admit(ip("192.0.2.9"), false).expect("there is room");
        let mine: Vec<Place> =
            (0..5).map(|_| places.admit(ip("::ffff:192.0.2.1"), false).expect("its own make room")).collect();
        assert!(!other.seat.close.is_cancelled());
        assert_eq!(mine.iter().filter(|place| !place.seat.close.is_cancelled()).count(), 2);
        drop(mine);
        assert_eq!(places.meter().connections_open(), 1);
        assert_eq!(places.lock().by_network.len(), 1, "nothing is remembered of addresses that left");
    }

    #[test]
    fn an_ipv6_host_cannot_multiply_itself() {
        assert_eq!(network_of(ip("2001:db8::1")), network_of(ip("2001:db8::ffff:1")));
        assert_ne!(network_of(ip("2001:db8::1")), network_of(ip("2001:db8:0:1::1")));
    }

    #[test]
    fn a_sweep_closes_what_is_overdue_and_leaves_requests_alone() {
        let places = mk_places(10, 10);
        let (slow, busy, idle) = (
            places.admit(ip("192.0.2.1"), true),
            places.admit(ip("192.0.2.2"), false),
            places.admit(ip("192.0.2.3"), false),
        );
        let (slow, busy, idle) = (slow.expect("room"), busy.expect("room"), idle.expect("room"));
        busy.seat.request_begins(false);
        idle.seat.request_begins(false);
        idle.seat.request_ends();
        places.sweep();
        assert_eq!(slow.seat.why_closed.get(), Some(&Closed::HandshakeTimeout));
        assert!(!busy.seat.close.is_cancelled() && !idle.seat.close.is_cancelled());
    }
}

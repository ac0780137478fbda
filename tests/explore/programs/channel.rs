//! Messages: each that was sent arrives once, at the one who has waited longest, in the order in which they were sent.

use super::MOST_FIBERS;
use crate::baton::Mutex;
use crate::dice::{choose, note};
use crate::machine::{is_alone, point, some_deadline, until};
use crate::stage::Stage;
use core::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use kfiber::platform::NEVER;
use kfiber::scheduler::current_name;
use kfiber::sync::{Channel, RecvError, SendError, SendErrorKind};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// What is believed of the channel; exact where nothing else runs at the same time.
#[derive(Default)]
struct Belief {
    /// Messages that nobody has: as many as there is room for, and then those of the senders who wait.
    order: VecDeque<usize>,
    receivers: VecDeque<usize>,
    given: BTreeMap<usize, usize>,
    /// Messages of senders who waited when the channel was closed.
    rejected: BTreeSet<usize>,
    is_closed: bool,
}

struct Bench<const CAP: usize> {
    channel: Channel<usize, CAP>,
    belief: Mutex<Belief>,
    numbers: AtomicUsize,
    sent: Mutex<BTreeSet<usize>>,
    received: Mutex<BTreeSet<usize>>,
    /// What the device may still send and receive.
    left: AtomicUsize,
}

impl<const CAP: usize> Bench<CAP> {
    fn believe<R>(&self, f: impl FnOnce(&mut Belief) -> R) -> R {
        f(&mut self.belief.lock().expect("no holder panics"))
    }

    fn number(&self) -> usize {
        self.numbers.fetch_add(1, SeqCst)
    }

    fn send(&self, waits: bool) {
        let message = self.number();
        let deadline = if waits { some_deadline() } else { 0 };
        let is_open = self.believe(|belief| {
            if belief.is_closed {
                return false;
            }
            match belief.receivers.pop_front() {
                Some(receiver) => {
                    belief.given.insert(receiver, message);
                }
                None => belief.order.push_back(message),
            }
            true
        });
        let result = if waits && deadline == NEVER {
            self.channel.send(message)
        } else if waits {
            let send = || self.channel.send_until(message, deadline);
            until(
                deadline,
                send,
                |result| matches!(result, Err(error) if error.kind == SendErrorKind::TimedOut),
            )
        } else {
            self.channel.try_send(message)
        };
        note(|| format!("{} sends {message}: {}", current_name(), result.is_ok()));
        let is_sent = self.believe(|belief| {
            let place = belief.order.iter().position(|other| *other == message);
            let waits = place.filter(|place| *place >= CAP);
            if let Some(place) = waits {
                belief.order.remove(place);
            }
            is_open && waits.is_none() && !belief.rejected.remove(&message)
        });
        match result {
            Ok(()) => {
                self.sent.lock().expect("no holder panics").insert(message);
            }
            Err(SendError { message: back, .. }) => assert_eq!(back, message),
        }
        assert!(
            !is_alone() || is_sent == result.is_ok(),
            "{message} is sent"
        );
    }

    fn receive(&self, waits: bool) -> Result<usize, RecvError> {
        let deadline = if waits { some_deadline() } else { 0 };
        let ticket = self.number();
        self.believe(|belief| match belief.order.pop_front() {
            Some(message) => {
                belief.given.insert(ticket, message);
            }
            None if belief.is_closed => {}
            None => belief.receivers.push_back(ticket),
        });
        let result = if waits && deadline == NEVER {
            self.channel.recv()
        } else if waits {
            let receive = || self.channel.recv_until(deadline);
            until(deadline, receive, |result| {
                *result == Err(RecvError::TimedOut)
            })
        } else {
            self.channel.try_recv()
        };
        note(|| format!("{} receives {result:?}", current_name()));
        let expected = self.believe(|belief| {
            belief.receivers.retain(|other| *other != ticket);
            belief.given.remove(&ticket)
        });
        assert!(
            !is_alone() || expected == result.ok(),
            "is to be {expected:?}"
        );
        if let Ok(message) = result {
            let is_new = self
                .received
                .lock()
                .expect("no holder panics")
                .insert(message);
            assert!(is_new, "{message} was received twice");
        }
        result
    }

    fn close(&self) {
        self.believe(|belief| {
            belief.is_closed = true;
            belief.receivers.clear();
            let kept = belief.order.len().min(CAP);
            belief.rejected.extend(belief.order.drain(kept..));
        });
        self.channel.close();
    }
}

pub(super) fn play<const CAP: usize>(stage: &mut Stage) {
    let bench = Arc::new(Bench::<CAP> {
        channel: Channel::new(),
        belief: Mutex::default(),
        numbers: AtomicUsize::new(0),
        sent: Mutex::default(),
        received: Mutex::default(),
        left: AtomicUsize::new(4 + choose(8)),
    });
    for _ in 0..2 + choose(MOST_FIBERS - 1) {
        let bench = bench.clone();
        let (rounds, sends) = (1 + choose(4), choose(2) == 1);
        stage.fiber("of the channel", move || {
            for _ in 0..rounds {
                let waits = choose(4) != 3;
                if sends {
                    bench.send(waits);
                } else {
                    let _received = bench.receive(waits);
                }
                point();
            }
        });
        stage.that_may_be_cancelled();
    }
    let device = bench.clone();
    stage.device(move || {
        if device.left.load(SeqCst) == 0 {
            // From now on nobody waits.
            let is_closed = device.channel.is_closed();
            device.close();
            return !is_closed;
        }
        device.left.fetch_sub(1, SeqCst);
        if choose(2) == 1 {
            device.send(false);
        } else {
            let _received = device.receive(false);
        }
        true
    });
    stage.end(move || {
        while bench.receive(false).is_ok() {}
        assert_eq!(
            *bench.sent.lock().expect("no holder panics"),
            *bench.received.lock().expect("no holder panics"),
            "what was sent and what was received"
        );
    });
}

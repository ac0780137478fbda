//! What is given to a fiber after it decided to give up and before it left the line: it must not be lost.
//!
//! The decision is made by a look at the clock, so here the clock is what meddles: as an interrupt would.

use core::sync::atomic::{AtomicU32, Ordering::Relaxed};
use kfiber::platform::{Core, Host, Nanoseconds, Platform};
use kfiber::scheduler::{FiberPool, Scheduler, WaitError};
use kfiber::sync::bitflags::bitflags;
use kfiber::sync::{Channel, Condvar, Event, Mutex, Semaphore, WaitQueue, Wanted};

/// A platform whose clock calls a function when it is next looked at.
struct Meddler {
    host: Host,
    meddle: std::sync::Mutex<Option<fn()>>,
}

impl Meddler {
    const fn new() -> Self {
        Self {
            host: Host::new(),
            meddle: std::sync::Mutex::new(None),
        }
    }

    fn at_the_next_look(&self, meddle: fn()) {
        *self.meddle.lock().unwrap() = Some(meddle);
    }
}

// SAFETY: all that matters is `Host`'s.
unsafe impl Platform for Meddler {
    fn now(&self) -> Nanoseconds {
        let meddle = self.meddle.lock().unwrap().take();
        if let Some(meddle) = meddle {
            Host::interrupt(meddle);
        }
        self.host.now()
    }

    fn set_timer(&self, deadline: Nanoseconds) {
        self.host.set_timer(deadline);
    }

    fn idle(&self) {
        self.host.idle();
    }

    fn kick(&self, core: Core) {
        self.host.kick(core);
    }
}

/// A scheduler, cells, and what `wait` returns when `meddle` runs while it gives up.
macro_rules! meddled {
    ($meddle:expr, $wait:expr) => {{
        static S: Scheduler<Meddler> = Scheduler::new(Meddler::new());
        static CELLS: FiberPool<65536, 2> = FiberPool::new();
        let fiber = S
            .spawn(&CELLS, || {
                S.platform().at_the_next_look($meddle);
                $wait
            })
            .unwrap();
        S.run();
        assert!(S.platform().meddle.lock().unwrap().is_none());
        fiber.try_join().unwrap()
    }};
}

#[test]
fn a_permit() {
    static PERMITS: Semaphore = Semaphore::new(0);
    let waited = meddled!(
        || PERMITS.release(1).unwrap(),
        PERMITS.acquire_until(0).map(|()| PERMITS.available())
    );
    assert_eq!(waited, Ok(0));
}

#[test]
fn a_message() {
    static CHANNEL: Channel<u32, 1> = Channel::new();
    let received = meddled!(|| CHANNEL.try_send(7).unwrap(), CHANNEL.recv_until(0));
    assert_eq!(received, Ok(7));
    assert!(CHANNEL.is_empty());
}

#[test]
fn room_for_a_message() {
    static CHANNEL: Channel<u32, 1> = Channel::new();
    CHANNEL.try_send(1).unwrap();
    let sent = meddled!(
        || assert_eq!(CHANNEL.try_recv(), Ok(1)),
        CHANNEL.send_until(2, 0).is_ok()
    );
    assert!(sent);
    assert_eq!(CHANNEL.try_recv(), Ok(2));
}

#[test]
fn a_closed_channel() {
    static CHANNEL: Channel<u32, 0> = Channel::new();
    let error = meddled!(|| CHANNEL.close(), CHANNEL.send_until(2, 0).unwrap_err());
    assert_eq!(error.message, 2);
}

#[test]
fn flags() {
    bitflags! {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        struct Flags: u32 {
            const WANTED = 1;
            const OTHER = 2;
        }
    }
    static EVENT: Event<Flags> = Event::new(Flags::empty());
    let found = meddled!(
        || assert_eq!(EVENT.set(Flags::all()), Flags::OTHER),
        EVENT.wait_until(Wanted::any(Flags::WANTED).and_clear(), 0)
    );
    assert_eq!(found, Ok(Flags::WANTED));
}

#[test]
fn a_notification() {
    static VALUE: Mutex<()> = Mutex::new(());
    static CHANGED: Condvar = Condvar::new();
    let waited = meddled!(
        || assert!(CHANGED.notify_one()),
        CHANGED.wait_until(&mut VALUE.lock(), 0)
    );
    assert_eq!(waited, Ok(()));
}

#[test]
fn a_wake_of_a_queue_is_passed_on() {
    static S: Scheduler<Meddler> = Scheduler::new(Meddler::new());
    static CELLS: FiberPool<65536, 2> = FiberPool::new();
    static QUEUE: WaitQueue = WaitQueue::new();
    static TICKETS: AtomicU32 = AtomicU32::new(0);
    let late = S
        .spawn(&CELLS, || {
            // The other one is behind it in the queue by the time that it gives up.
            QUEUE.wait_while_until(10, || {
                let other_is_there = S.fibers().count() == 2;
                if other_is_there && S.platform().host.now() >= 10 {
                    S.platform().at_the_next_look(|| {
                        TICKETS.store(1, Relaxed);
                        assert!(QUEUE.wake_one());
                    });
                }
                true
            })
        })
        .unwrap();
    S.run_until_idle();
    let other = S
        .spawn(&CELLS, || {
            QUEUE.wait_while(|| TICKETS.swap(0, Relaxed) != 1).unwrap();
        })
        .unwrap();
    S.run_until_idle();
    S.platform().host.advance(10);
    // A wake makes the first enter again, behind the other; a second one makes the other do so.
    QUEUE.wake_one();
    QUEUE.wake_one();
    S.run();
    assert_eq!(late.try_join().unwrap(), Err(WaitError::TimedOut));
    other.try_join().unwrap();
}

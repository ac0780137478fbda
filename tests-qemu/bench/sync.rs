//! Semaphore, mutex and channel: with nobody waiting, and with a switch for each wait.

use kfiber::scheduler::FiberCell;
use kfiber::sync::{Channel, Mutex, Semaphore};

use crate::counter::measure_here;
use crate::scheduler::SCHEDULER;
use crate::yields::with_others;

static OTHER: FiberCell<4096> = FiberCell::new();

static ALONE: Semaphore = Semaphore::new(0);
static PING: Semaphore = Semaphore::new(0);
static PONG: Semaphore = Semaphore::new(0);
static MUTEX: Mutex<u64> = Mutex::new(0);

/// Sixteen bytes, as the other kernels' messages.
type Message = [u32; 4];
static MESSAGES: Channel<Message, 8> = Channel::new();
static QUESTIONS: Channel<Message, 8> = Channel::new();
static ANSWERS: Channel<Message, 8> = Channel::new();

pub(crate) fn measure() {
    with_others(0, || {
        measure_here("semaphore_alone", 1, || {
            assert!(ALONE.release(1).is_ok(), "there is room");
            assert!(ALONE.acquire().is_ok(), "nobody cancels");
        });
        measure_here("mutex_alone", 1, || drop(MUTEX.lock()));
        semaphore_ping_pong();
        measure_here("message_alone", 1, || {
            assert!(MESSAGES.send([1, 2, 3, 4]).is_ok(), "there is room");
            assert!(matches!(MESSAGES.recv(), Ok([.., 4])), "it arrives");
        });
        message_ping_pong();
    });
}

/// A round trip: two releases, two waits, two switches.
fn semaphore_ping_pong() {
    let other = SCHEDULER.spawn(&OTHER, || {
        while PING.acquire().is_ok() {
            assert!(PONG.release(1).is_ok(), "there is room");
        }
    });
    let other = other.expect("nobody else uses the cell");
    measure_here("semaphore_ping_pong", 1, || {
        assert!(PING.release(1).is_ok(), "there is room");
        assert!(PONG.acquire().is_ok(), "nobody cancels");
    });
    other.cancel();
    assert!(other.join().is_ok(), "it ends when asked to");
}

/// A round trip: two messages sent, two received, two switches.
fn message_ping_pong() {
    let other = SCHEDULER.spawn(&OTHER, || {
        while let Ok(message) = QUESTIONS.recv() {
            assert!(ANSWERS.send(message).is_ok(), "there is room");
        }
    });
    let other = other.expect("nobody else uses the cell");
    measure_here("message_ping_pong", 1, || {
        assert!(QUESTIONS.send([1, 2, 3, 4]).is_ok(), "there is room");
        assert!(matches!(ANSWERS.recv(), Ok([.., 4])), "it comes back");
    });
    other.cancel();
    assert!(other.join().is_ok(), "it ends when asked to");
}

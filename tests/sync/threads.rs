//! Two schedulers in two threads that share what their fibers wait for.

use crate::world;
use kfiber::scheduler;
use kfiber::sync::{Channel, Mutex, Semaphore, WaitQueue};
use std::thread;

const ROUNDS: u32 = if cfg!(any(miri, kfiber_threads)) {
    20
} else {
    300
};

#[test]
fn permits_go_back_and_forth() {
    world!(A, CELLS_A);
    world!(B, CELLS_B);
    static PING: Semaphore = Semaphore::new(0);
    static PONG: Semaphore = Semaphore::new(0);
    A.spawn(&CELLS_A, || {
        for _ in 0..ROUNDS {
            PING.release(1).unwrap();
            PONG.acquire().unwrap();
        }
    })
    .unwrap()
    .detach();
    B.spawn(&CELLS_B, || {
        for _ in 0..ROUNDS {
            PING.acquire().unwrap();
            PONG.release(1).unwrap();
        }
    })
    .unwrap()
    .detach();
    thread::scope(|scope| {
        scope.spawn(|| A.run());
        scope.spawn(|| B.run());
    });
    assert_eq!((PING.available(), PONG.available()), (0, 0));
}

#[test]
fn a_mutex_keeps_threads_apart() {
    world!(A, CELLS_A);
    world!(B, CELLS_B);
    static VALUE: Mutex<u32> = Mutex::new(0);
    fn count() {
        for _ in 0..ROUNDS {
            let mut value = VALUE.lock();
            let before = *value;
            if before.is_multiple_of(3) {
                scheduler::yield_now();
            }
            *value = before + 1;
        }
    }
    for _ in 0..2 {
        A.spawn(&CELLS_A, count).unwrap().detach();
        B.spawn(&CELLS_B, count).unwrap().detach();
    }
    thread::scope(|scope| {
        scope.spawn(|| A.run());
        scope.spawn(|| B.run());
    });
    let total = A.spawn(&CELLS_A, || *VALUE.lock()).unwrap();
    A.run();
    assert_eq!(total.try_join().unwrap(), 4 * ROUNDS);
}

#[test]
fn a_queue_wakes_across_threads() {
    use core::sync::atomic::{AtomicU32, Ordering::SeqCst};
    world!(A, CELLS_A);
    world!(B, CELLS_B);
    static TURN: AtomicU32 = AtomicU32::new(0);
    static QUEUE: WaitQueue = WaitQueue::new();
    fn play(parity: u32) {
        for round in 0..ROUNDS {
            let mine = 2 * round + parity;
            QUEUE.wait_while(|| TURN.load(SeqCst) != mine).unwrap();
            TURN.fetch_add(1, SeqCst);
            QUEUE.wake_all();
        }
    }
    A.spawn(&CELLS_A, || play(0)).unwrap().detach();
    B.spawn(&CELLS_B, || play(1)).unwrap().detach();
    thread::scope(|scope| {
        scope.spawn(|| A.run());
        scope.spawn(|| B.run());
    });
    assert_eq!(TURN.load(SeqCst), 2 * ROUNDS);
}

#[test]
fn messages_cross_threads() {
    world!(A, CELLS_A);
    world!(B, CELLS_B);
    static CHANNEL: Channel<u32, 2> = Channel::new();
    for sender in 0..2 {
        A.spawn(&CELLS_A, move || {
            for round in 0..ROUNDS {
                CHANNEL.send(2 * round + sender).unwrap();
            }
        })
        .unwrap()
        .detach();
    }
    let receivers = [(); 2].map(|()| {
        B.spawn(&CELLS_B, || {
            let numbers = (0..ROUNDS).map(|_| u64::from(CHANNEL.recv().unwrap()));
            numbers.sum::<u64>()
        })
        .unwrap()
    });
    thread::scope(|scope| {
        scope.spawn(|| A.run());
        scope.spawn(|| B.run());
    });
    let sum: u64 = receivers
        .map(|fiber| fiber.try_join().unwrap())
        .iter()
        .sum();
    assert_eq!(sum, (0..u64::from(2 * ROUNDS)).sum());
}

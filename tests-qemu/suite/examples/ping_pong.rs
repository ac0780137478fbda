//! Two fibers and two semaphores: each waits for the other's turn to end.

use kfiber::scheduler::{FiberCell, Scheduler};
use kfiber::sync::Semaphore;
use tests_qemu::platform::{self, Bare};

static SCHEDULER: Scheduler<Bare> = Scheduler::new(platform::bare());
static PLAYERS: [FiberCell<{ 16 * 1024 }>; 2] = [const { FiberCell::new() }; 2];

static PING: Semaphore = Semaphore::new(1); // the first turn is free
static PONG: Semaphore = Semaphore::new(0);

pub(super) fn run(rounds: u32) -> u32 {
    let ping = SCHEDULER
        .builder()
        .name("ping")
        .spawn(&PLAYERS[0], move || {
            for _ in 0..rounds {
                PING.acquire().expect("nobody cancels us");
                PONG.release(1).expect("one permit at most");
            }
        });
    let pong = SCHEDULER
        .builder()
        .name("pong")
        .spawn(&PLAYERS[1], move || {
            let mut returned = 0;
            for _ in 0..rounds {
                PONG.acquire().expect("nobody cancels us");
                returned += 1;
                PING.release(1).expect("one permit at most");
            }
            returned
        });
    ping.expect("the cell is free").detach();
    let pong = pong.expect("the cell is free");
    SCHEDULER.run();
    pong.try_join().expect("`run` returns when all have ended")
}

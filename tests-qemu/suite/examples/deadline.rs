//! A request that may take too long: whoever asked waits so long and no longer, and then cancels it.

use core::time::Duration;
use kfiber::scheduler::{self, FiberCell, FiberPool, Scheduler, WaitError};
use tests_qemu::interrupts;
use tests_qemu::platform::{self, Bare};

static SCHEDULER: Scheduler<Bare> = Scheduler::new(platform::bare());
static CLIENT: FiberCell<{ 32 * 1024 }> = FiberCell::new();
static SERVERS: FiberPool<{ 16 * 1024 }, 1> = FiberPool::new();

/// Answers, after a while.
fn serve(takes: Duration, answer: &'static str) -> Result<&'static str, WaitError> {
    scheduler::sleep(takes)?; // an error if we are cancelled: then nobody wants the answer
    Ok(answer)
}

/// Asks, and gives up after 20 milliseconds.
fn ask(takes: Duration, answer: &'static str) -> Option<&'static str> {
    let server = SCHEDULER
        .spawn(&SERVERS, move || serve(takes, answer))
        .expect("the last one has ended");
    match server.join_timeout(Duration::from_millis(20)) {
        Ok(answered) => answered.ok(),
        Err(late) => {
            late.handle.cancel();
            // It notices at once, and its cell is free for the next.
            assert_eq!(
                late.handle.join().expect("nobody cancels us"),
                Err(WaitError::Cancelled)
            );
            None
        }
    }
}

pub(super) fn run() -> (Option<&'static str>, Option<&'static str>) {
    interrupts::on_tick(|_frame| SCHEDULER.timer_interrupt());
    let client = SCHEDULER.spawn(&CLIENT, || {
        let quick = ask(Duration::from_millis(1), "quick");
        (quick, ask(Duration::from_secs(3600), "slow"))
    });
    let client = client.expect("the cell is free");
    SCHEDULER.run();
    client
        .try_join()
        .expect("`run` returns when all have ended")
}

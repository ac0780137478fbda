//! Three stages over two channels; a closed channel tells the next stage that nothing more will come.

use kfiber::scheduler::{FiberPool, Scheduler};
use kfiber::sync::Channel;
use tests_qemu::platform::{self, Bare};

static SCHEDULER: Scheduler<Bare> = Scheduler::new(platform::bare());
static STAGES: FiberPool<{ 16 * 1024 }, 3> = FiberPool::new();

static WORDS: Channel<&str, 2> = Channel::new();
static NUMBERS: Channel<u32, 2> = Channel::new();

pub(super) fn run() -> u32 {
    let read = SCHEDULER.builder().name("read").spawn(&STAGES, || {
        for word in "1 2 three 3 4 5".split(' ') {
            WORDS.send(word).expect("the next stage is there"); // waits while the channel is full
        }
        WORDS.close();
    });
    let parse = SCHEDULER.builder().name("parse").spawn(&STAGES, || {
        while let Ok(word) = WORDS.recv() {
            if let Ok(number) = word.parse() {
                NUMBERS.send(number).expect("the next stage is there");
            }
        }
        NUMBERS.close();
    });
    let sum = SCHEDULER.builder().name("sum").spawn(&STAGES, || {
        let mut sum = 0;
        while let Ok(number) = NUMBERS.recv() {
            sum += number * number;
        }
        sum
    });
    read.expect("a cell is free").detach();
    parse.expect("a cell is free").detach();
    let sum = sum.expect("a cell is free");
    SCHEDULER.run();
    sum.try_join().expect("`run` returns when all have ended")
}

//! What programs do with a scheduler, on one core: in fibers, in tasks of an async runtime, and in threads.

mod fibers;
#[cfg(feature = "c-compiler")]
mod may;
mod tasks;
mod threads;

use crate::bench::Plan;

/// Everybody's.
pub(crate) fn plans() -> Vec<Plan> {
    let mut plans = fibers::plans();
    plans.extend(tasks::plans());
    plans.extend(threads::plans());
    #[cfg(feature = "c-compiler")]
    plans.extend(may::plans());
    plans
}

/// A message of 16 bytes: a word, and another that must come back unchanged.
pub(crate) type Message = (usize, usize);

/// Times the exchange of messages: each number goes out and comes back plus one.
macro_rules! exchange {
    ($laps:expr, |$message:ident| $send:expr, $receive:expr) => {{
        let laps: usize = $laps;
        let start = std::time::Instant::now();
        let mut sum = 0_usize;
        for number in 0..laps {
            let $message: $crate::operations::Message = (number, !number);
            $send;
            let (answer, unchanged): $crate::operations::Message = $receive;
            assert_eq!(unchanged, !number, "half of a message was lost");
            sum = sum.wrapping_add(answer);
        }
        let time = start.elapsed();
        assert_eq!(sum, $crate::bench::sum_from(1, laps), "a message was lost");
        time
    }};
}
pub(crate) use exchange;

/// Times so many turns of something that counts up a number from zero by one each time.
macro_rules! count {
    ($laps:expr, |$number:ident| $step:expr) => {{
        let laps: usize = $laps;
        let mut $number = 0_usize;
        let start = std::time::Instant::now();
        for _ in 0..laps {
            $step;
        }
        let time = start.elapsed();
        assert_eq!($number, laps, "a turn was lost");
        time
    }};
}
pub(crate) use count;

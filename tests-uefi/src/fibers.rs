//! Fibers that exchange random values, in a random order, with every register checked on both sides.

use core::array;

use kfiber::fiber::{Fiber, Resumed};
use kfiber::stack::StackPool;

use crate::checked;

const FIBERS: usize = 16;
const ROUNDS: u64 = 200_000;
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

static STACKS: StackPool<{ 16 * 1024 }, FIBERS> = StackPool::new();

/// A generator of random numbers: xorshift (Marsaglia, 2003).
struct Random(u64);

impl Random {
    const fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}

/// What fiber `own` answers to `value`.
const fn answer(own: u64, value: u64) -> u64 {
    value.rotate_left(17) ^ own.wrapping_mul(SEED)
}

/// Returns the number of switches after which everything was as it must be.
pub(crate) fn exchange_random_values() -> u64 {
    let mut fibers: [_; FIBERS] = array::from_fn(|own| {
        let own = own as u64;
        let stack = STACKS.take().expect("one for each fiber");
        Fiber::<u64, u64, (), _>::new(stack, move |yielder, mut value| {
            let mut random = Random(SEED ^ own);
            loop {
                checked::call(random.next(), &mut || {
                    value = yielder.suspend(answer(own, value));
                });
            }
        })
        .expect("a small closure")
    });
    let mut random = Random(SEED);
    let mut verified = 0;
    for _ in 0..ROUNDS {
        let own = random.next() % FIBERS as u64;
        let value = random.next();
        let fiber = &mut fibers[usize::try_from(own).expect("one of a few")];
        checked::call(random.next(), &mut || {
            assert_eq!(
                fiber.resume(value),
                Resumed::Yielded(answer(own, value)),
                "fiber {own}"
            );
        });
        // There, and back.
        verified += 2;
    }
    verified
}

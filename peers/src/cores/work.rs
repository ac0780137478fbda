//! What is computed where fibers do more than switch: a chain of multiplications.

/// Steps of about a microsecond.
pub(crate) const MICROSECOND: u32 = 1000;

/// A number that takes so many steps to compute, three cycles each.
#[inline(never)]
pub(crate) const fn work(first: u64, steps: u32) -> u64 {
    let mut number = first;
    let mut step = 0;
    while step < steps {
        number = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 1;
        step += 1;
    }
    number
}

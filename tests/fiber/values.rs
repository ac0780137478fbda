//! Values of every size and alignment go in, come out, are captured, and are returned.

use super::fresh;
use kfiber::fiber::{Fiber, Resumed};
use kfiber::stack::{Stack, StackHandle};

/// Room for the many copies that a debug build makes of large values.
fn stack() -> StackHandle<Stack<{ 256 * 1024 }>> {
    fresh()
}

/// A value that can be made from a number and checked.
trait Value: Sized + 'static {
    fn make(seed: usize) -> Self;
    fn check(&self, seed: usize);
}

const fn byte(seed: usize, index: usize) -> u8 {
    (seed.wrapping_mul(31) + index.wrapping_mul(7) + 1).to_le_bytes()[0]
}

/// Miri is slow: there only some of the bytes tell.
const STEP: usize = if cfg!(miri) { 61 } else { 1 };

impl<const N: usize> Value for [u8; N] {
    fn make(seed: usize) -> Self {
        let mut bytes = [byte(seed, 0); N];
        for index in (0..N).step_by(STEP) {
            bytes[index] = byte(seed, index);
        }
        bytes
    }
    fn check(&self, seed: usize) {
        for (index, &found) in self.iter().enumerate().step_by(STEP) {
            assert_eq!(found, byte(seed, index), "byte {index} of {N}");
        }
    }
}

/// Declares a type of an alignment, which holds bytes.
macro_rules! aligned {
    ($($name:ident = $align:literal),*) => { $(
        #[repr(align($align))]
        struct $name<const N: usize>([u8; N]);
        impl<const N: usize> Value for $name<N> {
            fn make(seed: usize) -> Self {
                Self(Value::make(seed))
            }
            fn check(&self, seed: usize) {
                // Hidden from the compiler, which takes for granted that it is aligned.
                let address = core::hint::black_box(core::ptr::from_ref(self)).addr();
                assert!(address.is_multiple_of($align), "{address:#x} is not aligned to {}", $align);
                self.0.check(seed);
            }
        }
    )* };
}

aligned!(
    A2 = 2,
    A8 = 8,
    A16 = 16,
    A32 = 32,
    A64 = 64,
    A128 = 128,
    A512 = 512,
    A4096 = 4096
);

/// Sends, yields, captures and returns a `T`, three times in turn, each checked where it arrives and again later.
#[inline(never)]
fn round_trips<T: Value>() {
    let captured = T::make(1);
    let mut fiber = Fiber::new(stack(), move |yielder, first: T| {
        first.check(2);
        captured.check(1);
        let second = yielder.suspend(T::make(3));
        first.check(2);
        second.check(4);
        captured.check(1);
        let third = yielder.suspend(T::make(5));
        first.check(2);
        second.check(4);
        third.check(6);
        captured.check(1);
        T::make(7)
    })
    .expect("fits");
    let expect_yield = |resumed: Resumed<T, T>| match resumed {
        Resumed::Yielded(value) => value,
        Resumed::Returned(_) => panic!("returned too early"),
    };
    let one = expect_yield(fiber.resume(T::make(2)));
    one.check(3);
    let two = expect_yield(fiber.resume(T::make(4)));
    two.check(5);
    let Resumed::Returned(three) = fiber.resume(T::make(6)) else {
        panic!("yielded once too often")
    };
    drop(fiber);
    one.check(3);
    two.check(5);
    three.check(7);
}

/// Only one of input, yield and result is a `T`, the others are of other sizes, so that none stands in for another.
#[inline(never)]
fn round_trips_alone<T: Value>() {
    let mut input = Fiber::<T, (), u8, _>::new(stack(), |yielder, first: T| {
        first.check(9);
        yielder.suspend(()).check(10);
        11
    })
    .expect("fits");
    assert_eq!(input.resume(T::make(9)), Resumed::Yielded(()));
    assert_eq!(input.resume(T::make(10)), Resumed::Returned(11));

    let mut output =
        Fiber::new(stack(), |yielder, (): ()| yielder.suspend(T::make(12))).expect("fits");
    let Resumed::Yielded(value) = output.resume(()) else {
        panic!("returned")
    };
    value.check(12);
    assert!(matches!(output.resume(()), Resumed::Returned(())));

    let mut result = Fiber::<[u16; 7], u16, T, _>::new(stack(), |yielder, seven| {
        let [_, second, ..] = yielder.suspend(seven[2]);
        T::make(second.into())
    })
    .expect("fits");
    assert!(matches!(
        result.resume([1, 2, 3, 4, 5, 6, 7]),
        Resumed::Yielded(3)
    ));
    let Resumed::Returned(value) = result.resume([8, 9, 10, 11, 12, 13, 14]) else {
        panic!("yielded")
    };
    value.check(9);
}

macro_rules! sizes_and_alignments {
    ($($test:ident: $type:ty),* $(,)?) => { $(
        #[test]
        fn $test() {
            round_trips::<$type>();
            round_trips_alone::<$type>();
        }
    )* };
}

sizes_and_alignments! {
    values_of_no_bytes_cross: [u8; 0],
    values_of_1_byte_cross: [u8; 1],
    values_of_3_bytes_cross: [u8; 3],
    values_of_7_bytes_cross: [u8; 7],
    values_of_8_bytes_cross_in_the_register: [u8; 8],
    values_of_9_bytes_cross_by_address: [u8; 9],
    values_of_16_bytes_cross: [u8; 16],
    values_of_24_bytes_cross: [u8; 24],
    values_of_4096_bytes_cross: [u8; 4096],
    values_aligned_to_2_cross: A2<3>,
    values_aligned_to_8_cross: A8<8>,
    values_aligned_to_16_cross: A16<16>,
    values_aligned_to_32_cross: A32<1>,
    values_aligned_to_64_cross: A64<65>,
    values_aligned_to_128_cross: A128<1>,
    values_aligned_to_512_cross: A512<513>,
    empty_values_aligned_to_64_cross: A64<0>,
}

#[test]
fn values_aligned_to_4096_cross() {
    let captured = A4096::<4096>::make(1);
    let mut fiber = Fiber::new(stack(), move |yielder, first: A4096<1>| {
        first.check(2);
        captured.check(1);
        yielder.suspend(A4096::<5000>::make(3)).check(4);
        captured.check(1);
        first.check(2);
        A4096::<1>::make(5)
    })
    .expect("fits");
    let Resumed::Yielded(value) = fiber.resume(A4096::make(2)) else {
        panic!("returned")
    };
    value.check(3);
    let Resumed::Returned(value) = fiber.resume(A4096::make(4)) else {
        panic!("yielded")
    };
    value.check(5);
}

#[test]
fn references_boxes_and_niches_keep_their_meaning() {
    static WORDS: [&str; 3] = ["one", "two", "three"];
    let mut fiber = Fiber::new(stack(), |yielder, first: &'static str| {
        let second = yielder.suspend(Some(Box::new(first)));
        let third = yielder.suspend(None);
        vec![first, second, third]
    })
    .expect("fits");
    assert_eq!(
        fiber.resume(WORDS[0]),
        Resumed::Yielded(Some(Box::new("one")))
    );
    assert_eq!(fiber.resume(WORDS[1]), Resumed::Yielded(None));
    assert_eq!(fiber.resume(WORDS[2]), Resumed::Returned(WORDS.to_vec()));
}

#[test]
fn a_value_with_padding_crosses_in_the_register() {
    let mut fiber = Fiber::new(stack(), |yielder, (a, b): (u8, u32)| {
        let (c, d) = yielder.suspend((b, a));
        (u16::from(c), d == 8)
    })
    .expect("fits");
    assert_eq!(fiber.resume((1, 2)), Resumed::Yielded((2_u32, 1_u8)));
    assert_eq!(fiber.resume((7, 8)), Resumed::Returned((7_u16, true)));
}

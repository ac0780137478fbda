//! A fiber inside a fiber.

use kfiber::fiber::{Fiber, Resumed};
use kfiber::stack::{Stack, Storage};

#[test]
fn a_fiber_resumes_another() {
    static OUTER: Stack<65536> = Stack::new();
    static INNER: Stack<65536> = Stack::new();
    let mut outer = Fiber::new(OUTER.take().expect("first use"), |yielder, number: u64| {
        let mut inner = Fiber::new(
            INNER.take().expect("first use"),
            |yielder, four: [u64; 4]| {
                let four = yielder.suspend(four[0] + 1);
                four[3]
            },
        )
        .expect("fits");
        let Resumed::Yielded(yielded) = inner.resume([number; 4]) else {
            panic!("returned")
        };
        let number = yielder.suspend(yielded);
        let Resumed::Returned(returned) = inner.resume([number; 4]) else {
            panic!("yielded")
        };
        returned
    })
    .expect("fits");
    assert_eq!(outer.resume(3), Resumed::Yielded(4));
    assert_eq!(outer.resume(7), Resumed::Returned(7));
}

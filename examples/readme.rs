//! The example of the README, which a test compares with this file and with what it prints.

use kfiber::fiber::{Fiber, Resumed};
use kfiber::stack::{Stack, Storage};

static STACK: Stack<{ 64 * 1024 }> = Stack::new();

fn main() {
    let words = ["from", "the", "fiber"];
    let mut fiber = Fiber::new(
        STACK.take().expect("first use"),
        move |yielder, mut greeting| {
            for word in words {
                println!("  fiber: got {greeting:?}");
                greeting = yielder.suspend(word); // back to `resume`, and here again with its next value
            }
            words.len()
        },
    )
    .expect("the closure fits");

    for greeting in ["hello", "how", "are", "you"] {
        match fiber.resume(greeting) {
            Resumed::Yielded(word) => println!("kernel: got {word:?}"),
            Resumed::Returned(count) => println!("kernel: it is done, after {count} words"),
        }
    }
}

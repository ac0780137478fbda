//! Not liars: what looks odd and must pass all the same.

use tests_qemu::{kernel_test, print, println};

kernel_test! {
    fn is_honest() {
        println!("an honest line");
    }

    fn floods_the_port() timeout(60) {
        for line in 0..16 * 1024 {
            // 64 bytes with the line break.
            println!("{line:063}");
        }
    }

    fn leaves_a_line_unfinished() {
        println!("a line");
        print!("half a line");
    }
}

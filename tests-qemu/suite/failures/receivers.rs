//! A fiber that fails while it waits alone at a channel leaves it, and its message stays there.

use kfiber::sync::{Channel, RecvError};
use tests_qemu::kernel_test;

use super::{
    contain,
    lines::{overflow, settle, spawn_in, write_over_the_stack_pointer},
};

static MESSAGES: Channel<u32, 3> = Channel::new();

kernel_test! {
    fn a_receiver_that_fails_alone_takes_no_message() {
        contain();
        let fails = spawn_in(0, || { overflow(0); MESSAGES.recv() });
        settle();
        assert!(fails.try_join().is_err());
        MESSAGES.try_send(5).expect("there is room");
        assert_eq!(MESSAGES.len(), 1, "it went to the one that failed");
        assert_eq!(MESSAGES.try_recv(), Ok(5));
    }

    fn a_receiver_that_fails_after_the_channel_was_closed_puts_nothing_back() {
        contain();
        let fails = spawn_in(0, || MESSAGES.recv());
        settle();
        write_over_the_stack_pointer(0);
        MESSAGES.close();
        settle();
        assert!(fails.try_join().is_err());
        assert_eq!(MESSAGES.try_recv(), Err(RecvError::Closed));
    }

    fn a_message_of_one_that_fails_comes_before_those_that_were_sent_later() {
        contain();
        for slot in 0..3 {
            let fails = spawn_in(slot, || MESSAGES.recv());
            settle();
            write_over_the_stack_pointer(slot);
            for number in 0..3 {
                MESSAGES.try_send(number).expect("there is room");
            }
            settle();
            assert!(fails.try_join().is_err());
            for number in 0..3 {
                assert_eq!(MESSAGES.try_recv(), Ok(number));
            }
            // The next round begins in another place of the ring.
            MESSAGES.try_send(0).expect("there is room");
            assert_eq!(MESSAGES.try_recv(), Ok(0));
        }
    }

    fn a_message_of_one_that_fails_stays_in_a_channel_that_was_closed() {
        contain();
        let fails = spawn_in(0, || MESSAGES.recv());
        settle();
        write_over_the_stack_pointer(0);
        MESSAGES.try_send(5).expect("there is room");
        MESSAGES.close();
        settle();
        assert!(fails.try_join().is_err());
        assert_eq!(MESSAGES.try_recv(), Ok(5));
        assert_eq!(MESSAGES.try_recv(), Err(RecvError::Closed));
    }
}

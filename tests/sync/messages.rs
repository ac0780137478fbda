//! Messages of every size, in channels of every capacity: they arrive whole, in order, and once.

use crate::world;
use core::fmt::Debug;
use kfiber::sync::{Channel, RecvError, SendErrorKind};
use std::collections::VecDeque;
use std::sync::Arc;

/// Sends and receives in a pattern in which each place of the ring is the first once, and compares
/// with a queue.
fn compare<T: Clone + PartialEq + Debug, const CAP: usize>(message: impl Fn(u8) -> T) {
    let channel = Channel::<T, CAP>::new();
    let mut expected = VecDeque::new();
    let mut number = 0_u8;
    for round in 0..4 * (CAP + 1) {
        for _ in 0..=round % (CAP + 1) {
            let sent = channel.try_send(message(number));
            assert_eq!(sent.is_ok(), expected.len() < CAP);
            match sent {
                Ok(()) => expected.push_back(message(number)),
                Err(error) => {
                    assert_eq!(error.kind, SendErrorKind::Full);
                    assert_eq!(error.message, message(number));
                }
            }
            number = number.wrapping_add(1);
        }
        assert_eq!(channel.len(), expected.len());
        for _ in 0..=(round + 1) % 3 {
            let received = channel.try_recv();
            assert_eq!(received.ok(), expected.pop_front());
        }
        assert_eq!(channel.is_empty(), expected.is_empty());
    }
}

/// Does so with many sizes of messages.
fn compare_sizes<const CAP: usize>() {
    compare::<(), CAP>(|_| ());
    compare::<[Aligned; 0], CAP>(|_| []);
    compare::<u8, CAP>(|number| number);
    compare::<[u8; 3], CAP>(|number| [number, 1, 2]);
    compare::<u64, CAP>(u64::from);
    compare::<[u32; 3], CAP>(|number| [1, 2, number.into()]);
    compare::<[u32; 4], CAP>(|number| [number.into(); 4]);
    compare::<[usize; 100], CAP>(|number| [number.into(); 100]);
    compare::<Aligned, CAP>(Aligned);
    compare::<Arc<u8>, CAP>(Arc::new);
}

#[derive(Clone, PartialEq, Debug)]
#[repr(align(64))]
struct Aligned(u8);

#[test]
fn a_channel_behaves_like_a_queue_with_a_limit() {
    compare_sizes::<0>();
    compare_sizes::<1>();
    compare_sizes::<2>();
    compare_sizes::<3>();
    compare_sizes::<7>();
    compare_sizes::<8>();
}

#[test]
fn messages_without_a_size_need_no_memory_and_have_any_number_of_places() {
    static CHANNEL: Channel<(), { usize::MAX }> = Channel::new();
    for _ in 0..1000 {
        CHANNEL.try_send(()).unwrap();
    }
    assert_eq!(CHANNEL.len(), 1000);
    assert_eq!(CHANNEL.try_recv(), Ok(()));
    assert_eq!(CHANNEL.len(), 999);
    assert!(size_of_val(&CHANNEL) <= size_of::<Channel<u8, 1>>());
}

#[test]
fn a_large_message_is_handed_over_whole() {
    world!(S, CELLS);
    static CHANNEL: Channel<[usize; 90], 1> = Channel::new();
    let receiver = S
        .spawn(&CELLS, || [CHANNEL.recv(), CHANNEL.recv()])
        .unwrap();
    S.run_until_idle();
    S.spawn(&CELLS, || {
        CHANNEL.send([1; 90]).unwrap();
        CHANNEL.send([2; 90]).unwrap();
    })
    .unwrap()
    .detach();
    S.run();
    let [first, second] = receiver.try_join().unwrap().map(Result::unwrap);
    assert!(first == [1; 90] && second == [2; 90]);
}

#[test]
fn a_message_without_a_size_is_handed_over() {
    world!(S, CELLS);
    static CHANNEL: Channel<(), 0> = Channel::new();
    let receiver = S.spawn(&CELLS, || CHANNEL.recv()).unwrap();
    S.run_until_idle();
    CHANNEL.try_send(()).unwrap();
    assert_eq!(CHANNEL.try_send(()).unwrap_err().kind, SendErrorKind::Full);
    S.run();
    assert_eq!(receiver.try_join().unwrap(), Ok(()));
    assert_eq!(CHANNEL.try_recv(), Err(RecvError::Empty));
}

#[test]
fn messages_that_remain_are_dropped_with_the_channel_open_or_closed() {
    let message = Arc::new(());
    for is_closed in [false, true] {
        let channel = Channel::<Arc<()>, 3>::new();
        for _ in 0..3 {
            channel.try_send(Arc::clone(&message)).unwrap();
        }
        drop(channel.try_recv().unwrap());
        channel.try_send(Arc::clone(&message)).unwrap();
        if is_closed {
            channel.close();
            drop(channel.try_recv().unwrap());
        }
        drop(channel);
        assert_eq!(Arc::strong_count(&message), 1);
    }
}

#[test]
fn a_message_is_dropped_by_whoever_is_given_it_back() {
    let message = Arc::new(());
    let channel = Channel::<Arc<()>, 1>::new();
    channel.try_send(Arc::clone(&message)).unwrap();
    let error = channel.try_send(Arc::clone(&message)).unwrap_err();
    assert_eq!(Arc::strong_count(&message), 3);
    drop(error);
    channel.close();
    drop(channel.try_send(Arc::clone(&message)).unwrap_err());
    assert_eq!(Arc::strong_count(&message), 2);
}

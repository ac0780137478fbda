//! What two cores can do to the state of a channel at the same time, one step after the other.

use super::*;

/// Returns a receiver of no fiber, which nobody may wake.
const fn receiver() -> Receiver<u32> {
    Receiver::new(ptr::null())
}

/// Takes the receiver that waits alone, as a sender does before it serves the receiver.
fn take_lone(state: &State<u32, 1>, receiver: &Receiver<u32>) {
    let alone = word::alone(ptr::from_ref(receiver));
    assert!(state.change(alone, word::of(0), Ordering::AcqRel).is_some());
}

fn leaves(state: &State<u32, 1>, receiver: &Receiver<u32>) -> bool {
    // SAFETY: the tests have entered it, and it stays in place.
    unsafe { state.leave_receivers(receiver) }
}

fn enters(state: &State<u32, 1>, receiver: &Receiver<u32>) -> bool {
    // SAFETY: it is in no line, and stays in place.
    unsafe { state.enter_alone(receiver) }
}

fn add(state: &State<u32, 1>, receiver: &Receiver<u32>) {
    // SAFETY: as above.
    unsafe { state.lock().add_receiver(receiver) };
}

#[test]
fn a_lone_receiver_that_was_taken_does_not_leave() {
    let (state, lone) = (State::new(), receiver());
    assert!(enters(&state, &lone));
    take_lone(&state, &lone);
    assert!(!leaves(&state, &lone));
    assert!(state.word().is_null());
}

#[test]
fn a_receiver_that_is_alone_again_and_was_taken_does_not_leave() {
    let (state, first, second) = (State::new(), receiver(), receiver());
    assert!(enters(&state, &first));
    add(&state, &second);
    assert!(state.word() == word::busy());
    assert!(leaves(&state, &first));
    take_lone(&state, &second);
    assert!(!leaves(&state, &second));
    assert!(state.word().is_null());
}

#[test]
fn only_one_receiver_enters_alone() {
    let (state, first, second) = (State::new(), receiver(), receiver());
    assert!(enters(&state, &first));
    assert!(!enters(&state, &second));
    assert!(leaves(&state, &first));
    assert!(enters(&state, &second));
    assert!(leaves(&state, &second));
}

#[test]
fn a_look_leaves_the_word_as_it_was() {
    let (state, lone) = (State::new(), receiver());
    assert!(enters(&state, &lone));
    let word = state.word();
    assert!(word::is_alone(word) && word::receiver_in(word) == ptr::from_ref(&lone));
    assert_eq!(state.lock().ring.len(), 0);
    assert!(state.word() == word);
    assert!(leaves(&state, &lone));
    assert!(state.word().is_null());
}

//! Who is told.

use kfiber::platform::Host;
use kfiber::scheduler::{Hooks, HooksAlreadySet, Report, Scheduler};

struct Nobody;

impl Hooks for Nobody {
    fn report(&self, _report: &Report<'_>) {}
}

#[test]
fn the_first_hooks_stay_and_others_are_refused() {
    static S: Scheduler<Host> = Scheduler::new(Host::new());
    S.set_hooks(&Nobody).unwrap();
    assert_eq!(S.set_hooks(&Nobody), Err(HooksAlreadySet));
}

//! What an exploration of the real code sees and plants: each access to a word that cores share is a
//! step, at which another core may go on instead. Selected by `--cfg kfiber_steps`, and never part of
//! a kernel.

#![expect(
    dead_code,
    reason = "all these types have the same methods, and not all are called"
)]

extern crate std;

pub use super::mistake::Mistake;
pub use core::sync::atomic::Ordering;
use std::sync::OnceLock;

/// What is called at each step. It says whether the caller spins, and so cannot go on before
/// another core does.
pub type Step = fn(is_spinning: bool);

static STEP: OnceLock<Step> = OnceLock::new();
static PLANTED: OnceLock<Mistake> = OnceLock::new();

/// Sets what is called at each step from now on. The first one stays.
pub fn set(step: Step) {
    let _is_first = STEP.set(step);
}

/// Plants a mistake in this process. The first one stays.
pub fn plant(mistake: Mistake) {
    let _is_first = PLANTED.set(mistake);
}

pub(crate) fn is_planted(mistake: Mistake) -> bool {
    PLANTED.get() == Some(&mistake)
}

/// A place where another core may go on instead.
pub(crate) fn step() {
    if let Some(step) = STEP.get() {
        step(false);
    }
}

/// Takes the place of `core::hint::spin_loop`.
pub(crate) fn spin_loop() {
    if let Some(step) = STEP.get() {
        step(true);
    }
    core::hint::spin_loop();
}

/// Defines an atomic type whose accesses are steps.
macro_rules! atomic {
    ($name:ident $(<$generic:ident>)?, $value:ty, [$($change:ident),*]) => {
        #[derive(Debug)]
        #[repr(transparent)]
        pub(crate) struct $name$(<$generic>)?(core::sync::atomic::$name$(<$generic>)?);

        impl$(<$generic>)? $name$(<$generic>)? {
            pub(crate) const fn new(value: $value) -> Self {
                Self(core::sync::atomic::$name::new(value))
            }

            pub(crate) fn load(&self, order: Ordering) -> $value {
                step();
                self.0.load(order)
            }

            pub(crate) fn store(&self, value: $value, order: Ordering) {
                step();
                self.0.store(value, order);
            }

            pub(crate) fn swap(&self, value: $value, order: Ordering) -> $value {
                step();
                self.0.swap(value, order)
            }

            pub(crate) fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                step();
                self.0.compare_exchange(current, new, success, failure)
            }

            $(
                pub(crate) fn $change(&self, value: $value, order: Ordering) -> $value {
                    step();
                    self.0.$change(value, order)
                }
            )*
        }
    };
}

atomic!(AtomicPtr<T>, *mut T, []);
atomic!(AtomicBool, bool, []);
atomic!(AtomicUsize, usize, [fetch_add, fetch_sub]);
atomic!(AtomicU64, u64, [fetch_add, fetch_sub, fetch_or, fetch_and]);

impl AtomicU64 {
    pub(crate) fn compare_exchange_weak(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        self.compare_exchange(current, new, success, failure)
    }

    pub(crate) fn fetch_update(
        &self,
        success: Ordering,
        failure: Ordering,
        change: impl FnMut(u64) -> Option<u64>,
    ) -> Result<u64, u64> {
        step();
        self.0.fetch_update(success, failure, change)
    }
}

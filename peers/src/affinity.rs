//! On which cores threads may run.

use std::mem;

/// The numbers of the cores on which this thread may run, in ascending order.
pub(crate) fn allowed_cores() -> Vec<usize> {
    // SAFETY: a set of bits, all of them zero.
    let mut allowed = unsafe { mem::zeroed::<libc::cpu_set_t>() };
    // SAFETY: it fills what it is given.
    let result = unsafe { libc::sched_getaffinity(0, size_of_val(&allowed), &raw mut allowed) };
    assert_eq!(result, 0, "the system does not say which cores there are");
    let most = usize::try_from(libc::CPU_SETSIZE).expect("a positive number");
    // SAFETY: below the size of the set.
    let is_allowed = |core: &usize| unsafe { libc::CPU_ISSET(*core, &allowed) };
    (0..most).filter(is_allowed).collect()
}

/// Keeps this thread on one core, and all threads that it starts later.
pub(crate) fn stay_on(core: usize) {
    // SAFETY: a set of bits, all of them zero.
    let mut one = unsafe { mem::zeroed::<libc::cpu_set_t>() };
    // SAFETY: below the size of the set.
    unsafe { libc::CPU_SET(core, &mut one) };
    // SAFETY: it reads what it is given.
    let result = unsafe { libc::sched_setaffinity(0, size_of_val(&one), &raw const one) };
    assert_eq!(result, 0, "the system does not keep us on core {core}");
}

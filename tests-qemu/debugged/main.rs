//! What the commands for gdb are tried on: a fiber in each state, at stops that the debugger knows. It is a kernel, and on
//! a host a program. `cargo xtask test debugger` runs both.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(all(target_os = "none", not(feature = "smp")))]
mod kernel;
mod scene;
#[cfg(all(target_os = "none", feature = "smp"))]
mod several_cores;

#[cfg(all(target_os = "none", not(feature = "smp")))]
tests_qemu::entry!(kernel::main);
#[cfg(all(target_os = "none", feature = "smp"))]
tests_qemu::entry!(several_cores::main);

#[cfg(not(target_os = "none"))]
fn main() {
    static SCHEDULER: kfiber::scheduler::Scheduler<kfiber::platform::Host> =
        kfiber::scheduler::Scheduler::new(kfiber::platform::Host::new());
    SCHEDULER.set_hooks(&scene::Silent).expect("the first");
    scene::play(SCHEDULER.builder());
    SCHEDULER.run();
}

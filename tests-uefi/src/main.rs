//! Switches in a UEFI application: another format of object files, another convention of calls, a firmware's interrupts.
//!
//! It ends QEMU with status 33 when everything was as it must be. The firmware writes to the serial port, so what this
//! application says goes to the port for debugging output.
#![cfg_attr(target_os = "uefi", no_std, no_main)]

#[cfg(target_os = "uefi")]
mod checked;
#[cfg(target_os = "uefi")]
mod fibers;
#[cfg(target_os = "uefi")]
mod output;
#[cfg(target_os = "uefi")]
mod scheduled;

/// The firmware calls it.
#[cfg(target_os = "uefi")]
#[unsafe(no_mangle)]
extern "efiapi" fn efi_main(_image: *const (), _system: *const ()) -> usize {
    output::say(format_args!("switches in a UEFI application"));
    let verified = fibers::exchange_random_values();
    output::say(format_args!("{verified} switches verified"));
    let turns = scheduled::take_turns();
    output::say(format_args!("{turns} turns taken"));
    output::end(output::PASSED)
}

#[cfg(target_os = "uefi")]
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    output::say(format_args!("{info}"));
    output::end(output::FAILED)
}

#[cfg(not(target_os = "uefi"))]
fn main() {
    eprintln!("This application runs under UEFI: `cargo xtask ci uefi`.");
    std::process::exit(1);
}

//! The timer ticks, on the stack that it interrupts, as often as asked.

use core::{
    arch::asm,
    sync::atomic::{AtomicU64, Ordering},
};

use tests_qemu::{
    boot, cpu,
    exceptions::TrapFrame,
    interrupts::{on_tick, start_one_shot, start_timer, stop_timer, ticks},
    kernel_test,
};
use x86_64::instructions::{hlt, interrupts, port::PortReadOnly};

static SEEN: AtomicU64 = AtomicU64::new(0);

kernel_test! {
    fn the_old_interrupt_controller_is_masked() {
        for port in [0x21, 0xa1] {
            let mut port = PortReadOnly::<u8>::new(port);
            // SAFETY: Reading the mask register has no effect.
            assert_eq!(unsafe { port.read() }, 0xff);
        }
    }

    fn the_timer_ticks_again_and_again() {
        start_timer(100_000);
        interrupts::enable();
        while ticks() < 10 {
            hlt();
        }
    }

    fn no_tick_comes_while_interrupts_are_disabled() {
        start_timer(1_000);
        spin();
        assert_eq!(ticks(), 0);
        interrupts::enable();
        while ticks() == 0 {
            hlt();
        }
    }

    fn a_stopped_timer_is_silent() {
        start_timer(100_000);
        interrupts::enable();
        while ticks() < 3 {
            hlt();
        }
        stop_timer();
        // One more may have been on its way.
        spin();
        let before = ticks();
        spin();
        assert_eq!(ticks(), before);
    }

    fn a_handler_sees_the_interrupted_registers_on_the_interrupted_stack() {
        on_tick(|frame| {
            let (bottom, top) = boot::stack();
            assert!((bottom..top).contains(&(&raw const *frame as u64)), "the handler has another stack");
            assert_eq!(&raw const *frame as u64 + size_of::<TrapFrame>() as u64, frame.rsp & !15);
            assert_eq!(frame.vector, 32);
            SEEN.store(frame.r12, Ordering::Relaxed);
        });
        start_one_shot(100_000);
        // SAFETY: The handler preserves all registers. Without a tick the run ends at the runner's deadline.
        unsafe { asm!("sti", "hlt", "cli", in("r12") 0x5eed_u64) };
        assert_eq!((ticks(), SEEN.load(Ordering::Relaxed)), (1, 0x5eed));
    }

    fn one_shot_ticks_once() {
        start_one_shot(1_000);
        interrupts::enable();
        while ticks() == 0 {
            core::hint::spin_loop();
        }
        spin();
        assert_eq!(ticks(), 1);
    }

    /// Time is instructions here: the counter advances by exactly one with each.
    fn the_time_stamp_counts_instructions() icount {
        let counts: [u64; 3] = core::array::from_fn(|_| cost_of_1000_rounds());
        // 1000 rounds of two instructions, and the setting of the counter; reading the clock costs the same each time.
        assert_eq!(counts[0], counts[1]);
        assert_eq!(counts[1], counts[2]);
        assert_eq!(counts[0] - cost_of_nothing(), 2 * 1000 + 1);
    }

    /// A delay longer by one lets the tick arrive one instruction later, so that a sweep reaches every instruction.
    fn a_tick_reaches_every_instruction() icount {
        static WHERE: AtomicU64 = AtomicU64::new(0);
        on_tick(|frame| WHERE.store(frame.rip, Ordering::Relaxed));
        let mut reached = [false; 64];
        for delay in 1..400 {
            start_one_shot(delay);
            let start: u64;
            // SAFETY: The handler preserves all registers.
            unsafe {
                asm!("lea {}, [rip + 2f]", "sti", "2:", ".fill 64, 1, 0x90", ".fill 256, 1, 0x90", "cli", out(reg) start);
            };
            let offset = WHERE.swap(0, Ordering::Relaxed).wrapping_sub(start);
            if let Some(reached) = usize::try_from(offset).ok().and_then(|offset| reached.get_mut(offset)) {
                *reached = true;
            }
        }
        // The first one lies in the shadow of `sti`.
        assert!(!reached[0]);
        let missed = reached[1..].iter().position(|reached| !reached);
        assert_eq!(missed, None, "no tick arrived at this instruction");
    }
}

/// Lets time pass for interrupts that must not come.
fn spin() {
    let start = cpu::cycles();
    while cpu::cycles() - start < 10_000_000 {}
}

fn cost_of_1000_rounds() -> u64 {
    let (start, end): (u64, u64);
    // SAFETY: Reads the clock around a loop on a register.
    unsafe {
        asm!(
            "rdtsc", "shl rdx, 32", "or rax, rdx", "mov {start}, rax",
            "mov ecx, 1000", "2:", "dec ecx", "jnz 2b",
            "rdtsc", "shl rdx, 32", "or rax, rdx", "mov {end}, rax",
            start = out(reg) start, end = out(reg) end, out("rax") _, out("rcx") _, out("rdx") _,
        );
    };
    end - start
}

fn cost_of_nothing() -> u64 {
    let (start, end): (u64, u64);
    // SAFETY: Reads the clock.
    unsafe {
        asm!(
            "rdtsc", "shl rdx, 32", "or rax, rdx", "mov {start}, rax",
            "rdtsc", "shl rdx, 32", "or rax, rdx", "mov {end}, rax",
            start = out(reg) start, end = out(reg) end, out("rax") _, out("rdx") _,
        );
    };
    end - start
}

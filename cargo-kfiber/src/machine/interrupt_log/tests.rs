//! Logs as QEMU 7.2 writes them.

use super::*;

/// A page fault whose handler's stack is missing too, after an exception that was handled.
const LOG: &str = "\
CPU Reset (CPU 0)
EAX=00000000 EBX=00000000
Servicing hardware INT=0x08
check_exception old: 0xffffffff new 0x3
     0: v=03 e=0000 i=1 cpl=0 IP=0008:0000000000100100 pc=0000000000100100 SP=0010:00000000001ffff0 env->regs[R_EAX]=1
RAX=0000000000000001 RBX=0000000000000000
check_exception old: 0xffffffff new 0xe
     1: v=0e e=0002 i=0 cpl=0 IP=0008:0000000000100abc pc=0000000000100abc SP=0010:00000000001ffff8 CR2=0000000000001000
RAX=0000000000000001 RBX=0000000000000000
check_exception old: 0xe new 0xd
     2: v=08 e=0000 i=0 cpl=0 IP=0008:0000000000100abc pc=0000000000100abc SP=0010:00000000001ffff8 env->regs[R_EAX]=1
RAX=0000000000000001 RBX=0000000000000000
check_exception old: 0x8 new 0xd
Triple fault
CPU Reset (CPU 0)
";

#[test]
fn the_chain_begins_at_the_exception_that_was_not_handled() {
    let chain = triple_fault(LOG).expect("there is a triple fault");
    let vectors: Vec<_> = chain.iter().map(|exception| exception.vector).collect();
    assert_eq!(vectors, [14, 13, 8, 13]);
    let first = chain[0]
        .delivery
        .expect("the page fault reached its delivery");
    assert_eq!(
        (first.rip, first.error, first.rsp, first.cr2),
        (0x10_0abc, 2, 0x1f_fff8, Some(0x1000))
    );
    assert_eq!(chain[1].delivery, None);
    assert_eq!(chain[3].delivery, None);
}

/// An invalid opcode with an empty interrupt table.
const BENIGN: &str = "\
check_exception old: 0xffffffff new 0x6
     0: v=06 e=0000 i=0 cpl=0 IP=0008:00000000001050c4 pc=00000000001050c4 SP=0010:000000000016adc0 env->regs[R_EAX]=1
check_exception old: 0xffffffff new 0xd
     1: v=0d e=0062 i=0 cpl=0 IP=0008:00000000001050c4 pc=00000000001050c4 SP=0010:000000000016adc0 env->regs[R_EAX]=1
check_exception old: 0xd new 0xd
     2: v=08 e=0000 i=0 cpl=0 IP=0008:00000000001050c4 pc=00000000001050c4 SP=0010:000000000016adc0 env->regs[R_EAX]=1
check_exception old: 0x8 new 0xd
Triple fault
";

#[test]
fn an_exception_that_does_not_count_towards_a_double_fault_is_still_the_first() {
    let vectors = |log: &str| -> Vec<_> {
        triple_fault(log)
            .expect("there is a triple fault")
            .iter()
            .map(|exception| exception.vector)
            .collect()
    };
    assert_eq!(vectors(BENIGN), [6, 13, 13, 8, 13]);
    // A handler that ran has another place.
    let handled = BENIGN.replacen("pc=00000000001050c4", "pc=0000000000200000", 1);
    assert_eq!(vectors(&handled), [13, 13, 8, 13]);
}

#[test]
fn a_log_without_a_triple_fault_has_no_chain() {
    assert_eq!(triple_fault(&LOG.replace("Triple fault", "")), None);
    assert_eq!(triple_fault(""), None);
}

#[test]
fn lines_that_are_cut_off_are_no_exceptions() {
    assert_eq!(
        triple_fault("check_exception old:\n     0: v=\nTriple fault"),
        Some(vec![])
    );
}

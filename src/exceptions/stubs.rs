//! The entries of the exceptions that code can cause, each of which calls `handle`.

use super::install::on_exception;
use crate::trap::{TrapFrame, interrupt_entry};

interrupt_entry! {
    pub(super) fn divide_error(frame: &mut TrapFrame) vector(0) { on_exception(frame); }
    pub(super) fn debug(frame: &mut TrapFrame) vector(1) { on_exception(frame); }
    pub(super) fn breakpoint(frame: &mut TrapFrame) vector(3) { on_exception(frame); }
    pub(super) fn overflow(frame: &mut TrapFrame) vector(4) { on_exception(frame); }
    pub(super) fn bound_range(frame: &mut TrapFrame) vector(5) { on_exception(frame); }
    pub(super) fn invalid_opcode(frame: &mut TrapFrame) vector(6) { on_exception(frame); }
    pub(super) fn no_floating_point(frame: &mut TrapFrame) vector(7) { on_exception(frame); }
    pub(super) fn double_fault(frame: &mut TrapFrame) vector(8) { on_exception(frame); }
    pub(super) fn invalid_task_state(frame: &mut TrapFrame) vector(10) { on_exception(frame); }
    pub(super) fn segment_not_present(frame: &mut TrapFrame) vector(11) { on_exception(frame); }
    pub(super) fn stack_segment(frame: &mut TrapFrame) vector(12) { on_exception(frame); }
    pub(super) fn general_protection(frame: &mut TrapFrame) vector(13) { on_exception(frame); }
    pub(super) fn page_fault(frame: &mut TrapFrame) vector(14) { on_exception(frame); }
    pub(super) fn x87(frame: &mut TrapFrame) vector(16) { on_exception(frame); }
    pub(super) fn alignment_check(frame: &mut TrapFrame) vector(17) { on_exception(frame); }
    pub(super) fn simd(frame: &mut TrapFrame) vector(19) { on_exception(frame); }
    pub(super) fn control_protection(frame: &mut TrapFrame) vector(21) { on_exception(frame); }
}

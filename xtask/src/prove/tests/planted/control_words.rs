//! Switches that load only those control words that differ: a right one, and wrong ones with one error each.

use core::arch::global_asm;

/// Assembles a switch out of line with these instructions between the stores of the registers and the jump to `tail`.
macro_rules! switch {
    ($name:literal, $($line:expr),+ $(,)?) => {
        plant!(
            $name,
            push_all!(),
            load!(),
            save!(),
            $($line,)+
            leave!(),
            pop_all!(),
            back!()
        );
    };
}

macro_rules! store {
    () => {
        "stmxcsr [r10 + 32]; fnstcw [r10 + 36]"
    };
}

macro_rules! choose {
    () => {
        "cmp rsp, [r11 + 40]; jb 5f"
    };
}

macro_rules! compare_mxcsr {
    () => {
        "mov eax, [r10 + 32]; xor eax, [r11 + 32]; and eax, -64"
    };
}

macro_rules! load_mxcsr {
    () => {
        "je 3f; ldmxcsr [r11 + 32]; 3:"
    };
}

macro_rules! compare_x87 {
    () => {
        "movzx eax, word ptr [r10 + 36]; cmp ax, [r11 + 36]"
    };
}

macro_rules! load_x87 {
    () => {
        "je 4f; fldcw [r11 + 36]; 4:"
    };
}

switch!(
    "right_control_words",
    store!(),
    compare_mxcsr!(),
    load_mxcsr!(),
    compare_x87!(),
    load_x87!()
);
switch!(
    "mask_with_flags",
    store!(),
    "mov eax, [r10 + 32]; xor eax, [r11 + 32]; and eax, -1",
    load_mxcsr!(),
    compare_x87!(),
    load_x87!()
);
switch!(
    "mask_without_a_control_bit",
    store!(),
    "mov eax, [r10 + 32]; xor eax, [r11 + 32]; and eax, -128",
    load_mxcsr!(),
    compare_x87!(),
    load_x87!()
);
switch!(
    "no_mask",
    store!(),
    "mov eax, [r10 + 32]; xor eax, [r11 + 32]",
    load_mxcsr!(),
    compare_x87!(),
    load_x87!()
);
switch!(
    "jump_inverted",
    store!(),
    compare_mxcsr!(),
    "jne 3f; ldmxcsr [r11 + 32]; 3:",
    compare_x87!(),
    load_x87!()
);
switch!(
    "jump_on_another_flag",
    store!(),
    compare_mxcsr!(),
    "js 3f; ldmxcsr [r11 + 32]; 3:",
    compare_x87!(),
    load_x87!()
);
switch!(
    "flags_of_another",
    store!(),
    compare_mxcsr!(),
    "sub rcx, 0",
    load_mxcsr!(),
    compare_x87!(),
    load_x87!()
);
switch!(
    "compared_with_itself",
    store!(),
    "mov eax, [r10 + 32]; xor eax, [r10 + 32]; and eax, -64",
    load_mxcsr!(),
    compare_x87!(),
    load_x87!()
);
switch!(
    "others_compared_with_itself",
    store!(),
    "mov eax, [r11 + 32]; xor eax, [r11 + 32]; and eax, -64",
    load_mxcsr!(),
    compare_x87!(),
    load_x87!()
);
switch!(
    "compared_with_a_register",
    store!(),
    "mov eax, [r10 + 32]; xor eax, [r11 + 24]; and eax, -64",
    load_mxcsr!(),
    compare_x87!(),
    load_x87!()
);
switch!(
    "compared_with_the_address",
    store!(),
    "xor eax, [r11 + 32]; and eax, -64",
    load_mxcsr!(),
    compare_x87!(),
    load_x87!()
);
switch!(
    "compared_before_it_is_stored",
    compare_mxcsr!(),
    store!(),
    load_mxcsr!(),
    compare_x87!(),
    load_x87!()
);
switch!(
    "own_loaded",
    store!(),
    compare_mxcsr!(),
    "je 3f; ldmxcsr [r10 + 32]; 3:",
    compare_x87!(),
    load_x87!()
);
switch!(
    "not_loaded",
    store!(),
    compare_mxcsr!(),
    "je 3f; nop; 3:",
    compare_x87!(),
    load_x87!()
);
switch!(
    "loops",
    store!(),
    "4:",
    compare_mxcsr!(),
    "je 4b; ldmxcsr [r11 + 32]; fldcw [r11 + 36]"
);
switch!("x87_left_out", store!(), compare_mxcsr!(), load_mxcsr!());
switch!(
    "x87_own_loaded",
    store!(),
    compare_mxcsr!(),
    load_mxcsr!(),
    compare_x87!(),
    "je 4f; fldcw [r10 + 36]; 4:"
);
switch!(
    "x87_jump_inverted",
    store!(),
    compare_mxcsr!(),
    load_mxcsr!(),
    compare_x87!(),
    "jne 4f; fldcw [r11 + 36]; 4:"
);
switch!(
    "x87_compared_with_itself",
    store!(),
    compare_mxcsr!(),
    load_mxcsr!(),
    "movzx eax, word ptr [r10 + 36]; cmp ax, [r10 + 36]",
    load_x87!()
);
switch!(
    "x87_compared_with_mxcsr",
    store!(),
    compare_mxcsr!(),
    load_mxcsr!(),
    "mov eax, [r10 + 32]; cmp ax, [r11 + 36]",
    load_x87!()
);
switch!(
    "half_of_mxcsr_compared",
    store!(),
    compare_mxcsr!(),
    load_mxcsr!(),
    "movzx eax, word ptr [r10 + 32]; cmp ax, [r11 + 32]",
    load_x87!()
);
switch!(
    "x87_jump_after_the_wrong_comparison",
    store!(),
    compare_mxcsr!(),
    "je 4f; ldmxcsr [r11 + 32]",
    compare_x87!(),
    load_x87!()
);

switch!(
    "right_choice",
    store!(),
    choose!(),
    compare_mxcsr!(),
    "je 3f; 5: ldmxcsr [r11 + 32]; 3:",
    compare_x87!(),
    load_x87!()
);
switch!(
    "choice_by_another_word",
    store!(),
    "cmp rsp, [r11 + 16]; jb 5f",
    compare_mxcsr!(),
    "je 3f; 5: ldmxcsr [r11 + 32]; 3:",
    compare_x87!(),
    load_x87!()
);
switch!(
    "choice_by_the_side_that_leaves",
    store!(),
    "cmp rsp, [r10 + 40]; jb 5f",
    compare_mxcsr!(),
    "je 3f; 5: ldmxcsr [r11 + 32]; 3:",
    compare_x87!(),
    load_x87!()
);
switch!(
    "choice_of_not_loading",
    store!(),
    choose!(),
    compare_mxcsr!(),
    "je 5f; ldmxcsr [r11 + 32]; 5:",
    compare_x87!(),
    load_x87!()
);
switch!(
    "choice_without_a_comparison",
    store!(),
    "jb 5f",
    compare_mxcsr!(),
    "je 3f; 5: ldmxcsr [r11 + 32]; 3:",
    compare_x87!(),
    load_x87!()
);
switch!(
    "comparison_taken_for_a_choice",
    store!(),
    compare_mxcsr!(),
    "jb 5f; ldmxcsr [r11 + 32]; 5:",
    compare_x87!(),
    load_x87!()
);

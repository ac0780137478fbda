//! Programs that must not compile: each file of `tests/ui` fails for the reason it names, and compiles once that reason
//! is taken out, with the feature `fixed`. Checked by error code and a phrase, as whole messages differ from one
//! compiler to the next.
#![cfg(not(any(kfiber_steps, miri)))]

use cargo_metadata::Message;
use cargo_metadata::diagnostic::{Diagnostic, DiagnosticLevel};
use core::fmt::Write;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::{env, fs, io};

/// What each program shows, and its file. One test builds them all: a test runner with a process for each test would build them
/// as many times.
macro_rules! cases {
    ($($shown:ident: $file:literal,)*) => {
        const ALL: &[&str] = &[$($file),*];
        const SHOWN: &[&str] = &[$(stringify!($shown)),*];
    };
}

cases! {
    a_stack_of_zero_bytes_does_not_compile: "stack_of_zero_bytes",
    a_stack_below_the_minimum_does_not_compile: "stack_too_small",
    a_stack_that_is_no_multiple_of_128_does_not_compile: "stack_not_a_multiple",
    a_guarded_stack_of_zero_bytes_does_not_compile: "guarded_of_zero_bytes",
    a_guarded_stack_of_one_page_does_not_compile: "guarded_of_one_page",
    a_guarded_stack_that_is_no_multiple_of_a_page_does_not_compile: "guarded_not_a_page",
    a_pool_of_no_stacks_does_not_compile: "pool_of_none",
    several_cores_without_their_feature_do_not_compile: "several_cores_without_smp",
    a_pool_of_stacks_below_the_minimum_does_not_compile: "pool_of_small_stacks",
    a_stack_cannot_be_taken_from_a_local: "take_from_local",
    a_stack_cannot_be_taken_from_a_const: "take_from_const",
    a_stack_that_a_fiber_has_cannot_be_used: "moved_stack",
    a_handle_on_a_stack_cannot_be_cloned: "cloned_handle",
    stack_memory_is_implemented_by_an_unsafe_impl_only: "safe_stack_memory",
    storage_is_implemented_by_an_unsafe_impl_only: "safe_storage",
    foreign_memory_is_unsafe_to_bring: "safe_foreign_stack",
    the_raw_switch_is_unsafe: "safe_raw_resume",
    a_yielder_cannot_be_kept_in_a_static: "yielder_in_static",
    a_yielder_cannot_be_returned: "yielder_returned",
    a_yielder_cannot_be_used_by_another_thread: "yielder_in_thread",
    a_yielder_cannot_leave_through_a_captured_place: "yielder_through_capture",
    a_yielder_cannot_be_used_by_a_fiber_inside: "yielder_in_inner_closure",
    a_yielder_cannot_be_sent_into_a_fiber_inside: "yielder_as_input",
    a_closure_cannot_borrow_a_local: "closure_borrows_local",
    a_closure_that_refers_to_locals_must_move_them: "closure_without_move",
    a_value_that_goes_in_cannot_borrow_a_local: "input_borrows_local",
    a_fiber_cannot_be_resumed_through_two_borrows: "resumed_twice",
    a_fiber_cannot_be_resumed_through_a_shared_reference: "resume_through_shared",
    a_fiber_cannot_be_dropped_while_it_is_resumed: "dropped_while_resumed",
    a_fiber_that_gave_its_stack_back_cannot_be_resumed: "used_after_into_stack",
    a_resume_takes_the_input_type_only: "wrong_input",
    a_suspend_takes_the_yielded_type_only: "wrong_yield",
    a_fiber_cannot_be_sent_to_another_thread: "fiber_sent",
    a_fiber_cannot_be_shared_with_another_thread: "fiber_shared",
    a_fiber_cannot_lie_in_a_static_mutex: "fiber_in_static",
    a_closure_too_large_for_its_stack_does_not_compile: "closure_too_large",
    a_result_too_large_for_its_stack_does_not_compile: "result_too_large",
    an_input_too_large_for_its_stack_does_not_compile: "input_too_large",
    what_a_scoped_fiber_borrows_outlives_the_scope: "scope_borrow_escapes",
    a_scoped_handle_does_not_leave_the_scope: "scoped_handle_escapes",
    two_scoped_fibers_cannot_change_one_variable: "scoped_fibers_share_mutably",
    what_a_scheduled_fiber_captures_is_send: "spawn_not_send",
    what_a_scheduled_fiber_returns_is_send: "spawn_result_not_send",
    a_scheduled_fiber_cannot_borrow_a_local: "spawn_borrows_local",
    a_closure_too_large_for_its_cell_does_not_compile: "spawn_closure_too_large",
    a_cell_below_the_minimum_does_not_compile: "cell_too_small",
    a_result_is_taken_once: "handle_joined_twice",
    a_fiber_local_is_sync: "local_not_sync",
    a_storage_is_taken_through_a_reference_that_lasts_for_ever_only: "taken_from_short_reference",
    a_mutex_is_unlocked_by_the_fiber_that_has_it: "mutex_guard_sent",
    a_guard_of_a_part_cannot_wait_for_a_notification: "mapped_guard_waits",
    a_part_is_not_used_after_its_guard: "mapped_part_escapes",
    a_reader_gives_back_its_access_itself: "read_guard_sent",
    a_writer_gives_back_its_access_itself: "write_guard_sent",
    interrupts_are_turned_on_again_where_they_were_turned_off: "irq_guard_sent",
    what_a_mutex_guards_is_send: "mutex_of_not_send",
    what_an_interrupt_safe_lock_guards_is_send: "irq_mutex_of_not_send",
    what_readers_share_is_sync: "rw_lock_of_not_sync",
    messages_are_send: "channel_of_not_send",
    what_is_made_once_is_sync: "once_of_not_sync",
    a_join_handle_cannot_be_cloned: "join_handle_cloned",
    a_scheduler_is_a_static: "scheduler_not_static",
    a_cell_is_a_static: "cell_not_static",
    a_fiber_local_is_not_kept_for_longer_than_it_is_bound: "local_escapes",
    a_scope_is_not_kept_for_longer_than_it_lasts: "scope_kept",
    what_a_fiber_of_a_scope_returns_is_send: "scoped_result_sent",
    a_mutex_outlives_its_guards: "guard_outlives_mutex",
    a_reader_cannot_write: "write_through_read_guard",
    a_look_at_the_waits_is_not_kept: "wait_graph_kept",
    a_cycle_of_waits_is_not_kept: "cycle_outlives_graph",
    a_cycle_of_waits_is_not_returned_from_the_look: "cycle_returned_from_look",
    a_hook_keeps_nothing_of_a_deadlock: "deadlock_kept_by_hook",
    a_hook_keeps_nothing_of_a_stall: "stall_kept_by_hook",
    a_hook_keeps_nothing_of_a_report: "report_kept_by_hook",
    a_platform_is_implemented_by_an_unsafe_impl_only: "safe_platform",
    a_guard_cannot_be_lent_to_a_fiber_of_a_scope: "scoped_guard_lent",
    a_guard_cannot_move_into_a_fiber_of_a_scope: "scoped_guard_moved",
    a_fiber_of_a_scope_cannot_return_a_guard: "scoped_guard_returned",
    a_fiber_of_a_scope_cannot_return_the_access_of_a_writer: "scoped_write_guard_returned",
    a_fiber_of_a_scope_cannot_give_back_the_access_of_another_reader: "scoped_read_guard_moved",
    interrupts_are_not_turned_on_by_a_fiber_of_a_scope: "scoped_irq_guard_moved",
    a_fiber_inside_cannot_be_lent_to_a_fiber_of_a_scope: "scoped_fiber_lent",
    a_fiber_inside_cannot_move_into_a_fiber_of_a_scope: "scoped_fiber_moved",
    a_fiber_of_a_scope_cannot_return_a_fiber_inside: "scoped_fiber_returned",
    a_fiber_of_a_scope_cannot_suspend_the_fiber_around_it: "scoped_yielder_lent",
    what_a_fiber_of_a_scope_captures_is_send: "scoped_not_send",
    what_two_fibers_of_a_scope_share_is_sync: "scoped_shares_not_sync",
    a_fiber_local_is_read_as_what_it_was_bound_as: "local_read_as_wider",
    a_message_is_no_guard: "message_is_guard",
    what_is_made_once_is_no_guard: "once_of_guard",
    a_mutex_has_no_fiber_inside: "mutex_of_fiber",
}

#[test]
fn each_program_fails_for_its_reason_and_for_no_other() {
    let failed: Vec<_> = SHOWN
        .iter()
        .zip(ALL)
        .filter(|(shown, file)| {
            println!("{shown} ({file})");
            std::panic::catch_unwind(|| check(file)).is_err()
        })
        .collect();
    assert!(failed.is_empty(), "not as they say: {failed:#?}");
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ui")
}

#[test]
fn every_file_of_the_folder_is_a_test() {
    let files: BTreeSet<String> = fs::read_dir(folder())
        .expect("the folder of the cases")
        .map(|entry| entry.expect("readable").path())
        .map(|path| {
            path.file_stem()
                .expect("a file")
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    let tests: BTreeSet<String> = ALL.iter().map(ToString::to_string).collect();
    assert_eq!(files, tests);
}

/// The errors of each case, by the name of its file.
type Errors = BTreeMap<String, Vec<Diagnostic>>;

/// What the compiler says of all cases, as they are and with their reason taken out: one build for each.
static BROKEN: LazyLock<Errors> = LazyLock::new(|| build(&[]));
static FIXED: LazyLock<Errors> = LazyLock::new(|| build(&["--features", "fixed"]));

/// Builds all cases as programs of one package, and goes on after each that fails. It is a real build, not a check,
/// because sizes are only looked at when code is generated.
fn build(more: &[&str]) -> Errors {
    let package = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ui");
    fs::create_dir_all(&package).expect("a folder for the package of the cases");
    write_if_changed(&package.join("Cargo.toml"), &manifest());
    // The versions that this build has, so that nothing needs to be looked up or downloaded.
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock");
    fs::copy(lock, package.join("Cargo.lock")).expect("the lock file");
    let mut cargo = Command::new(env::var_os("CARGO").expect("runs under cargo"))
        .args([
            "build",
            "--offline",
            "--keep-going",
            "--message-format=json",
            "--bins",
        ])
        .args(more)
        .current_dir(&package)
        .env("CARGO_TARGET_DIR", package.join("target"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("cargo starts");
    let mut stderr = cargo.stderr.take().expect("piped");
    let talk = std::thread::spawn(move || {
        let mut talk = String::new();
        io::Read::read_to_string(&mut stderr, &mut talk).expect("text");
        talk
    });
    let mut errors: Errors = ALL.iter().map(|&name| (name.into(), Vec::new())).collect();
    let mut has_finished = false;
    let messages = io::BufReader::new(cargo.stdout.take().expect("piped"));
    for message in Message::parse_stream(messages) {
        match message.expect("one message a line") {
            Message::CompilerMessage(of) if of.message.level == DiagnosticLevel::Error => {
                let of_case = errors.get_mut(&of.target.name);
                of_case
                    .expect("only the cases have errors")
                    .push(of.message);
            }
            Message::BuildFinished(_) => has_finished = true,
            _ => {}
        }
    }
    cargo.wait().expect("ends");
    let talk = talk.join().expect("does not panic");
    assert!(has_finished, "the cases were not built:\n{talk}");
    errors
}

/// Keeps the time of a file that is as it should be, so that the build need not begin anew.
fn write_if_changed(path: &Path, text: &str) {
    if fs::read_to_string(path).ok().as_deref() != Some(text) {
        fs::write(path, text).expect("writes the manifest");
    }
}

/// A package with one program for each case.
fn manifest() -> String {
    let kfiber = env!("CARGO_MANIFEST_DIR");
    let mut text = format!(
        "[package]\nname = \"ui\"\nedition = \"2024\"\nautobins = false\n\n[workspace]\n\n\
         [features]\nfixed = []\n\n[dependencies]\nkfiber = {{ path = {kfiber:?} }}\n"
    );
    for name in ALL {
        let path = folder().join(name).with_extension("rs");
        writeln!(text, "\n[[bin]]\nname = {name:?}\npath = {path:?}").expect("a string grows");
    }
    text
}

/// What the head of a case says about its error: `//@ key: value`.
fn expectation<'a>(source: &'a str, key: &str) -> Option<&'a str> {
    source.lines().find_map(|line| {
        line.strip_prefix("//@ ")?
            .strip_prefix(key)?
            .strip_prefix(": ")
    })
}

fn check(name: &str) {
    let source = fs::read_to_string(folder().join(name).with_extension("rs")).expect("the case");
    let phrase = expectation(&source, "says").expect("each case says its phrase");
    let code = expectation(&source, "code");
    let rendered = |of: &[Diagnostic]| {
        of.iter()
            .filter_map(|error| error.rendered.clone())
            .collect::<String>()
    };
    let (broken, fixed) = (&BROKEN[name], &FIXED[name]);
    assert!(!broken.is_empty(), "{name} compiles");
    assert!(
        rendered(broken).contains(phrase),
        "not a word of {phrase:?}:\n{}",
        rendered(broken)
    );
    for error in broken
        .iter()
        .filter(|error| !error.message.starts_with("aborting due to"))
    {
        let found = error.code.as_ref().map(|code| code.code.as_str());
        assert_eq!(found, code, "another error:\n{}", rendered(broken));
    }
    assert!(
        fixed.is_empty(),
        "does not compile for another reason too:\n{}",
        rendered(fixed)
    );
}

//! The program behind `cargo kfiber`; everything it does is in the library `cargo_kfiber`.

use std::process::ExitCode;

fn main() -> ExitCode {
    cargo_kfiber::main()
}

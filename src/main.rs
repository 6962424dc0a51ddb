//! The executable: all it does is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    oc_quay::run(std::env::args_os()).into()
}

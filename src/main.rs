//! The riverhead binary: turns arguments into an exit code.
//!
//! The code is 0 when the work is done, 1 after a failed start, and 64 for wrong usage or configuration. A probe exits with 0 to 2
//! for its result, and with 3 for wrong usage.

use std::{env, process::ExitCode};

use riverhead::{cli::Cli, log};

fn main() -> ExitCode {
    let cli = match Cli::read(env::args_os()) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let code = cli.run(env::vars_os()).unwrap_or_else(|failure| {
        log::flush();
        log::write_with_timeout(std::io::stderr(), format!("{failure}\n"));
        failure.exit_code()
    });
    log::flush();
    code
}

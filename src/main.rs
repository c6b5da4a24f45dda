//! The riverhead binary: arguments in, an exit code out (0 done, 1 failed start, 64 wrong usage or configuration; of a probe
//! 0 to 2 for what it found, 3 for wrong usage).

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

//! The riverhead binary: arguments in, an exit code out (0 done, 1 failed start, 64 wrong usage or configuration; of a probe
//! 0 to 2 for what it found, 3 for wrong usage).

use std::{env, io::Write, process::ExitCode};

use riverhead::cli::Cli;

fn main() -> ExitCode {
    let cli = match Cli::read(env::args_os()) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    match cli.run(env::vars_os()) {
        Ok(code) => code,
        Err(failure) => {
            // Nobody is left to tell when this fails.
            _ = writeln!(std::io::stderr(), "{failure}");
            failure.exit_code()
        }
    }
}

//! Runs one scenario on a cluster of its own and prints what it found: 0 when all is as it must be, 1 when something is
//! not, 64 for wrong usage.

mod cli;

use std::{
    env,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use riverhead_brokers::Cluster;
use riverhead_loadtest::{
    progress::Progress,
    scenarios::{Report, latency::Latency, replay::Replay, resume::Resume, slow::Slow},
};

use crate::cli::{Cli, Command, LatencyArgs, ReplayArgs, ResumeArgs, SlowArgs};

fn main() -> ExitCode {
    let cli = match Cli::read(env::args_os()) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let Some(binary) = cli.binary().filter(|binary| binary.is_file()) else {
        _ = writeln!(
            io::stderr(),
            "error: there is no riverhead beside this program: --binary PATH"
        );
        return ExitCode::from(cli::USAGE);
    };
    let progress = Progress::lines();
    progress.say("starting three brokers");
    let cluster = Cluster::start();
    let run = Run {
        cluster: &cluster,
        binary: &binary,
        progress,
        json: cli.json,
    };
    match cli.command {
        Command::Resume(args) => run.resume(&args),
        Command::Replay(args) => run.replay(&args),
        Command::Slow(args) => run.slow(&args),
        Command::Latency(args) => run.latency(&args),
    }
}

/// What every scenario is run with.
struct Run<'a> {
    cluster: &'a Cluster,
    binary: &'a Path,
    progress: Progress,
    json: bool,
}

impl Run<'_> {
    fn resume(&self, args: &ResumeArgs) -> ExitCode {
        let scenario = Resume {
            binary: self.binary(),
            records: args.records,
            rate: args.rate,
            clients: args.clients,
            cuts: args.cuts,
            kill_every: args.kill_every.0,
            patience: args.patience.0,
            progress: self.progress,
        };
        self.tell(&scenario.run(self.cluster, "resume"))
    }

    fn replay(&self, args: &ReplayArgs) -> ExitCode {
        let scenario = Replay {
            binary: self.binary(),
            records: args.records,
            record_bytes: args.record_bytes,
            clients: args.clients,
            patience: args.patience.0,
            progress: self.progress,
        };
        self.tell(&scenario.run(self.cluster, "replay"))
    }

    fn slow(&self, args: &SlowArgs) -> ExitCode {
        let scenario = Slow {
            binary: self.binary(),
            rate: args.rate,
            warm_up: args.warm_up.0,
            slowly: args.slowly.0,
            memory: args.memory,
            patience: args.patience.0,
            progress: self.progress,
        };
        self.tell(&scenario.run(self.cluster, "slow"))
    }

    /// One rate after the other, and all of them whatever comes of the first.
    fn latency(&self, args: &LatencyArgs) -> ExitCode {
        let mut code = ExitCode::SUCCESS;
        for (index, rate) in args.rates.iter().enumerate() {
            let scenario = Latency {
                binary: self.binary(),
                clients: args.clients,
                rate: *rate,
                duration: args.duration.0,
                warm_up: args.warm_up.0,
                patience: args.patience.0,
                progress: self.progress,
            };
            let this = self.tell(&scenario.run(self.cluster, &format!("latency-{index}")));
            if this != ExitCode::SUCCESS {
                code = this;
            }
        }
        code
    }

    fn binary(&self) -> PathBuf {
        self.binary.to_owned()
    }

    /// The report on stdout; what is wrong with it, and the gateway's log then, on stderr.
    fn tell<R: Report>(&self, report: &R) -> ExitCode {
        let problems = report.problems();
        let text = if self.json {
            serde_json::json!({ "report": report, "problems": problems }).to_string()
        } else {
            report.to_string()
        };
        // Nobody is left to tell when these fail.
        _ = writeln!(io::stdout(), "{text}");
        if problems.is_empty() {
            return ExitCode::SUCCESS;
        }
        _ = writeln!(io::stderr(), "the gateway's log:\n{}", report.log());
        for problem in problems {
            _ = writeln!(io::stderr(), "FAULT: {problem}");
        }
        ExitCode::FAILURE
    }
}

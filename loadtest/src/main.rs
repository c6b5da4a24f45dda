//! Runs one scenario on its own cluster and prints the report. The exit code is 0 if all checks pass, 1 if
//! one fails, and 64 for wrong usage.

mod cli;
mod crowds;

use std::{
    env,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use riverhead_brokers::Cluster;
use riverhead_loadtest::{
    progress::Progress,
    scenarios::{
        Report,
        cold::Cold,
        hog::Hog,
        hostile::Hostile,
        hot_loop::{self, HotLoop},
        latency::Latency,
        libraries::Libraries,
        nemesis::Nemesis,
        replay::Replay,
        resume::Resume,
        slow::Slow,
        slowloris::Slowloris,
        tail::Tail,
        times::Times,
    },
    server::serve_raw,
};

use crate::cli::{
    Cli, ColdArgs, Command, HogArgs, HostileArgs, HotLoopArgs, LatencyArgs, LibrariesArgs, NemesisArgs,
    ReplayArgs, ResumeArgs, SlowArgs, SlowlorisArgs, TailArgs, TimesArgs,
};

fn main() -> ExitCode {
    let cli = match Cli::read(env::args_os()) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    if matches!(cli.command, Command::Raw) {
        return raw();
    }
    let Some(binary) = cli.binary().filter(|binary| binary.is_file()) else {
        _ = writeln!(
            io::stderr(),
            "error: no riverhead binary beside this program; use --binary PATH"
        );
        return ExitCode::from(cli::USAGE);
    };
    let run = Run {
        binary: &binary,
        progress: Progress::lines(),
        json: cli.json,
        html: cli.html.as_deref(),
    };
    match cli.command {
        Command::Resume(args) => run.resume(&args),
        Command::Replay(args) => run.replay(&args),
        Command::Slow(args) => run.slow(&args),
        Command::Latency(args) => run.latency(&args),
        Command::Hog(args) => run.hog(&args),
        Command::Slowloris(args) => run.slowloris(&args),
        Command::Hostile(args) => run.hostile(&args),
        Command::HotLoop(args) => run.hot_loop(&args),
        Command::Libraries(args) => run.libraries(&args),
        Command::Nemesis(args) => run.nemesis(&args),
        Command::Fanout(args) => run.fanout(&args),
        Command::Idle(args) => run.idle(&args),
        Command::Storm(args) => run.storm(&args),
        Command::Reloads(args) => run.reloads(&args),
        Command::Revoke(args) => run.revoke(&args),
        Command::Tenants(args) => run.tenants(&args),
        Command::Replayer(args) => run.replayer(&args),
        Command::Scattered(args) => run.scattered(&args),
        Command::Look(args) => run.look(&args),
        Command::Churn(args) => run.churn(&args),
        Command::Times(args) => run.times(&args),
        Command::Cold(args) => run.cold(&args),
        Command::Tail(args) => run.tail(&args),
        Command::Raw => raw(),
    }
}

/// The options of every scenario.
struct Run<'a> {
    binary: &'a Path,
    progress: Progress,
    json: bool,
    html: Option<&'a Path>,
}

fn raw() -> ExitCode {
    match serve_raw() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If this fails, there is no other way to report it.
            _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn not_installed(clients: &Path) -> ExitCode {
    _ = writeln!(
        io::stderr(),
        "error: the libraries are not installed; run {}/install",
        clients.display()
    );
    ExitCode::from(cli::USAGE)
}

impl Run<'_> {
    fn cluster(&self) -> Cluster {
        self.progress.say("starting three brokers");
        Cluster::start()
    }

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
        self.tell(&scenario.run(&self.cluster(), "resume"))
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
        self.tell(&scenario.run(&self.cluster(), "replay"))
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
        self.tell(&scenario.run(&self.cluster(), "slow"))
    }

    /// Runs one rate after the other, also if the first one fails.
    fn latency(&self, args: &LatencyArgs) -> ExitCode {
        let cluster = self.cluster();
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
            let this = self.tell(&scenario.run(&cluster, &format!("latency-{index}")));
            if this != ExitCode::SUCCESS {
                code = this;
            }
        }
        code
    }

    fn hog(&self, args: &HogArgs) -> ExitCode {
        let scenario = Hog {
            binary: self.binary(),
            attempts: args.attempts,
            at_once: args.at_once,
            limit: args.limit,
            rounds: args.rounds,
            half: args.half.0,
            progress: self.progress,
        };
        self.tell(&scenario.run())
    }

    fn slowloris(&self, args: &SlowlorisArgs) -> ExitCode {
        let scenario = Slowloris {
            binary: self.binary(),
            connections: args.connections,
            addresses: args.addresses,
            pause: args.pause.0,
            quiet: args.quiet.0,
            progress: self.progress,
        };
        self.tell(&scenario.run())
    }

    fn hostile(&self, args: &HostileArgs) -> ExitCode {
        let scenario = Hostile {
            binary: self.binary(),
            clients: args.clients,
            cuts: args.cuts,
            addresses: args.addresses,
            at_once: args.at_once,
            rate: args.rate,
            quiet: args.quiet.0,
            loud: args.loud.0,
            ratio: args.ratio,
            memory: args.memory,
            patience: args.patience.0,
            seed: args.seed.unwrap_or_else(|| fastrand::u64(..)),
            progress: self.progress,
        };
        self.tell(&scenario.run(&self.cluster(), "hostile"))
    }

    fn hot_loop(&self, args: &HotLoopArgs) -> ExitCode {
        if !hot_loop::is_installed(&args.script) {
            _ = writeln!(
                io::stderr(),
                "error: the client is not installed; run npm ci --prefix {}",
                args.script.display()
            );
            return ExitCode::from(cli::USAGE);
        }
        let scenario = HotLoop {
            binary: self.binary(),
            script: args.script.clone(),
            duration: args.duration.0,
            progress: self.progress,
        };
        self.tell(&scenario.run())
    }

    fn libraries(&self, args: &LibrariesArgs) -> ExitCode {
        let Ok(clients) = args.clients.canonicalize() else {
            return not_installed(&args.clients);
        };
        if !Libraries::are_installed(&clients) {
            return not_installed(&args.clients);
        }
        let scenario = Libraries {
            binary: self.binary(),
            clients,
            rate: args.rate,
            drain: args.drain.0,
            patience: args.patience.0,
            progress: self.progress,
        };
        self.tell_or_fail(scenario.run(&self.cluster(), "libraries"))
    }

    fn nemesis(&self, args: &NemesisArgs) -> ExitCode {
        let scenario = Nemesis {
            binary: self.binary(),
            seed: args.seed.unwrap_or_else(|| fastrand::u64(..)),
            duration: args.duration.0,
            round: args.round.0,
            rate: args.rate,
            readers: args.readers,
            patience: args.patience.0,
            progress: self.progress,
        };
        self.progress.say("starting three brokers");
        self.tell_or_fail(scenario.run(&Nemesis::brokers(), "nemesis"))
    }

    fn times(&self, args: &TimesArgs) -> ExitCode {
        let scenario = Times {
            binary: self.binary(),
            clients: args.clients,
            addresses: args.addresses,
            partitions: args.partitions,
            round_trip: args.round_trip.0,
            within: args.within.0,
            bystander_within: args.bystander_within.0,
            patience: args.patience.0,
            progress: self.progress,
        };
        self.tell_or_fail(scenario.run())
    }

    fn cold(&self, args: &ColdArgs) -> ExitCode {
        let scenario = Cold {
            binary: self.binary(),
            partitions: args.partitions,
            records: args.records,
            within: args.within.0,
            patience: args.patience.0,
            progress: self.progress,
        };
        self.tell_or_fail(scenario.run())
    }

    fn tail(&self, args: &TailArgs) -> ExitCode {
        let scenario = Tail {
            binary: self.binary(),
            rate: args.rate,
            record_bytes: args.record_bytes,
            duration: args.duration.0,
            template: args.template.clone(),
            progress: self.progress,
        };
        self.tell_or_fail(scenario.run())
    }

    fn binary(&self) -> PathBuf {
        self.binary.to_owned()
    }

    /// Writes the report to stdout. If a check fails, also writes the finding and the gateway's log to
    /// stderr.
    fn tell<R: Report>(&self, report: &R) -> ExitCode {
        let problems = report.problems();
        let text = if self.json {
            serde_json::json!({ "report": report, "problems": problems }).to_string()
        } else {
            report.to_string()
        };
        // If these fail, there is no other way to report it.
        _ = writeln!(io::stdout(), "{text}");
        if let (Some(file), Some(page)) = (self.html, report.page())
            && let Err(error) = page.write(file)
        {
            _ = writeln!(io::stderr(), "error: {}: {error}", file.display());
        }
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

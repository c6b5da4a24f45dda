//! Runs the scenarios with thousands of clients.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use riverhead_loadtest::scenarios::{
    Report,
    churn::Churn,
    fanout::{Fanout, Load},
    idle::Idle,
    look::Look,
    reloads::Reloads,
    replayer::Replayer,
    revoke::Revoke,
    scattered::Scattered,
    storm::{RestartKind, Storm},
    tenants::Tenants,
};

use crate::{
    Run,
    cli::crowds::{
        ChurnArgs, FanoutArgs, IdleArgs, LookArgs, ReloadsArgs, ReplayerArgs, RevokeArgs, ScatteredArgs,
        StormArgs, TenantsArgs,
    },
};

impl Run<'_> {
    pub(crate) fn fanout(&self, args: &FanoutArgs) -> ExitCode {
        let scenario = Fanout {
            binary: self.binary,
            peers: args.peers.clone(),
            settings: args.common.settings.clone(),
            servers: args.servers(),
            loads: loads(args),
            kafka_sse_clients: args.kafkasse_clients,
            rounds: args.rounds,
            warm_up: args.warm_up.0,
            duration: args.duration.0,
            record_bytes: args.record_bytes,
            addresses: args.common.addresses,
            judge_every: args.judge_every(),
            server_cpus: args.common.server_cpus,
            patience: args.patience.0,
            progress: self.progress,
        };
        self.tell_or_fail(scenario.run())
    }

    pub(crate) fn idle(&self, args: &IdleArgs) -> ExitCode {
        let scenario = Idle {
            binary: self.binary,
            peers: args.peers.clone(),
            settings: args.common.settings.clone(),
            servers: args.servers.clone(),
            clients: args.clients,
            addresses: args.common.addresses,
            rounds: args.rounds,
            duration: args.duration.0,
            server_cpus: args.common.server_cpus,
            progress: self.progress,
        };
        self.tell_or_fail(scenario.run())
    }

    pub(crate) fn storm(&self, args: &StormArgs) -> ExitCode {
        let scenario = Storm {
            binary: self.binary(),
            settings: args.common.settings.clone(),
            clients: args.clients,
            addresses: args.common.addresses,
            rate: args.rate,
            record_bytes: args.record_bytes,
            back: (!args.restart).then_some(args.back.0),
            restart: if args.hot {
                RestartKind::Hot
            } else {
                RestartKind::Cold
            },
            tls: args.tls,
            within: args.within.0,
            quiet: args.quiet.0,
            server_cpus: args.common.server_cpus,
            patience: args.patience.0,
            progress: self.progress,
        };
        self.tell_or_fail(scenario.run())
    }

    pub(crate) fn reloads(&self, args: &ReloadsArgs) -> ExitCode {
        let scenario = Reloads {
            binary: self.binary(),
            settings: args.common.settings.clone(),
            clients: args.clients,
            addresses: args.common.addresses,
            rate: args.rate,
            record_bytes: args.record_bytes,
            streams: args.streams,
            rounds: args.rounds,
            quiet: args.quiet.0,
            server_cpus: args.common.server_cpus,
            patience: args.patience.0,
            progress: self.progress,
        };
        self.tell_or_fail(scenario.run())
    }

    pub(crate) fn revoke(&self, args: &RevokeArgs) -> ExitCode {
        let scenario = Revoke {
            binary: self.binary(),
            settings: args.common.settings.clone(),
            clients: args.clients,
            revoked: args.revoked(),
            addresses: args.common.addresses,
            rate: args.rate,
            record_bytes: args.record_bytes,
            quiet: args.quiet.0,
            server_cpus: args.common.server_cpus,
            patience: args.patience.0,
            progress: self.progress,
        };
        self.tell_or_fail(scenario.run())
    }

    pub(crate) fn tenants(&self, args: &TenantsArgs) -> ExitCode {
        let scenario = Tenants {
            binary: self.binary(),
            settings: args.common.settings.clone(),
            tenants: args.tenants,
            few: args.few,
            rate: args.rate,
            crowd: args.crowd,
            crowd_rate: args.crowd_rate,
            addresses: args.common.addresses,
            record_bytes: args.record_bytes,
            rounds: args.rounds,
            warm_up: args.warm_up.0,
            duration: args.duration.0,
            server_cpus: args.common.server_cpus,
            patience: args.patience.0,
            progress: self.progress,
        };
        self.tell_or_fail(scenario.run())
    }

    pub(crate) fn replayer(&self, args: &ReplayerArgs) -> ExitCode {
        let scenario = Replayer {
            binary: self.binary(),
            settings: args.settings.clone(),
            records: args.records,
            record_bytes: args.record_bytes,
            rounds: args.rounds,
            server_cpus: args.server_cpus,
            patience: args.patience.0,
            progress: self.progress,
        };
        self.tell_or_fail(scenario.run())
    }

    pub(crate) fn churn(&self, args: &ChurnArgs) -> ExitCode {
        let scenario = Churn {
            binary: self.binary(),
            settings: args.settings.clone(),
            connects: args.connects,
            rate: args.rate,
            record_bytes: args.record_bytes,
            addresses: args.addresses,
            duration: args.duration.0,
            progress: self.progress,
        };
        self.tell_or_fail(scenario.run(&self.cluster(), "churn"))
    }

    pub(crate) fn scattered(&self, args: &ScatteredArgs) -> ExitCode {
        let log = args.log.unwrap_or((10 * args.cache).max(LEAST_LOG));
        let scenario = Scattered {
            binary: self.binary(),
            settings: args.settings.clone(),
            clients: args.clients,
            partitions: args.partitions.into(),
            cache: args.cache,
            log_bytes: log << 20,
            record_bytes: args.record_bytes,
            pace: args.pace.map(|pace| pace << 10),
            history_rate: args.history_rate.map(|rate| rate << 20),
            duration: args.duration.0,
            server_cpus: args.server_cpus,
            alone: !args.together,
            progress: self.progress,
        };
        self.tell_or_fail(scenario.run())
    }

    pub(crate) fn look(&self, args: &LookArgs) -> ExitCode {
        let scenario = Look {
            binary: self.binary(),
            settings: args.settings.clone(),
            partitions: args.partitions.into(),
            looks: args.looks,
            events: args.events,
            log_bytes: args.log << 20,
            record_bytes: args.record_bytes,
            patience: args.patience.0,
            progress: self.progress,
        };
        self.tell_or_fail(scenario.run())
    }

    pub(crate) fn tell_or_fail<R: Report>(&self, report: io::Result<R>) -> ExitCode {
        match report {
            Ok(report) => self.tell(&report),
            Err(error) => {
                // If this fails, there is no other way to report it.
                _ = writeln!(io::stderr(), "error: {error}");
                ExitCode::FAILURE
            }
        }
    }
}

/// MiB of the log of `scattered`. With a smaller log, what a run has begun to fetch when it ends would be a
/// large part.
const LEAST_LOG: u64 = 640;

/// Returns every combination, ordered so that neighbors differ in as little as possible.
fn loads(args: &FanoutArgs) -> Vec<Load> {
    let mut loads = Vec::new();
    for clients in &args.clients {
        for rate in &args.rates {
            for filters in &args.filters {
                for query in &args.queries {
                    loads.extend(args.stream_keys.iter().map(|stream_keys| Load {
                        clients: *clients,
                        rate: *rate,
                        filters: *filters,
                        query: query.clone(),
                        stream_keys: stream_keys.clone(),
                    }));
                }
            }
        }
    }
    loads
}

//! The gateway is restarted while its clients are live: it is killed and another one takes its address, or it hands over to a
//! successor.

use std::{
    io,
    sync::atomic::Ordering::Relaxed,
    thread,
    time::{Duration, Instant},
};

use super::{
    ListenAddresses, Report, RestartKind, Storm, StormSetup,
    tls::StormTls,
    watch::{OtherStream, ResourceMonitor},
};
use crate::{
    ask::Ask,
    crowd::{ClientTask, LoadClients, address},
    gateway::Gateway,
    handover::Successor,
    process::Process,
    server::PARTITIONS,
    writer::{Writer, producer},
};

/// The gateway that serves after a restart.
struct RestartedGateway {
    /// The process that serves, if it took over from the gateway.
    successor: Option<Successor>,
    gateway: Gateway,
}

impl Storm {
    pub(super) fn restart(&self, stage: StormSetup<'_>) -> io::Result<Report> {
        let gateway = self.gateway(stage, None)?;
        let crowd = self.connect(stage, &gateway)?;
        let writer = Writer::start(
            producer(stage.cluster, stage.topic, self.record_bytes, None),
            0,
            self.rate,
        );
        // Without TLS and without a successor the clients cost a gateway too little to be noticed by others.
        let is_watched = self.tls.is_some() || self.restart == RestartKind::Hot;
        let others = is_watched.then(|| OtherStream::start(stage));
        let onlooker = others.as_ref().map(|others| others.onlooker(stage, gateway.http));
        let onlooker = onlooker.transpose()?;
        thread::sleep(self.quiet);
        let felt_before = onlooker.map(|onlooker| onlooker.finish()).transpose()?;

        let mut handshakes = StormTls::meter(&crowd.tally);
        stage.tls.iter().for_each(|tls| tls.come_back());
        let (before, ended_before) = (writer.written(), crowd.tally.ended.load(Relaxed));
        let began = Instant::now();
        let restarted = self.replace(stage, gateway)?;
        let process = restarted.process();
        let onlooker = others
            .as_ref()
            .map(|others| others.onlooker(stage, restarted.gateway.http));
        let onlooker = onlooker.transpose()?;
        let (resident, cpu) = (process.resident()?, process.cpu()?);
        let mut watch = ResourceMonitor::new(stage.cluster, process);
        // A stream that has not noticed the end yet is no proof, and one that is still to be drained is none
        // either. So all clients must have come back, and have what was written since.
        let live = self.wait_until_live(&crowd, &writer, before + PARTITIONS as u64, began, || {
            watch.look();
            handshakes.look();
            let (ended, here) = (crowd.tally.ended.load(Relaxed), crowd.tally.here.load(Relaxed));
            ended - ended_before >= self.clients as u64 && here == self.clients as u64
        });
        let cpu = process.cpu()? - cpu;
        let felt = onlooker.map(|onlooker| onlooker.finish()).transpose()?;
        let written = writer.finish();
        others.into_iter().for_each(OtherStream::finish);
        _ = crowd.wait_for(written, self.patience);
        let mut report = Report::new(self, &crowd, &restarted.gateway, written - before);
        report.live = live.map(|took| took.as_secs_f64());
        report.broker_connections = Some(watch.connections);
        report.resident = (resident, watch.resident);
        report.cpu = cpu.as_secs_f64();
        report.handshakes = stage.tls.map(|tls| tls.figures(&handshakes));
        if let Some(((before, lasted_before), (felt, lasted))) = felt_before.zip(felt) {
            report.onlooker = Some((before, felt));
            report.onlooker_lasted = lasted_before && lasted;
        }
        report.finish(crowd)
    }

    /// Connects all clients, and waits until their streams have begun.
    fn connect(&self, stage: StormSetup<'_>, gateway: &Gateway) -> io::Result<LoadClients> {
        self.progress
            .say(format_args!("{} clients connect", self.clients));
        let trust = stage.tls.map(StormTls::trust);
        let server = match &trust {
            None => gateway.http,
            Some(_) => gateway.https.ok_or(io::ErrorKind::NotFound)?,
        };
        let addresses = self.addresses;
        // A drain spreads the clients by itself.
        let back = match self.restart {
            RestartKind::Cold => self.within,
            RestartKind::Hot => Duration::ZERO,
        };
        let crowd = LoadClients::start(self.crowd(server, true), None, Some(back), move |client| {
            let mut ask = Ask::new("/v2/stream/numbers").over(trust.clone());
            ask.from = Some(address(client, addresses));
            ClientTask {
                ask,
                next: Some((0..PARTITIONS as u64).collect()),
            }
        })?;
        match crowd.wait_until_here(self.patience) {
            Some(_) => Ok(crowd),
            None => Err(io::Error::other("not every stream began")),
        }
    }

    fn replace(&self, stage: StormSetup<'_>, gateway: Gateway) -> io::Result<RestartedGateway> {
        match self.restart {
            RestartKind::Cold => {
                self.progress.say("the gateway is killed, and a new one starts");
                let listen = ListenAddresses {
                    http: gateway.http,
                    https: gateway.https,
                };
                drop(gateway);
                Ok(RestartedGateway {
                    successor: None,
                    gateway: self.gateway(stage, Some(listen))?,
                })
            }
            RestartKind::Hot => {
                self.progress.say("the gateway hands over to a successor");
                Ok(RestartedGateway {
                    successor: Some(gateway.hand_over(TAKEN_OVER)?),
                    gateway,
                })
            }
        }
    }
}

impl RestartedGateway {
    /// Returns the process that serves.
    fn process(&self) -> Process {
        match &self.successor {
            None => self.gateway.process(),
            Some(successor) => Process::new(successor.pid),
        }
    }
}

/// Longer than a successor waits for an answer of the brokers.
const TAKEN_OVER: Duration = Duration::from_secs(40);

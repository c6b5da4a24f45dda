//! Clients resume from minutes ago, at a gateway that has none of these records in memory.

use std::{
    io, thread,
    time::{Duration, Instant},
};

use riverhead_brokers::Producer;

use super::{
    Report, Storm, StormSetup,
    cuts::{Cut, cuts},
    watch::{OtherStream, ResourceMonitor},
};
use crate::{
    ask::Ask,
    crowd::{ClientTask, LoadClients, address},
    writer::{Writer, now},
    yardstick,
};

impl Storm {
    pub(super) fn resume(&self, stage: StormSetup<'_>, back: Duration) -> io::Result<Report> {
        let cluster = stage.cluster;
        let count = (self.rate * back.as_secs_f64()) as u64;
        self.progress.say(format_args!(
            "writing {count} records with timestamps from {back:?} ago on"
        ));
        let producer = self.write_history(stage, count, back);
        self.progress.say("reading the log once with a plain consumer");
        let unique = yardstick::bytes_to_read_once(cluster, &[stage.topic.to_owned()], count as usize);
        let cuts = self.cut(stage)?;
        let writer = Writer::start(producer, count, self.rate);
        let others = OtherStream::start(stage);
        let gateway = self.gateway(stage, None)?;

        self.progress.say("the gateway runs undisturbed");
        let onlooker = others.onlooker(stage, gateway.http)?;
        let quiet = ResourceMonitor::new(cluster, gateway.process());
        thread::sleep(self.quiet);
        let usual = quiet.fetched() as f64 / self.quiet.as_secs_f64();
        let (felt_before, lasted_before) = onlooker.finish()?;

        self.progress.say(format_args!("{} clients resume", self.clients));
        let onlooker = others.onlooker(stage, gateway.http)?;
        let (resident, cpu) = (gateway.resident()?, gateway.cpu()?);
        let mut watch = ResourceMonitor::new(cluster, gateway.process());
        let first = cuts
            .iter()
            .flat_map(|cut| &cut.next)
            .min()
            .copied()
            .unwrap_or_default();
        let began = Instant::now();
        let crowd = self.come_back(gateway.http, cuts)?;
        let live = self.wait_until_live(&crowd, &writer, count, began, || {
            watch.look();
            true
        });
        let fetched = watch.fetched() as f64 - usual * began.elapsed().as_secs_f64();
        let cpu = gateway.cpu()? - cpu;
        let (felt, lasted) = onlooker.finish()?;

        let written = writer.finish();
        others.finish();
        _ = crowd.wait_for(written, self.patience);
        let mut report = Report::new(self, &crowd, &gateway, written - first);
        report.live = live.map(|took| took.as_secs_f64());
        report.fetched = Some(fetched.max(0.0));
        report.unique = Some(unique);
        report.broker_connections = Some(watch.connections);
        report.resident = (resident, watch.resident);
        report.cpu = cpu.as_secs_f64();
        report.onlooker = Some((felt_before, felt));
        report.onlooker_lasted = lasted_before && lasted;
        report.finish(crowd)
    }

    /// Writes the records now, as fast as the brokers accept them, with timestamps of the past.
    fn write_history(&self, stage: StormSetup<'_>, count: u64, back: Duration) -> Producer {
        let (begin, rate) = (now() - back.as_millis() as i64, self.rate);
        let mut producer = stage
            .cluster
            .producer(stage.topic)
            .record_bytes(self.record_bytes)
            .property("linger.ms", "0")
            .numbers_from(0)
            .timestamp(move |number| {
                if number < count {
                    begin + (number as f64 * 1e3 / rate) as i64
                } else {
                    now()
                }
            })
            .start();
        producer.send(count);
        producer.flush();
        producer
    }

    /// Reads the ids through another gateway: ids are the same for all.
    fn cut(&self, stage: StormSetup<'_>) -> io::Result<Vec<Cut>> {
        let gateway = self.gateway(stage, None)?;
        let events = (self.rate * self.within.as_secs_f64()).max(1.0) as usize;
        self.progress.say(format_args!(
            "clients are cut at {events} positions of the log's first {:?}",
            self.within
        ));
        cuts(gateway.http, events)
    }

    fn come_back(&self, server: std::net::SocketAddr, cuts: Vec<Cut>) -> io::Result<LoadClients> {
        let addresses = self.addresses;
        LoadClients::start(self.crowd(server, false), None, None, move |client| {
            let cut = &cuts[client % cuts.len()];
            let mut ask = Ask::new("/v2/stream/numbers").resume(Some(cut.id.clone()));
            ask.from = Some(address(client, addresses));
            ClientTask {
                ask,
                next: Some(cut.next.clone()),
            }
        })
    }
}

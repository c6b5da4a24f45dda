//! The gateway is killed while its clients are live, and another one takes its address.

use std::{io, thread, time::Instant};

use super::{Report, Storm, StormSetup, watch::ResourceMonitor};
use crate::{
    ask::Ask,
    crowd::{ClientTask, LoadClients, address},
    server::PARTITIONS,
    writer::{Writer, producer},
};

impl Storm {
    pub(super) fn restart(&self, stage: StormSetup<'_>) -> io::Result<Report> {
        let gateway = self.gateway(stage, None)?;
        let server = gateway.http;
        self.progress
            .say(format_args!("{} clients connect", self.clients));
        let addresses = self.addresses;
        let crowd = LoadClients::start(self.crowd(server, true), None, Some(self.within), move |client| {
            let mut ask = Ask::new("/v2/stream/numbers");
            ask.from = Some(address(client, addresses));
            ClientTask {
                ask,
                next: Some((0..PARTITIONS as u64).collect()),
            }
        })?;
        if crowd.wait_until_here(self.patience).is_none() {
            return Err(io::Error::other("not every stream began"));
        }
        let writer = Writer::start(
            producer(stage.cluster, stage.topic, self.record_bytes, None),
            0,
            self.rate,
        );
        thread::sleep(self.quiet);

        self.progress.say("the gateway is killed, and a new one starts");
        let before = writer.written();
        let began = Instant::now();
        drop(gateway);
        let gateway = self.gateway(stage, Some(server))?;
        let (resident, cpu) = (gateway.resident()?, gateway.cpu()?);
        let mut watch = ResourceMonitor::new(stage.cluster, &gateway);
        // A stream that has not noticed the end yet is no proof. So all clients must have what was written
        // since.
        let live = self.wait_until_live(&crowd, &writer, before + PARTITIONS as u64, began, || {
            watch.look()
        });
        let cpu = gateway.cpu()? - cpu;
        let written = writer.finish();
        _ = crowd.wait_for(written, self.patience);
        let mut report = Report::new(self, &crowd, &gateway, written - before);
        report.live = live.map(|took| took.as_secs_f64());
        report.broker_connections = Some(watch.connections);
        report.resident = (resident, watch.resident);
        report.cpu = cpu.as_secs_f64();
        report.finish(crowd)
    }
}

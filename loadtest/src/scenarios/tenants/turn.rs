//! One kind of readers in one round.

use std::{
    io,
    sync::atomic::Ordering::Relaxed,
    thread,
    time::{Duration, Instant},
};

use riverhead_brokers::{Cluster, Producer};
use serde::Serialize;

use super::{Readers, Tenants, issuer::Issuer};
use crate::{
    ask::Ask,
    crowd::{ClientTask, LoadClients, LoadPlan, NEVER, address},
    gateway::{Gateway, GatewayPlan},
    numbers::Faults,
    pins::Pins,
    scenarios::DETERMINED,
    server::{self, PARTITIONS},
    table::figure,
    writer::Writer,
};

/// The figures of one kind of readers in one round.
#[derive(Clone, Debug, Serialize)]
pub struct TenantsRound {
    /// Who reads.
    pub readers: Readers,
    /// Seconds until every stream had begun.
    pub connected: f64,
    /// The gateway's processor time per event that was written, in microseconds.
    pub cpu_an_event: f64,
    /// The same per event that a client received.
    pub cpu_a_delivery: f64,
    /// Events per second that all clients received together.
    pub deliveries: f64,
    /// Growth of the resident memory from before the first client until all streams had begun, per client, in bytes.
    pub resident: f64,
    /// The number of clients.
    pub clients: usize,
    /// The number of clients that received everything that was for them.
    pub finished: usize,
    /// The faults of all clients together. An event of another tenant counts as invented.
    pub faults: Faults,
    /// The number of streams that ended, and of connections that got none.
    pub ended: u64,
    /// The number of gap events.
    pub gaps: u64,
    /// The gateway's log.
    #[serde(skip)]
    pub log: String,
}

/// Figures of the measured time.
struct Measured {
    cpu: Duration,
    took: Duration,
    written: u64,
    deliveries: f64,
}

impl TenantsRound {
    /// Returns the figures as one line.
    pub(super) fn summary(&self) -> String {
        format!(
            "{:.2} us an event, {} us a delivery, {:.2} KB a client; finished {} of {}, {}",
            self.cpu_an_event,
            figure(Some(self.cpu_a_delivery), 2),
            self.resident / 1e3,
            self.finished,
            self.clients,
            self.faults,
        )
    }

    /// Returns whether all clients received exactly what was for them.
    pub(super) fn is_good(&self) -> bool {
        self.finished == self.clients && self.faults.none() && self.ended == 0 && self.gaps == 0
    }
}

impl Tenants {
    pub(super) fn turn(&self, readers: Readers, cluster: &Cluster, pins: &Pins) -> io::Result<TenantsRound> {
        let topic = format!("tenants-{}", fastrand::u32(..));
        server::create(cluster, &topic);
        let issuer = Issuer::create()?;
        let gateway = pins.on_server(|| self.gateway(readers, cluster, &topic, &issuer))?;
        gateway.wait_for_partitions(PARTITIONS, DETERMINED);
        let before = gateway.resident()?;
        let crowd = self.readers_of(readers, &gateway, &issuer)?;
        let connected = crowd.wait_until_here(self.patience);
        let connected = connected
            .ok_or_else(|| io::Error::other(format!("not every stream began\n{}", gateway.log())))?;
        let resident = gateway.resident()?;
        let writer = Writer::start(self.producer(readers, cluster, &topic), 0, self.rate_of(readers));
        let measured = self.measure(&gateway, &crowd, &writer)?;
        let written = writer.finish();
        _ = crowd.wait_for(written, self.patience);
        let (ended, gaps) = (crowd.tally.gone(), crowd.tally.gaps.load(Relaxed));
        let outcome = crowd.finish()?;
        let cpu = measured.cpu.as_secs_f64() * 1e6;
        Ok(TenantsRound {
            readers,
            connected: connected.as_secs_f64(),
            cpu_an_event: cpu / measured.written as f64,
            cpu_a_delivery: cpu / measured.deliveries,
            deliveries: measured.deliveries / measured.took.as_secs_f64(),
            resident: (resident as f64 - before as f64) / readers.clients() as f64,
            clients: outcome.judged,
            finished: outcome.finished,
            faults: outcome.faults,
            ended,
            gaps,
            log: gateway.log(),
        })
    }

    fn measure(&self, gateway: &Gateway, crowd: &LoadClients, writer: &Writer) -> io::Result<Measured> {
        thread::sleep(self.warm_up);
        let (began, cpu) = (Instant::now(), gateway.cpu()?);
        let (written, delivered) = (writer.written(), crowd.tally.delivered());
        thread::sleep(self.duration);
        Ok(Measured {
            took: began.elapsed(),
            cpu: gateway.cpu()? - cpu,
            written: writer.written() - written,
            deliveries: crowd.tally.delivered().since(delivered).events(),
        })
    }

    fn gateway(
        &self,
        readers: Readers,
        cluster: &Cluster,
        topic: &str,
        issuer: &Issuer,
    ) -> io::Result<Gateway> {
        let mut plan = GatewayPlan::new(&self.binary, cluster.bootstrap_list(), "numbers", &[topic])
            .room_for(readers.clients())
            .set("RIVERHEAD_LOG__LEVEL", "warn")
            // Events are measured, and not the heartbeats of those who get few.
            .set("RIVERHEAD_HTTP__HEARTBEAT", "30m")
            .set("RIVERHEAD_HTTP__STALL_TIMEOUT", "1h");
        let keys = match readers {
            Readers::Public(_) => None,
            Readers::Access(_) => Some("access = [\"read\"]\n"),
            Readers::Tenants(_) => Some("only = 'tenant = $tenant_id'\n"),
        };
        plan.further = keys.map_or_else(String::new, |keys| format!("{keys}{}", issuer.section()));
        plan = plan.set_all(&self.settings);
        plan.start()
    }

    /// Connects all clients, each with a token of its own where one is needed.
    fn readers_of(&self, readers: Readers, gateway: &Gateway, issuer: &Issuer) -> io::Result<LoadClients> {
        let clients = readers.clients();
        let plan = LoadPlan {
            server: gateway.http,
            clients,
            partitions: PARTITIONS,
            judge_every: 1,
            keep_ids: false,
        };
        let tokens: Vec<String> = match readers {
            Readers::Public(_) => Vec::new(),
            Readers::Access(_) | Readers::Tenants(_) => (0..clients)
                .map(|client| issuer.token(&name(client)))
                .collect::<io::Result<_>>()?,
        };
        let (addresses, step) = (self.addresses, step_of(readers));
        LoadClients::start_stepping(plan, step, move |client| {
            let mut ask = Ask::new("/v2/stream/numbers");
            ask.from = Some(address(client, addresses));
            let token = tokens.get(client);
            ask.headers
                .extend(token.map(|token| format!("Authorization: Bearer {token}")));
            let first = match readers {
                Readers::Tenants(_) => client as u64,
                Readers::Public(_) | Readers::Access(_) => 0,
            };
            ClientTask {
                ask,
                next: Some(first_numbers(first, step)),
            }
        })
    }

    /// Returns the producer of records that belong to the tenants in turn.
    fn producer(&self, readers: Readers, cluster: &Cluster, topic: &str) -> Producer {
        let tenants = match readers {
            Readers::Tenants(tenants) => tenants,
            // Nobody looks at the field. It is there so that records are equal.
            Readers::Public(_) | Readers::Access(_) => self.tenants,
        };
        cluster
            .producer(topic)
            .record_bytes(self.record_bytes)
            .property("linger.ms", "0")
            .numbers_from(0)
            .fields(move |number| format!("\"tenant\":\"{}\",", name(number as usize % tenants)))
            .start()
    }

    fn rate_of(&self, readers: Readers) -> f64 {
        match readers {
            Readers::Tenants(_) | Readers::Public(1) => self.rate,
            Readers::Public(_) | Readers::Access(_) => self.crowd_rate,
        }
    }
}

fn name(tenant: usize) -> String {
    format!("t{tenant}")
}

/// Returns the distance of two numbers of a client.
fn step_of(readers: Readers) -> u64 {
    match readers {
        Readers::Tenants(tenants) => tenants as u64,
        Readers::Public(_) | Readers::Access(_) => 1,
    }
}

/// Returns the first of the numbers `first`, `first + step` and so on in each partition.
fn first_numbers(first: u64, step: u64) -> Vec<u64> {
    let partitions = PARTITIONS as u64;
    let mut numbers = vec![NEVER; PARTITIONS];
    for number in (0..partitions).map(|turn| first + turn * step) {
        let of = &mut numbers[(number % partitions) as usize];
        *of = number.min(*of);
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_begins_with_its_first_number_of_each_partition() {
        assert_eq!(first_numbers(0, 1), [0, 1, 2]);
        assert_eq!(first_numbers(1, 4), [9, 1, 5]);
        assert_eq!(first_numbers(2, 10), [12, 22, 2]);
        assert_eq!(first_numbers(1, 3), [NEVER, 1, NEVER]);
    }
}

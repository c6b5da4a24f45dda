//! Every decision, against a model that counts one by one.

use proptest::{collection::vec, prelude::*};

use super::*;

/// A client opens a stream, or its oldest stream ends.
#[derive(Clone, Copy, Debug)]
enum Step {
    Connect { client: usize, names: usize },
    Disconnect { client: usize },
}

/// Two IPv4 addresses, one of them in a network with more streams; three networks of one /48; one of another; a probe.
const CLIENTS: [&str; 7] = [
    "192.0.2.1",
    "198.51.100.1",
    "2001:db8:1:1::1",
    "2001:db8:1:2::1",
    "2001:db8:1:3::1",
    "2001:db8:2:1::1",
    "203.0.113.1",
];
const PROBE: usize = 6;
const RAISED: usize = 1;
const NAMES: [&[&str]; 4] = [&["edits"], &["pages"], &["edits", "pages"], &["free"]];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let client = 0..CLIENTS.len();
    let step = prop_oneof![
        4 => (client.clone(), 0..NAMES.len()).prop_map(|(client, names)| Step::Connect { client, names }),
        2 => client.prop_map(|client| Step::Disconnect { client }),
    ];
    vec(step, 0..200)
}

#[derive(Clone, Copy, Debug)]
struct ModelLimits {
    per_client: u32,
    raised: u32,
    per_name: u32,
    total: u32,
}

fn limits() -> impl Strategy<Value = ModelLimits> {
    (1..6u32, 1..12u32, 1..30u32, 1..40u32).prop_map(|(per_client, raised, per_name, total)| ModelLimits {
        per_client,
        raised,
        per_name,
        total,
    })
}

impl ModelLimits {
    fn settings(self) -> LimitSettings {
        let mut raised = crate::limits::settings::NetworkLimits::new("198.51.100.0/24".parse().unwrap());
        raised.streams_per_client = NonZeroU32::new(self.raised);
        LimitSettings {
            networks: vec![raised],
            probes: vec!["203.0.113.0/24".parse().unwrap()],
            clients_per_stream: NonZeroU32::new(self.per_name),
            max_clients: [("free".into(), None)].into(),
            ..super::limits(self.per_client, self.total)
        }
    }
}

/// The open streams: the client, the names, whether on a reserved slot, and the permit.
#[derive(Default)]
struct Model(Vec<(usize, &'static [&'static str], bool, Permit)>);

impl Model {
    fn count(&self, which: impl Fn(usize, &[&str]) -> bool) -> usize {
        self.0
            .iter()
            .filter(|(client, names, ..)| which(*client, names))
            .count()
    }

    /// Decides about a request. Returns whether it gets a reserved slot.
    fn decide(&self, limits: ModelLimits, client: usize, names: &[&str]) -> Result<bool, Refusal> {
        let per_client = if client == RAISED {
            limits.raised
        } else {
            limits.per_client
        } as usize;
        let held = self.count(|other, _| other == client);
        if held >= per_client {
            return Err(Refusal::Client);
        }
        let site = |client: usize| CLIENTS[client].strip_prefix("2001:db8:").map(|rest| &rest[..1]);
        let of_site = self.count(|other, _| site(other) == site(client));
        if site(client).is_some() && of_site >= 8 * per_client {
            return Err(Refusal::Site);
        }
        let is_full = |name: &&str| {
            *name != "free" && self.count(|_, names| names.contains(name)) >= limits.per_name as usize
        };
        if client != PROBE && names.iter().any(is_full) {
            return Err(Refusal::Stream);
        }
        let reserve = 8.min(limits.total / 2);
        let newcomers = if held == 0 { 0 } else { limits.total.div_ceil(8) };
        let slots = limits.total.saturating_sub(reserve + newcomers) as usize;
        let reserved = self.0.iter().filter(|(.., is_reserved, _)| *is_reserved).count();
        if self.0.len() - reserved < slots {
            Ok(false)
        } else if client == PROBE && reserved < reserve as usize {
            Ok(true)
        } else {
            Err(Refusal::Host)
        }
    }
}

proptest! {
    #[test]
    fn every_decision_is_the_models(limits in limits(), steps in steps()) {
        let fixture = AdmissionFixture::new(&limits.settings());
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Connect { client, names } => {
                    let expected = model.decide(limits, client, NAMES[names]);
                    let admitted = fixture.admit_to(CLIENTS[client], NAMES[names]);
                    prop_assert_eq!(admitted.as_ref().err().copied(), expected.err());
                    let admitted_to = admitted.ok().zip(expected.ok());
                    model.0.extend(admitted_to.map(|(permit, is_reserved)| (client, NAMES[names], is_reserved, permit)));
                }
                Step::Disconnect { client } => {
                    let oldest = model.0.iter().position(|(other, ..)| *other == client);
                    oldest.map(|oldest| model.0.remove(oldest));
                }
            }
            prop_assert_eq!(fixture.open_streams.open() as usize, model.0.len());
            let clients = (0..CLIENTS.len()).filter(|client| model.count(|other, _| other == *client) > 0);
            prop_assert_eq!(fixture.open_streams.clients(), clients.count());
        }
        drop(model);
        prop_assert!(fixture.open_streams.is_clear());
    }
}

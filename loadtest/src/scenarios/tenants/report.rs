//! Medians over the rounds, and their ratios.

use std::fmt;

use serde::Serialize;

use super::{Readers, TenantsRound};
use crate::{
    scenarios::problems,
    table::{Table, figure, median},
};

/// The result of the scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The figures of each turn.
    pub turns: Vec<TenantsRound>,
    #[serde(skip)]
    log: String,
}

impl Report {
    pub(super) fn new(turns: Vec<TenantsRound>) -> Self {
        let bad = turns.iter().filter(|turn| !turn.is_good());
        let log = bad.map(|turn| turn.log.as_str()).collect();
        Self { turns, log }
    }

    /// Returns the kinds of readers in the order of a round.
    fn kinds(&self) -> Vec<Readers> {
        let mut kinds = Vec::new();
        for turn in &self.turns {
            if !kinds.contains(&turn.readers) {
                kinds.push(turn.readers);
            }
        }
        kinds
    }

    fn median(&self, readers: Readers, of: impl Fn(&TenantsRound) -> f64) -> Option<f64> {
        let turns = self.turns.iter().filter(|turn| turn.readers == readers);
        median(turns.map(of))
    }

    /// Returns the ratio of a figure of two kinds of readers.
    fn ratio(
        &self,
        of: Option<Readers>,
        to: Option<Readers>,
        figure: impl Fn(&TenantsRound) -> f64 + Copy,
    ) -> Option<f64> {
        Some(self.median(of?, figure)? / self.median(to?, figure)?)
    }

    /// Returns what an event costs beside the most tenants: compared with the fewest, and with one client of a public stream.
    pub fn event_ratios(&self) -> [Option<f64>; 2] {
        let kinds = self.kinds();
        let tenants = || kinds.iter().filter(|kind| matches!(kind, Readers::Tenants(_)));
        let few = tenants().min_by_key(|kind| kind.clients()).copied();
        let many = tenants().max_by_key(|kind| kind.clients()).copied();
        let one = kinds.iter().find(|kind| **kind == Readers::Public(1)).copied();
        [few, one].map(|to| self.ratio(many, to, |turn| turn.cpu_an_event))
    }

    /// Returns what a delivery costs on a stream with `access`, compared with a public one.
    pub fn access_ratio(&self) -> Option<f64> {
        let kinds = self.kinds();
        let access = kinds.iter().find(|kind| matches!(kind, Readers::Access(_)));
        let clients = access?.clients();
        self.ratio(access.copied(), Some(Readers::Public(clients)), |turn| {
            turn.cpu_a_delivery
        })
    }
}

impl crate::scenarios::Report for Report {
    fn problems(&self) -> Vec<String> {
        let all = |good: fn(&TenantsRound) -> bool| self.turns.iter().all(good);
        problems([
            (
                all(|turn| turn.faults.invented == 0),
                "a tenant received an event of another one",
            ),
            (all(|turn| turn.faults.none()), crate::scenarios::EXACT),
            (
                all(|turn| turn.finished == turn.clients),
                "a client did not receive everything in time",
            ),
            (all(|turn| turn.ended == 0), "a stream ended or did not begin"),
            (all(|turn| turn.gaps == 0), "a client received a gap"),
        ])
    }

    fn log(&self) -> &str {
        &self.log
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new([
            "readers",
            "us/event",
            "us/delivery",
            "deliveries/s",
            "KB/client",
            "begun s",
        ]);
        for readers in self.kinds() {
            let of = |figure: fn(&TenantsRound) -> f64| self.median(readers, figure);
            table.row([
                readers.to_string(),
                figure(of(|turn| turn.cpu_an_event), 2),
                figure(of(|turn| turn.cpu_a_delivery), 2),
                figure(of(|turn| turn.deliveries), 0),
                figure(of(|turn| turn.resident / 1e3), 2),
                figure(of(|turn| turn.connected), 2),
            ]);
        }
        writeln!(f, "{table}")?;
        let [few, one] = self.event_ratios().map(|ratio| figure(ratio, 2));
        writeln!(
            f,
            "an event beside all tenants: {few} x one beside few, {one} x one of a public stream with one client"
        )?;
        let access = figure(self.access_ratio(), 2);
        write!(
            f,
            "a delivery of a stream with access: {access} x one of a public stream"
        )?;
        for turn in self.turns.iter().filter(|turn| !turn.is_good()) {
            write!(
                f,
                "\n{}: {}, ended {}, gap events {}",
                turn.readers,
                turn.summary(),
                turn.ended,
                turn.gaps
            )?;
        }
        Ok(())
    }
}

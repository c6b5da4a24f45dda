//! Outages of others, replayed: each test names one, and what must hold here (`DESIGN.md`, section 9).

mod crowd;
mod decommission;
mod groups;
mod pile_up;
mod poison;
mod restart;
mod split_brain;
mod starved;
mod stopped;
mod two_clusters;

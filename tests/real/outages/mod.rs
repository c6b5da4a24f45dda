//! Outages of other services, repeated. Each test names one, and checks what riverhead promises (`DESIGN.md`,
//! section 9).

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

//! Outages of other services, repeated. Each test names one, and checks what riverhead promises. That of restarts is in `alone`.

pub(crate) mod crowd;
mod decommission;
mod groups;
mod pile_up;
mod poison;
mod split_brain;
mod starved;
mod stopped;
mod two_clusters;

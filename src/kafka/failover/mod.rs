//! Failover: which cluster each group of streams is read from.
//!
//! A group is read from one cluster at a time, and the other clusters on its list are watched. Once the active one has failed for
//! longer than its deadline, the group moves to the next one that serves it. The way back takes a command: clients see every move
//! as repeated events, and a cluster that keeps failing and recovering must not move them each time.
//!
//! Not here: whether a cluster serves a topic (`status`), and what a cluster does when topics are released (`supervisor`).

mod change;
mod choice;
mod group;
mod handle;
mod history_router;
mod placement_file;
mod plan;

pub use change::FailoverChange;
pub use group::GroupStatus;
pub use handle::{ActivateError, Failover, GroupMove};
pub use plan::FailoverPlan;

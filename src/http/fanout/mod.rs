//! Fan-out: the executor that writes the events of thousands of clients to their sockets.
//!
//! Not here: what bytes a client gets and when (`delivery`), where they come from (`subscription`), and the clients that hyper
//! serves (`delivery::body`).
//!
//! A live batch is for every client of its lane. If each client were a task of the runtime, a batch would wake 10,000 tasks. Each
//! would check whether there is a batch, and register again with everything that it waits for, in memory that is in no cache.
//! So a client is an entry of a list here. One waker waits for the batch on behalf of the whole list, and one pass over the list
//! writes the batch to all. Only what concerns one client alone wakes that client: a full socket, a peer that is gone, a
//! heartbeat.
//!
//! ```text
//! WriterPool               one WriteTask for each thread of the runtime; a new client goes to the one with the fewest
//!  `- WriteTask
//!      `- ClientGroups     one ClientGroup for each lane; those that were woken take turns
//!          `- ClientGroup
//!
//!     lane's ring --> GroupCursor --> BroadcastPass       the batches, framed once, and the key whose turn it is
//!                     one waker             |
//!                     for all               |  write_batches, key by key
//!                                           v
//!     members   +---------+---------+---------+---------+---------+
//!     (a slab)  | 0: sink | 1: sink | 2: free | 3: sink | 4: sink |     each a SocketSink with an EntryWaker
//!               +---------+---------+---------+---------+---------+
//!                              ^                   ^
//!                              |  poll             |  poll
//!     ready     1, 3 ----------+-------------------+       the members to be polled
//!       ^
//!       `- WakeQueue        members in the order of their wake-ups: the socket is writable, the client is gone,
//!                           a deadline has passed, a drain or an eviction ends the stream
//! ```
//!
//! The files: `pool` (the write tasks), `groups` and `group` (the lists), `pass` (a pass, with the framed batches of `chunks`),
//! `wake_queue`, `socket` (the sink of one client), and `output` (what its socket has not taken: a queue of `chunks`, and with TLS
//! one record).
//!
//! # Rules
//!
//! 1. A member is served in two ways. A *pass* gives it the batches that all of its lane get: `write_batches` takes those that
//!    are new to it and writes them at once, without asking whether the socket is ready. A *poll* runs it as the future it is.
//! 2. A member is polled once after it joined, when its waker was called, when it cannot take all of its share in a pass, and
//!    with all others when the lane has no batches that are the same for all (`GroupUpdate::PollEach`). With that it misses
//!    nothing (`GroupCursor::poll_update`).
//! 3. A member is in the wake queue at most once, and its waker is marked for as long. The mark is cleared when the member has left
//!    the queue and before its poll, so a wake-up during the poll queues it again. A pass does not poll a member that is marked: it
//!    is polled from the queue.
//! 4. Each step, a poll or a member's turn in a pass, takes one unit of tokio's budget of 128 for the write task. Polls and turns
//!    alternate within a group, and the groups that were woken take turns. So a client that is always busy, a pass over 10,000 and
//!    another lane do not wait for each other, and lanes where nothing happens cost nothing. What runs inside a poll
//!    is exempt from the budget: otherwise a socket would look blocked that is not.
//! 5. Batches that come during a pass are added to it. Each member gets what there is by its turn, and those whose turn was
//!    before get the rest in the next round. A pass holds at most twice what one write takes (`WRITE_LIMIT`).
//! 6. A panic of a member ends that member only. After a panic of the group's cursor each member is polled, and the one at fault
//!    ends by itself.
//! 7. When most members have left, the slab is compacted. The rest get new wakers, because some get new keys, and all are polled.
//!
//! # What each part gained
//!
//! With 10,000 clients, from `loadtest/README.md`, where the machines and commands are:
//!
//! | part | without it | with it |
//! |---|---|---|
//! | bare sockets instead of hyper's bodies | 9.82 us a delivery, 13.85 KB a client | 5.27 us, 1.64 KB (a raw writer: 4.84 us) |
//! | group, pass and wake queue instead of a wake-up for each client | 7.4 us a delivery (a raw writer: 4.9) | 6.08 us |
//! | prefetch of 16 members at a time in a pass (`PREFETCH_WIDTH`) | 6.08 us a delivery (4.9) | 5.53 us |
//! | lanes that take turns (p99 of another lane's client while 10,000 resume) | 291 ms (a plain consumer: 33) | 50 ms (43) |
//! | 128 batches in a write instead of 16 (`WRITE_LIMIT`, at 1,000 records/s) | 0.50 us a delivery | 0.27 us |
//! | runs of 16 joined for clients that are behind (in `subscription`, at the same rate) | 0.27 us a delivery | 0.10 us |
//! | batches framed once for all (JSON ids, at the same rate) | 0.31 us a delivery | 0.10 us, as the raw writer |
//!
//! Beside the raw writer a delivery costs 1.04 to 1.16 x. It was 1.52 x with a wake-up for each client, and 1.20 x without the
//! prefetch.

pub(in crate::http) mod chunks;
pub(in crate::http) mod group;
pub(in crate::http) mod groups;
pub(in crate::http) mod output;
pub(in crate::http) mod pass;
pub(in crate::http) mod pool;
pub(in crate::http) mod socket;
pub(in crate::http) mod wake_queue;

//! Shapes of the data of a topic: transactions, holes, an end that moves while a client reads, and values of
//! all kinds.

mod holes;
mod retention;
mod transactions;
mod values;

pub(crate) use values::told;

//! Shapes that the data of a topic can have: transactions, holes, an end that races a reader, values of all kinds.

mod holes;
mod retention;
mod transactions;
mod values;

pub(crate) use values::told;

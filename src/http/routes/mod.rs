//! TODO module head of http::routes.

pub(in crate::http) mod admin;
pub(in crate::http) mod checkpoint;
pub(in crate::http) mod commands;
pub(in crate::http) mod cors;
pub(in crate::http) mod csrf;
pub(in crate::http) mod hosts;
pub(in crate::http) mod methods;
pub(in crate::http) mod middleware;
pub(in crate::http) mod negotiation;
pub(in crate::http) mod pages;
pub(in crate::http) mod query;
pub(in crate::http) mod request_form;
pub(in crate::http) mod router;
pub(in crate::http) mod since;
pub(in crate::http) mod stream;
pub(in crate::http) mod target;

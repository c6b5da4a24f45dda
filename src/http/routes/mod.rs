//! The routes of both listeners, and what a request passes before it reaches one.
//!
//! Not here: connections (`server`), and what follows the head of a streaming response (`delivery`).
//!
//! `middleware` is the service of a listener: it identifies the client, checks the request (`request_form`, `csrf` with
//! `hosts`), normalizes the target (`target`) and calls the `router`, unless the
//! listener only redirects (`redirect`). `stream` answers the requests for streams, by `query`
//! with `since` and `checkpoint`, and by `negotiation`. `access` says who may read them, and `standing` whether they still may after a reload, with `cookie` and `certificate`, and `tickets`
//! makes URLs for clients without headers. `streams` tells what there is to read, and `pages` with `spec`, `info`, `admin`,
//! `operator`, `commands` and `page_files` answer the rest, with what `per_catalog` keeps. Bodies are read by `json_body`. `cors` lets pages of other origins read the public listener.

pub(in crate::http) mod access;
pub(in crate::http) mod admin;
mod certificate;
pub(in crate::http) mod checkpoint;
pub(in crate::http) mod commands;
mod cookie;
pub(in crate::http) mod cors;
pub(in crate::http) mod csrf;
pub(in crate::http) mod hosts;
mod info;
mod json_body;
pub(in crate::http) mod middleware;
pub(in crate::http) mod negotiation;
#[cfg(test)]
mod only_model;
pub(in crate::http) mod operator;
mod page_files;
pub(in crate::http) mod pages;
mod per_catalog;
pub(in crate::http) mod query;
pub(in crate::http) mod redirect;
pub(in crate::http) mod request_form;
pub(in crate::http) mod router;
pub(in crate::http) mod since;
mod spec;
pub(in crate::http) mod standing;
pub(in crate::http) mod stream;
mod streams;
pub(in crate::http) mod target;
mod tickets;

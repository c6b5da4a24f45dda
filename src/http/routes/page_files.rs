//! The routes of the pages for people, and of the files that these load.
//!
//! Not here: the files (`http::pages`), and what the pages ask for (`operator`, `spec`).

use axum::{
    extract::{Path, RawQuery},
    response::Response,
};
use http::HeaderMap;

use crate::http::{
    error::Error,
    pages::{assets::Asset, doc::DOC_PAGE, operator::OPERATOR_PAGE},
};

/// Answers `/?doc` with the page that shows the OpenAPI document. Returns `None` for other queries.
pub(super) fn doc_page(RawQuery(query): &RawQuery, headers: &HeaderMap) -> Option<Response> {
    let query = query.as_deref()?;
    let is_doc = query == "doc" || query.starts_with("doc=");
    is_doc.then(|| DOC_PAGE.page())?.map(|page| page.answer(headers))
}

/// Answers `/doc/{name}` with a file of that page.
///
/// # Errors
/// 404 if there is no such file.
pub(super) async fn doc_file(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, Error> {
    answer(DOC_PAGE.file(&name), &headers)
}

/// Answers `/` of the admin listener with the page for operators.
///
/// # Errors
/// None: the page is always there.
pub(super) async fn operator_page(headers: HeaderMap) -> Result<Response, Error> {
    answer(OPERATOR_PAGE.page(), &headers)
}

/// Answers `/operator/{name}` with a file of that page.
///
/// # Errors
/// 404 if there is no such file.
pub(super) async fn operator_file(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, Error> {
    answer(OPERATOR_PAGE.file(&name), &headers)
}

fn answer(asset: Option<&Asset>, headers: &HeaderMap) -> Result<Response, Error> {
    let asset = asset.ok_or(Error::NoSuchPath)?;
    Ok(asset.answer(headers))
}

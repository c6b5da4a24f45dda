//! The parameter `fields`: what is sent of each event.

use std::sync::Arc;

use super::parameters::StreamParameters;
use crate::{
    catalog::{Parameter, Selection},
    http::error::Error,
    projection::Projection,
};

/// Returns the fields that a client wants of streams, if it does not want all. `resumes` says whether the request has an id.
///
/// # Errors
/// When they are no fields, or one of the streams has values without fields. A request with an id is not refused for the latter: it
/// was valid once, and the configuration has changed since. It gets such values whole.
pub(super) fn fields(
    parameters: &StreamParameters<'_>,
    selection: &Selection,
    resumes: bool,
) -> Result<Option<Arc<Projection>>, Error> {
    let Some(text) = parameters.single(Parameter::Fields)? else {
        return Ok(None);
    };
    let fields = Projection::parse(&text).map_err(|why| Error::BadParameter(format!("'fields': {why}")))?;
    match &selection.not_json {
        Some(stream) if !resumes => Err(Error::BadParameter(format!(
            "'fields' needs streams of JSON, which '{stream}' is not"
        ))),
        _ => Ok(Some(Arc::new(fields))),
    }
}

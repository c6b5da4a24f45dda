//! Applying rules to a record.

use std::{mem, str};

use super::{
    Condition, Redaction, Rule,
    annotate::{Annotation, annotate},
    arrays::leads_into_array,
    fields::Treatment,
    splice::splice,
};
use crate::{
    encoding::Payload,
    event::{
        EncodeError, Headers, HeadersBuf, Record, RecordOrigin, Transform, TransformBuffers, Transformed,
        check_document,
    },
    filter::FilterInput,
    projection::NotADocument,
};

impl Transform for Redaction {
    fn apply<'r>(
        &self,
        record: &Record<'r>,
        origin: RecordOrigin<'_>,
        buffers: &'r mut TransformBuffers,
    ) -> Result<Transformed<'r>, EncodeError> {
        let document = match (self.payload, record.value) {
            (Payload::Json, Some(value)) => Some(check_document(value)?.as_bytes()),
            _ => None,
        };
        let input = FilterInput {
            topic: origin.topic,
            partition: origin.partition,
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key,
            headers: record.headers,
            document,
        };
        if self.drop.as_ref().is_some_and(|filter| filter.accepts(&input)) {
            return Ok(Transformed::Dropped);
        }
        let canary = self.canary.as_ref().is_some_and(|filter| filter.accepts(&input));
        let rules = self.rules.iter();
        let rules: Vec<_> = rules.filter(|rule| rule.applies_to(&input)).collect();
        let mut rest = Rest {
            record: Record {
                canary: record.canary || canary,
                ..*record
            },
            is_redacted: false,
        };
        rest.treat_key(&rules);
        rest.treat_headers(&rules, &mut buffers.headers);
        if let Some(document) = document {
            let written = (&mut buffers.value, &mut buffers.spare);
            let is_new = self.rewrite(document, &rules, &mut rest, origin, written);
            // It was checked: what cannot be passed in it now must not be passed on.
            if is_new.map_err(|NotADocument| EncodeError::NotJson)? {
                rest.record.value = Some(&buffers.value);
            }
        }
        let Rest { record, is_redacted } = rest;
        Ok(Transformed::Kept { record, is_redacted })
    }
}

impl Redaction {
    /// Writes what is left of a document to the first of two buffers, unless it stays as it is. Returns whether it was
    /// written.
    fn rewrite(
        &self,
        document: &[u8],
        rules: &[&Rule],
        rest: &mut Rest<'_>,
        origin: RecordOrigin<'_>,
        (value, spare): (&mut Vec<u8>, &mut Vec<u8>),
    ) -> Result<bool, NotADocument> {
        let fields = rules.iter().map(|rule| &rule.fields);
        let fields: Vec<_> = fields.filter(|fields| !fields.is_empty()).collect();
        value.clear();
        let is_redacted = !fields.is_empty() && splice(document, &fields, value)?;
        rest.is_redacted |= is_redacted;
        if self.annotates {
            spare.clear();
            let key = rest.record.key.and_then(|key| str::from_utf8(key).ok());
            let annotation = Annotation::new(origin.topic, origin.partition, rest.record.offset, key);
            annotate(if is_redacted { value } else { document }, &annotation, spare)?;
            mem::swap(value, spare);
        }
        Ok(is_redacted || self.annotates)
    }
}

impl Rule {
    fn applies_to(&self, input: &FilterInput<'_>) -> bool {
        self.when.as_ref().is_none_or(|when| when.may_hold(input))
    }
}

impl Condition {
    /// Whether it holds, or may: nobody knows what the value of a tombstone was, or headers that were not kept, and filters do
    /// not look into arrays.
    fn may_hold(&self, input: &FilterInput<'_>) -> bool {
        self.filter.accepts(input)
            || (!self.tested.is_empty() && input.document.is_none_or(|it| self.is_hidden_in(it)))
    }

    /// Whether a document is no object, or has an array on the way to a field that is tested.
    fn is_hidden_in(&self, document: &[u8]) -> bool {
        let is_object = document.trim_ascii_start().starts_with(b"{");
        !is_object || leads_into_array(document, &self.tested).unwrap_or(true)
    }
}

/// What is left of a record.
struct Rest<'r> {
    record: Record<'r>,
    is_redacted: bool,
}

impl<'r> Rest<'r> {
    fn treat_key(&mut self, rules: &[&Rule]) {
        let treatment = rules.iter().filter_map(|rule| rule.key).max();
        if let (Some(key), Some(treatment)) = (&mut self.record.key, treatment) {
            self.is_redacted = true;
            match treatment {
                Treatment::Remove => self.record.key = None,
                Treatment::Blank => *key = b"",
            }
        }
    }

    /// Headers that were not kept stay so.
    fn treat_headers(&mut self, rules: &[&Rule], buffer: &'r mut HeadersBuf) {
        let treated = || rules.iter().flat_map(|rule| &rule.headers);
        let treatment = |name: &[u8]| {
            let own = treated().filter(|(own, _)| own.as_bytes() == name);
            own.map(|(_, treatment)| *treatment).max()
        };
        let mut headers: Headers<'r> = self.record.headers;
        if !headers.are_kept() || !headers.any(|(name, _)| treatment(name).is_some()) {
            return;
        }
        self.is_redacted = true;
        buffer.clear();
        for (name, value) in self.record.headers {
            match treatment(name) {
                None => buffer.push(name, value),
                Some(Treatment::Blank) => buffer.push(name, value.map(|_| &b""[..])),
                Some(Treatment::Remove) => {}
            }
        }
        self.record.headers = buffer.headers();
    }
}

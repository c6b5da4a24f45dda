//! The keys of a stream that say what happens to its records: `redact`, `drop`, `annotate`, `canary`, and what contradicts
//! them.

use std::{collections::BTreeSet, sync::Arc};

use super::{
    diagnostic::{Diagnostic, ParseResult, quoted},
    node::Node,
    table::{KeySpec, fill, optional},
};
use crate::{
    catalog::{Condition, RecordRules, RedactRule, Stream},
    encoding::Payload,
    filter::{EventField, Filter, fields_of_template},
};

/// The keys of one rule of `redact`.
pub(super) const REDACT_KEYS: &[KeySpec<RedactRule>] = &[
    optional("when", |rule, node| condition(node).map(|v| rule.when = v)),
    optional("remove", |rule, node| fields(node).map(|v| rule.remove = v)),
    optional("blank", |rule, node| fields(node).map(|v| rule.blank = v)),
];

/// Parses the rules of `redact`. Their order and repetitions make no difference, so they are sorted.
pub(super) fn redact(node: &Node) -> ParseResult<Vec<RedactRule>> {
    let wanted = "an array of tables such as { remove = [\"user\"] }";
    let mut rules = node.list(wanted, |item| {
        let mut rule = RedactRule::default();
        fill(REDACT_KEYS, item, &mut rule)?;
        if rule.remove.is_empty() && rule.blank.is_empty() {
            return Err(item.refused(
                "a field in `remove` or in `blank`",
                "found none: the rule does nothing",
            ));
        }
        match rule.remove.iter().find(|field| rule.blank.contains(field)) {
            Some(both) => {
                let title = format!("{} is both in `remove` and in `blank`", quoted_field(both));
                Err(vec![Diagnostic::new(item.location_of("blank"), title)])
            }
            None => Ok(rule),
        }
    })?;
    rules.sort();
    rules.dedup();
    Ok(rules)
}

/// Parses the condition of a rule. An empty string means none.
pub(super) fn condition(node: &Node) -> ParseResult<Option<Condition>> {
    match node.string()? {
        "" => Ok(None),
        text => match Filter::parse(text) {
            Ok(filter) => Ok(Some(Condition::new(text, &filter.to_string()))),
            Err(error) => Err(node.refused("a filter such as 'internal = true'", error.to_string())),
        },
    }
}

/// Parses a list of fields, each of which can be removed. They are sorted.
fn fields(node: &Node) -> ParseResult<Vec<Arc<str>>> {
    let fields = node.list("an array of fields", field)?;
    let distinct: BTreeSet<_> = fields.into_iter().collect();
    Ok(distinct.into_iter().collect())
}

fn field(node: &Node) -> ParseResult<Arc<str>> {
    let wanted = "a field such as \"performer.name\", \"@key\" or \"@header.source\"";
    let field = EventField::parse(node.string()?).map_err(|error| node.refused(wanted, error.to_string()))?;
    if !matches!(
        field,
        EventField::Json(_) | EventField::Key | EventField::Header(_)
    ) {
        let why = "ids are made of the others: topic, partition, offset and timestamp stay";
        return Err(node.refused(wanted, why));
    }
    let text = field.to_string();
    // It is parsed again when the rules are compiled, and quotes make it longer.
    match EventField::parse(&text) {
        Ok(again) if again == field => Ok(text.into()),
        _ => Err(node.refused(wanted, "found one that is too long")),
    }
}

/// Returns what contradicts the rules of each stream.
pub(super) fn faults<'s>(items: &[Node], streams: impl IntoIterator<Item = &'s Stream>) -> Vec<Diagnostic> {
    let streams = items.iter().zip(streams);
    let faults = streams.flat_map(|(item, stream)| {
        let payload = values_that_are_not_json(item, stream);
        payload
            .into_iter()
            .chain(restricted_by_what_is_gone(item, stream))
    });
    faults.map(Diagnostic::only_if_parsed).collect()
}

/// Returns the keys that are about fields of values, on a stream whose values have none.
fn values_that_are_not_json(item: &Node, stream: &Stream) -> Vec<Diagnostic> {
    if stream.encoding.payload == Payload::Json {
        return Vec::new();
    }
    let rules = &stream.rules;
    let keys = [
        ("redact", rules.redact.iter().any(is_about_values)),
        ("drop", rules.drop.as_ref().is_some_and(tests_values)),
        ("annotate", rules.annotate),
        ("canary", rules.canary.as_ref().is_some_and(tests_values)),
    ];
    let keys = keys.into_iter().filter(|(_, is_about_values)| *is_about_values);
    let faults = keys.map(|(key, _)| {
        let (name, payload) = (quoted(&stream.name), stream.encoding.payload.name());
        let title = format!(
            "`{key}` of stream {name} is about fields of values, which only `payload = \"json\"` has, not \"{payload}\""
        );
        let fault = Diagnostic::new(item.location_of(key), title);
        fault.help("@key, @header.NAME, @topic, @partition, @offset and @timestamp can be used with any payload")
    });
    faults.collect()
}

fn is_about_values(rule: &RedactRule) -> bool {
    let is_of_value = |field: &Arc<str>| matches!(EventField::parse(field), Ok(EventField::Json(_)));
    rule.when.as_ref().is_some_and(tests_values) || rule.remove.iter().chain(&rule.blank).any(is_of_value)
}

fn tests_values(condition: &Condition) -> bool {
    let fields = Filter::parse(condition.text()).map(|filter| filter.fields());
    fields.is_ok_and(|fields| fields.iter().any(|field| matches!(field, EventField::Json(_))))
}

/// Returns the fault if `only` tests a field that is removed or blanked: it sees what is left, so it would let nobody read,
/// or, behind a `not`, everybody.
fn restricted_by_what_is_gone(item: &Node, stream: &Stream) -> Option<Diagnostic> {
    let tested = fields_of_template(stream.only.as_ref()?);
    let gone = redacted_fields(&stream.rules);
    let both = tested
        .iter()
        .find(|field| gone.iter().any(|gone| gone.covers(field)))?;
    let name = quoted(&stream.name);
    let title = format!(
        "`only` of stream {name} tests {}, which `redact` removes or blanks first",
        quoted_field(&both.to_string())
    );
    let fault = Diagnostic::new(item.location_of("only"), title);
    Some(fault.related(item.location_of("redact"), "conflicts with this"))
}

/// Returns the filter fields of a stream that are always removed or blanked, so that no event has a value in them.
pub(super) fn filter_fields_that_are_gone(stream: &Stream) -> Vec<&str> {
    let always = stream.rules.redact.iter().filter(|rule| rule.when.is_none());
    let always = RecordRules {
        redact: always.cloned().collect(),
        ..RecordRules::default()
    };
    let gone = redacted_fields(&always);
    let is_gone = |field: &&str| {
        let own = EventField::Json(field.split('.').map(Box::from).collect());
        gone.iter().any(|gone| gone.covers(&own))
    };
    let fields = stream.filter_fields.iter().map(|field| &**field);
    fields.filter(is_gone).collect()
}

/// Returns the fields that any of the rules removes or blanks.
fn redacted_fields(rules: &RecordRules) -> Vec<EventField> {
    let fields = rules
        .redact
        .iter()
        .flat_map(|rule| rule.remove.iter().chain(&rule.blank));
    fields.filter_map(|field| EventField::parse(field).ok()).collect()
}

/// Quotes a field for a message, also one with an `@`.
fn quoted_field(field: &str) -> String {
    format!("`{}`", field.escape_debug())
}

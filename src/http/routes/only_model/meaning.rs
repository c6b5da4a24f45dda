//! What templates and filters mean, for records that are plain values.

use serde_json::{Value as Json, json};

/// A record of the model.
#[derive(Clone, Debug)]
pub(super) struct ModelRecord {
    pub(super) topic: usize,
    pub(super) document: Json,
    pub(super) key: Option<&'static str>,
    pub(super) header: ModelHeader,
}

/// The header `tenant`.
#[derive(Clone, Debug)]
pub(super) enum ModelHeader {
    None,
    Text(&'static str),
    /// It is there, but the headers together are too large to be kept.
    NotKept,
}

/// What a template of `only` means, for these claims and this record. `None` if a claim is missing.
pub(super) type Meaning = fn(&Json, &ModelRecord) -> Option<bool>;

pub(super) const TEMPLATES: [(&str, Meaning); 14] = [
    ("tenant = $t", |claims, it| {
        Some(it.has("tenant", scalar(&claims["t"])?))
    }),
    ("not tenant = $t", |claims, it| {
        Some(!it.has("tenant", scalar(&claims["t"])?))
    }),
    ("tenant != $t", |claims, it| {
        let claim = scalar(&claims["t"])?;
        Some(it.document.get("tenant").is_some_and(|own| own != claim))
    }),
    ("tenant = $t or open = true", |claims, it| {
        Some(it.has("tenant", scalar(&claims["t"])?) || it.has("open", &json!(true)))
    }),
    ("tenant in ($t, public)", |claims, it| {
        Some(it.has("tenant", scalar(&claims["t"])?) || it.has("tenant", &json!("public")))
    }),
    ("team in $teams", |claims, it| {
        Some(list(&claims["teams"])?.iter().any(|team| it.has("team", team)))
    }),
    ("tenant = $t and team in $teams", |claims, it| {
        let (tenant, teams) = (scalar(&claims["t"])?, list(&claims["teams"])?);
        Some(it.has("tenant", tenant) && teams.iter().any(|team| it.has("team", team)))
    }),
    ("level <= $level", |claims, it| {
        let most = claims["level"].as_f64()?;
        Some(it.document["level"].as_f64().is_some_and(|level| level <= most))
    }),
    ("tenant = $org.unit", |claims, it| {
        Some(it.has("tenant", scalar(claims["org"].get("unit")?)?))
    }),
    (r#"tenant = $"https://idp/t""#, |claims, it| {
        Some(it.has("tenant", scalar(&claims["https://idp/t"])?))
    }),
    ("@key = $t", |claims, it| {
        Some(it.key == Some(text(&claims["t"])?))
    }),
    ("tenant prefix $t", |claims, it| {
        let start = text(&claims["t"])?;
        Some(
            it.document["tenant"]
                .as_str()
                .is_some_and(|tenant| tenant.starts_with(start)),
        )
    }),
    ("@header.tenant = $t", |claims, it| {
        let claim = text(&claims["t"])?;
        Some(matches!(it.header, ModelHeader::Text(tenant) if tenant == claim))
    }),
    ("not @header.tenant = $t", |claims, it| {
        let claim = text(&claims["t"])?;
        Some(match it.header {
            ModelHeader::None => true,
            ModelHeader::Text(tenant) => tenant != claim,
            ModelHeader::NotKept => false,
        })
    }),
];

pub(super) fn scalar(claim: &Json) -> Option<&Json> {
    let is_missing = claim.is_null() || claim.is_array() || claim.is_object() || claim == "";
    (!is_missing).then_some(claim)
}

pub(super) fn list(claim: &Json) -> Option<Vec<&Json>> {
    match claim {
        Json::Array(items) if !items.is_empty() => items.iter().map(scalar).collect(),
        claim => Some(vec![scalar(claim)?]),
    }
}

pub(super) fn text(claim: &Json) -> Option<&str> {
    claim.as_str().filter(|text| !text.is_empty())
}

/// Whether a filter passes a record.
type FilterMeaning = fn(&ModelRecord) -> bool;

/// Filters of clients, and what they mean.
pub(super) const FILTERS: [(&str, FilterMeaning); 7] = [
    ("", |_| true),
    ("n = 1", |it| it.has("n", &json!(1))),
    ("not n = 1", |it| !it.has("n", &json!(1))),
    ("n = 1 or tenant = a or tenant = 7", |it| {
        it.has("n", &json!(1)) || it.has("tenant", &json!("a")) || it.has("tenant", &json!(7))
    }),
    ("tenant = b", |it| it.has("tenant", &json!("b"))),
    ("exists tenant or exists team", |it| {
        it.document.get("tenant").is_some() || it.document.get("team").is_some()
    }),
    // The client itself asks for what cannot be told.
    ("@header.tenant = a", |it| {
        matches!(it.header, ModelHeader::Text("a") | ModelHeader::NotKept)
    }),
];

impl ModelRecord {
    pub(super) fn has(&self, field: &str, value: &Json) -> bool {
        self.document.get(field) == Some(value)
    }
}

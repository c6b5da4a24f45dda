//! Streams, principals and requests, and what the model gives to whom.

use std::sync::Arc;

use proptest::{
    collection::vec,
    prelude::*,
    sample::{select, subsequence},
};
use serde_json::{Value as Json, json};

use super::meaning::{FILTERS, ModelHeader, ModelRecord, TEMPLATES};
use crate::{
    auth::{Principal, tests::principal},
    catalog::{Access, Catalog, Stream},
};

#[derive(Clone, Debug)]
pub(super) struct ModelStream {
    pub(super) topics: Vec<usize>,
    pub(super) scopes: Vec<&'static str>,
    pub(super) template: Option<usize>,
}

#[derive(Clone, Debug)]
pub(super) struct ModelPrincipal {
    pub(super) scopes: Vec<&'static str>,
    pub(super) claims: Json,
}

#[derive(Clone, Debug)]
pub(super) struct ModelRequest {
    pub(super) principal: Option<usize>,
    pub(super) streams: Vec<usize>,
    pub(super) filter: usize,
    pub(super) compact: bool,
    /// Resumes with one of the ids that anybody was given so far.
    pub(super) resumes: Option<usize>,
    /// Behind how many of the parts of the records it comes.
    pub(super) comes: usize,
}

#[derive(Clone, Debug)]
pub(super) struct ModelWorld {
    pub(super) streams: Vec<ModelStream>,
    pub(super) principals: Vec<ModelPrincipal>,
    pub(super) requests: Vec<ModelRequest>,
    pub(super) records: Vec<Vec<ModelRecord>>,
}

pub(super) const TOPICS: [&str; 3] = ["x", "y", "z"];

impl ModelWorld {
    pub(super) fn catalog(&self) -> Catalog {
        let streams = self.streams.iter().enumerate().map(|(index, it)| {
            let mut stream = Stream::new(&name(index), it.topics.iter().map(|topic| TOPICS[*topic]));
            if !it.scopes.is_empty() {
                stream.access = Access::Scopes(it.scopes.iter().map(|scope| Arc::from(*scope)).collect());
            }
            stream.only = it.template.map(|template| TEMPLATES[template].0.into());
            stream
        });
        Catalog::new(streams.collect()).unwrap()
    }

    pub(super) fn principal(&self, index: usize) -> Arc<Principal> {
        let own = &self.principals[index];
        let mut principal = principal("idp", Some("somebody"));
        principal.scopes = own.scopes.iter().map(|scope| (*scope).to_owned()).collect();
        principal.claims = own.claims.as_object().unwrap().clone();
        Arc::new(principal)
    }

    /// Whether the model lets this request begin.
    pub(super) fn is_allowed(&self, request: &ModelRequest) -> bool {
        request.streams.iter().all(|index| {
            let stream = &self.streams[*index];
            let principal = request.principal.map(|principal| &self.principals[principal]);
            let Some(principal) = principal else {
                return stream.scopes.is_empty() && stream.template.is_none();
            };
            let has_scope = stream.scopes.is_empty()
                || stream.scopes.iter().any(|scope| principal.scopes.contains(scope));
            // Whether a claim is missing does not depend on the record.
            let any = ModelRecord {
                topic: 0,
                document: json!({}),
                key: None,
                header: ModelHeader::None,
            };
            let is_bound = |template: usize| TEMPLATES[template].1(&principal.claims, &any).is_some();
            has_scope && stream.template.is_none_or(is_bound)
        })
    }

    /// Whether the model gives this record to a request that may begin.
    pub(super) fn is_given(&self, request: &ModelRequest, record: &ModelRecord) -> bool {
        let passes = request.streams.iter().any(|index| {
            let stream = &self.streams[*index];
            let passes = |template: usize| {
                let principal = &self.principals[request.principal.unwrap()];
                TEMPLATES[template].1(&principal.claims, record) == Some(true)
            };
            stream.topics.contains(&record.topic) && stream.template.is_none_or(passes)
        });
        passes && FILTERS[request.filter].1(record)
    }
}

pub(super) fn name(index: usize) -> String {
    format!("stream-{index}")
}

/// Values of claims and of fields: alike, and written like operators.
pub(super) fn any_value() -> impl Strategy<Value = Json> {
    select(vec![
        json!("a"),
        json!("a"),
        json!("b"),
        json!("public"),
        json!(7),
        json!("7"),
        json!(true),
        json!("true"),
        json!(0.5),
        json!("a\" or n = 1 or tenant = \"b"),
        json!("x) or (exists n"),
        json!("$t"),
        json!("\\"),
        json!(""),
        json!(null),
        json!(["a"]),
        json!({"unit": "a"}),
    ])
}

pub(super) fn any_claims() -> impl Strategy<Value = Json> {
    let teams = prop_oneof![
        2 => vec(any_value(), 0..3).prop_map(Json::from),
        2 => select(vec![json!(["a", "b"]), json!(["a", 7, true])]),
        1 => any_value(),
    ];
    let level = select(vec![json!(1), json!(2), json!(0.5), json!("1"), json!(null)]);
    let missing = any::<[bool; 3]>();
    (any_value(), teams, level, any_value(), any_value(), missing).prop_map(
        |(t, teams, level, unit, quoted, [no_t, no_teams, no_org])| {
            let mut claims = json!({"t": t, "teams": teams, "level": level, "https://idp/t": quoted});
            claims["org"] = json!({ "unit": unit });
            for (name, is_missing) in [("t", no_t), ("teams", no_teams), ("org", no_org)] {
                // Rarely, so that most requests are for something.
                if is_missing && no_t == no_teams {
                    claims.as_object_mut().unwrap().remove(name);
                }
            }
            claims
        },
    )
}

pub(super) fn any_record() -> impl Strategy<Value = ModelRecord> {
    let field = || prop::option::weighted(0.8, any_value());
    let header = prop_oneof![
        2 => Just(ModelHeader::None),
        2 => select(vec!["a", "b", "7"]).prop_map(ModelHeader::Text),
        1 => Just(ModelHeader::NotKept),
    ];
    let level = prop::option::of(select(vec![json!(0), json!(1), json!(1.5), json!("1")]));
    let key = prop::option::of(select(vec!["a", "b", "7"]));
    (
        0..TOPICS.len(),
        0..3,
        any::<bool>(),
        field(),
        field(),
        level,
        key,
        header,
    )
        .prop_map(|(topic, n, open, tenant, team, level, key, header)| {
            let mut document = json!({"n": n, "open": open});
            for (name, value) in [("tenant", tenant), ("team", team), ("level", level)] {
                if let Some(value) = value {
                    document[name] = value;
                }
            }
            ModelRecord {
                topic,
                document,
                key,
                header,
            }
        })
}

pub(super) fn any_world() -> impl Strategy<Value = ModelWorld> {
    let topics = select(vec![vec![0], vec![0, 1], vec![1, 2], vec![0, 1, 2], vec![2]]);
    let scopes = || select(vec![vec![], vec![], vec!["r"], vec!["s"], vec!["r", "s"]]);
    let template = prop::option::weighted(0.8, 0..TEMPLATES.len());
    let stream = (topics, scopes(), template).prop_map(|(topics, scopes, template)| ModelStream {
        topics,
        scopes,
        template,
    });
    let principal = (scopes(), any_claims()).prop_map(|(scopes, claims)| ModelPrincipal { scopes, claims });
    (vec(stream, 2..4), vec(principal, 1..4))
        .prop_flat_map(|(streams, principals)| {
            let names = subsequence((0..streams.len()).collect::<Vec<_>>(), 1..=streams.len());
            let request = (
                prop::option::weighted(0.9, 0..principals.len()),
                names,
                0..FILTERS.len(),
                any::<bool>(),
                prop::option::weighted(0.3, 0..1000usize),
                0..PARTS,
            );
            let request =
                request.prop_map(
                    |(principal, streams, filter, compact, resumes, comes)| ModelRequest {
                        principal,
                        streams,
                        filter,
                        compact,
                        resumes,
                        comes,
                    },
                );
            let records = vec(vec(any_record(), 0..10), PARTS);
            (Just(streams), Just(principals), vec(request, REQUESTS), records)
        })
        .prop_map(|(streams, principals, requests, records)| ModelWorld {
            streams,
            principals,
            requests,
            records,
        })
}

/// The records come in this many parts.
pub(super) const PARTS: usize = 3;

/// The number of requests in a world.
pub(super) const REQUESTS: usize = 8;

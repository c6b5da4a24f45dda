//! What is done to the records of each topic before they become events, compiled from the rules of its streams.

use std::{collections::HashMap, sync::Arc};

use super::StartError;
use crate::{
    catalog::{Catalog, RecordRules},
    encoding::Payload,
    event::Transform,
    redaction::Redaction,
};

/// The transforms of the topics that have rules.
#[derive(Default)]
pub(super) struct Transforms(HashMap<Arc<str>, CompiledRules>);

#[derive(Clone)]
struct CompiledRules {
    rules: Arc<RecordRules>,
    payload: Payload,
    transform: Arc<dyn Transform>,
}

impl Transforms {
    /// Compiles the rules of all streams. The topics of a stream share what comes of it. Of a topic whose rules are as they were
    /// `before`, it is the same as before, by which others see that nothing has changed.
    ///
    /// # Errors
    /// When the rules of a stream cannot be compiled.
    pub(super) fn compile(catalog: &Catalog, before: Option<&Self>) -> Result<Self, StartError> {
        let mut compiled = HashMap::new();
        for stream in catalog.streams().filter(|stream| !stream.rules.is_empty()) {
            let payload = stream.encoding.payload;
            let mut fresh: Option<CompiledRules> = None;
            for topic in &stream.topics {
                let known = before.and_then(|before| before.0.get(topic));
                let known = known.filter(|it| it.rules == stream.rules && it.payload == payload);
                let rules = match (known, &fresh) {
                    (Some(known), _) => known.clone(),
                    (None, Some(fresh)) => fresh.clone(),
                    (None, None) => {
                        let redaction = Redaction::compile(&stream.rules, payload)
                            .map_err(|error| StartError::Rules(stream.name.to_string(), error))?;
                        let rules = CompiledRules {
                            rules: Arc::clone(&stream.rules),
                            payload,
                            transform: Arc::new(redaction),
                        };
                        fresh.insert(rules).clone()
                    }
                };
                compiled.insert(Arc::clone(topic), rules);
            }
        }
        Ok(Self(compiled))
    }

    /// Returns the transform of a topic.
    pub(super) fn of(&self, topic: &str) -> Option<Arc<dyn Transform>> {
        self.0.get(topic).map(|compiled| Arc::clone(&compiled.transform))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Stream;

    #[test]
    fn what_stays_as_it_was_is_the_same_and_what_changes_is_another() {
        let stream = |name: &str, topics: &[&str], annotate| {
            let mut stream = Stream::new(name, topics.iter().copied());
            stream.rules = Arc::new(RecordRules {
                annotate,
                redact: vec![crate::catalog::RedactRule {
                    remove: vec!["user".into()],
                    ..Default::default()
                }],
                ..RecordRules::default()
            });
            stream
        };
        let compile = |streams: Vec<Stream>, before: Option<&Transforms>| {
            Transforms::compile(&Catalog::new(streams).unwrap(), before).unwrap()
        };
        let plain = Stream::new("plain", ["p"]);
        let first = compile(
            vec![
                stream("a", &["a0", "a1"], false),
                stream("b", &["b0"], false),
                plain,
            ],
            None,
        );
        let is_same = |one: &Transforms, topic: &str, other: &Transforms| {
            Arc::ptr_eq(&one.of(topic).unwrap(), &other.of(topic).unwrap())
        };
        assert!(first.of("p").is_none());
        assert!(Arc::ptr_eq(&first.of("a0").unwrap(), &first.of("a1").unwrap()));
        let second = compile(
            vec![stream("a", &["a0", "a2"], false), stream("b", &["b0"], true)],
            Some(&first),
        );
        assert!(is_same(&first, "a0", &second));
        assert!(!is_same(&first, "b0", &second));
        assert!(first.of("a2").is_none() && second.of("a2").is_some());
    }
}

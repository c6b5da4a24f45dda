//! Compilation of rules from their texts.

use super::{
    Condition, Redaction, Rule,
    fields::{FieldTree, Treatment},
};
use crate::{
    catalog::{self, RecordRules, RedactRule},
    encoding::Payload,
    filter::{EventField, Filter, FilterError},
};

impl Redaction {
    /// Compiles the rules of a stream with this payload.
    ///
    /// # Errors
    /// If one of their texts is no filter, or no field. The configuration has checked them, so this is a mistake of the
    /// program; records must not be read then.
    pub fn compile(rules: &RecordRules, payload: Payload) -> Result<Self, FilterError> {
        let filter = |condition: &catalog::Condition| Filter::parse(condition.text());
        Ok(Self {
            payload,
            drop: rules.drop.as_ref().map(filter).transpose()?,
            canary: rules.canary.as_ref().map(filter).transpose()?,
            rules: rules.redact.iter().map(Rule::compile).collect::<Result<_, _>>()?,
            annotates: rules.annotate,
        })
    }
}

impl Rule {
    fn compile(rule: &RedactRule) -> Result<Self, FilterError> {
        let when = rule.when.as_ref();
        let mut compiled = Self {
            when: when.map(Condition::compile).transpose()?,
            key: None,
            headers: Vec::new(),
            fields: FieldTree::default(),
        };
        let blank = rule.blank.iter().map(|field| (field, Treatment::Blank));
        let remove = rule.remove.iter().map(|field| (field, Treatment::Remove));
        for (field, treatment) in blank.chain(remove) {
            compiled.add(EventField::parse(field)?, treatment);
        }
        Ok(compiled)
    }

    /// Adds a field. Nothing can be done to a topic, a partition, an offset and a timestamp: ids are made of them.
    fn add(&mut self, field: EventField, treatment: Treatment) {
        match field {
            EventField::Json(path) => self.fields.add(&path, treatment),
            EventField::Key => self.key = self.key.max(Some(treatment)),
            EventField::Header(name) => self.headers.push((name, treatment)),
            EventField::Topic | EventField::Partition | EventField::Offset | EventField::Timestamp => {}
        }
    }
}

impl Condition {
    fn compile(condition: &catalog::Condition) -> Result<Self, FilterError> {
        let filter = Filter::parse(condition.text())?;
        let mut tested = FieldTree::default();
        for field in filter.fields() {
            if let EventField::Json(path) = field {
                // Only the path counts.
                tested.add(&path, Treatment::Remove);
            }
        }
        Ok(Self { filter, tested })
    }
}

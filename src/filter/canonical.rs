//! The canonical form of an expression: the same for all filters with the same meaning, as far as that is cheap to see.

use std::collections::BTreeMap;

use super::expr::{EventField, Expr, FieldTest, ValueSet};

/// Returns the canonical form: flattened and sorted, without duplicates and double negations, with tests of one field that are
/// joined by `or` as one list. So filters do not differ by the order in which they are written.
pub(super) fn canonical(expr: Expr) -> Expr {
    match expr {
        Expr::All(parts) => one_or(Expr::All, sorted(flat(parts, all_parts))),
        Expr::Any(parts) => one_or(Expr::Any, sorted(joined(flat(parts, any_parts)))),
        Expr::Not(inner) => match canonical(*inner) {
            Expr::Not(inner) => *inner,
            inner => Expr::Not(Box::new(inner)),
        },
        test @ Expr::FieldTest(..) => test,
    }
}

/// Returns the canonical parts. A part of the same kind as the whole is replaced by its own parts.
fn flat(parts: Vec<Expr>, parts_of: fn(Expr) -> Vec<Expr>) -> Vec<Expr> {
    parts
        .into_iter()
        .flat_map(|part| parts_of(canonical(part)))
        .collect()
}

fn all_parts(expr: Expr) -> Vec<Expr> {
    match expr {
        Expr::All(parts) => parts,
        other => vec![other],
    }
}

fn any_parts(expr: Expr) -> Vec<Expr> {
    match expr {
        Expr::Any(parts) => parts,
        other => vec![other],
    }
}

/// Turns `a = 1 or a = 2` into `a in (1, 2)`.
fn joined(parts: Vec<Expr>) -> Vec<Expr> {
    let (mut lists, mut others) = (BTreeMap::<EventField, Vec<ValueSet>>::new(), Vec::new());
    for part in parts {
        match part {
            Expr::FieldTest(field, FieldTest::In(values)) => {
                lists.entry(field).or_default().push(values);
            }
            other => others.push(other),
        }
    }
    let lists = lists
        .into_iter()
        .map(|(field, values)| Expr::FieldTest(field, FieldTest::In(ValueSet::joined(&values))));
    others.extend(lists);
    others
}

fn sorted(mut parts: Vec<Expr>) -> Vec<Expr> {
    parts.sort_unstable();
    parts.dedup();
    parts
}

fn one_or(kind: fn(Vec<Expr>) -> Expr, mut parts: Vec<Expr>) -> Expr {
    match (parts.pop(), parts.is_empty()) {
        (Some(only), true) => only,
        (last, _) => {
            parts.extend(last);
            kind(parts)
        }
    }
}

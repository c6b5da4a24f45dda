//! One form for all that mean the same, as far as that is cheap to see.

use std::collections::BTreeMap;

use super::values::{EventField, Expr, FieldTest, ValueSet};

/// Flattens, sorts, drops what is there twice and double negations, and joins what is asked of one field by `or`. Which order
/// somebody wrote things in does not part him from the others.
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

/// The canonical parts, with the parts of those that are of the same kind in their place.
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

/// `a = 1 or a = 2` is `a in (1, 2)`.
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

//! The check that streams that are closed to strangers are so.

use http::{StatusCode, header};

use super::super::{
    Check, CheckResult, Deadline, ProbePlan, RequestOptions, Status, StreamClient, TlsOptions, USER_AGENT,
};

const CHECK: Check = Check("closed");

/// Requests each of these streams without a credential, which must be refused with 401. Everything else is critical: a stream that
/// cannot be asked for is not known to be closed.
pub(in crate::probe) async fn check(plan: &ProbePlan, deadline: Deadline) -> CheckResult {
    let mut worst: Option<CheckResult> = None;
    for name in &plan.closed {
        let found = check_one(plan, name, deadline).await;
        worst = Some(match worst {
            Some(before) => joined(before, &found),
            None => found,
        });
    }
    worst.unwrap_or_else(|| CHECK.ok("no stream has to be closed"))
}

/// Returns both results as one, whose sentence has the faults of both if there are any.
fn joined(before: CheckResult, found: &CheckResult) -> CheckResult {
    let sentence = match (before.status, found.status) {
        (Status::Ok, Status::Warning | Status::Critical) => found.sentence.clone(),
        (Status::Warning | Status::Critical, Status::Ok) => before.sentence,
        _ => format!("{}, {}", before.sentence, found.sentence),
    };
    CheckResult {
        status: before.status.max(found.status),
        sentence,
        ..before
    }
}

async fn check_one(plan: &ProbePlan, name: &str, deadline: Deadline) -> CheckResult {
    let target = match plan.target.other_stream(name) {
        Ok(target) => target,
        Err(error) => return CHECK.critical(format!("{name:?}: {error}")),
    };
    // Without a credential, and without a certificate.
    let tls = TlsOptions {
        client: None,
        ..plan.tls.clone()
    };
    let answer = match StreamClient::new(target, &tls, deadline, USER_AGENT) {
        Ok(client) => client.open(&RequestOptions::default()).await,
        Err(failure) => Err(failure),
    };
    let head = match answer {
        Ok(answer) => answer.head,
        Err(failure) if failure.is_certificate_required() => {
            return CHECK.ok(format!("{name} is closed to clients without a certificate"));
        }
        Err(failure) => return CHECK.critical(format!("whether {name} is closed is unknown: {failure}")),
    };
    match head.status {
        StatusCode::UNAUTHORIZED if head.headers.contains_key(header::WWW_AUTHENTICATE) => {
            CHECK.ok(format!("{name} is closed to strangers"))
        }
        StatusCode::UNAUTHORIZED => CHECK.warning(format!("{name}: 401 without WWW-Authenticate")),
        StatusCode::OK => CHECK.critical(format!("strangers can read {name}")),
        status => CHECK.critical(format!(
            "strangers get status {} instead of 401 for {name}",
            status.as_u16()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_of_one_stream_is_not_hidden_by_the_others() {
        let of = |results: [CheckResult; 3]| {
            let [first, rest @ ..] = results;
            rest.iter().fold(first, joined)
        };
        let good = || CHECK.ok("a is closed");
        let found = of([good(), CHECK.critical("b is open"), good()]);
        assert_eq!(
            (found.status, found.sentence.as_str()),
            (Status::Critical, "b is open")
        );
        let found = of([CHECK.critical("a is open"), good(), CHECK.warning("c is odd")]);
        assert_eq!(
            (found.status, found.sentence.as_str()),
            (Status::Critical, "a is open, c is odd")
        );
        assert_eq!(of([good(), good(), good()]).status, Status::Ok);
    }
}

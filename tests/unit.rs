//! The unit of systemd, `config/riverhead.service`: what it allows, and that riverhead works with that.
//!
//! Tests that need `systemd-analyze` are ignored in a plain `cargo test`; `./tests/run` runs them.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

#[path = "support/brokers.rs"]
#[allow(dead_code, reason = "shared with another test, which needs all of it")]
mod brokers;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use riverhead_brokers::eventually;
use riverhead_loadtest::{
    client::{Ask, Client},
    gateway::GatewayPlan,
    tls::ServerCertificate,
};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter,
};

use brokers::Brokers;

const STREAM: &str = "edits";
const TOPIC: &str = "eqiad.edits";
const DEADLINE: Duration = Duration::from_secs(30);

fn unit() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/riverhead.service")).unwrap()
}

/// Returns the values of a setting, in order.
fn settings(name: &str) -> Vec<String> {
    let start = format!("{name}=");
    let unit = unit();
    let values = unit.lines().filter_map(|line| line.strip_prefix(&start));
    values.map(str::to_owned).collect()
}

fn systemd_analyze(arguments: &[&str]) -> String {
    let output = Command::new("systemd-analyze").args(arguments).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_memory_limit_fits_the_default_budgets_of_two_processes() {
    let memory = riverhead::partition::MemorySettings::default();
    let limits = riverhead::limits::settings::LimitSettings::default();
    let budgets: usize = [memory.tail, memory.history, memory.lanes]
        .iter()
        .map(|budget| budget.get())
        .sum();
    let streams = limits.streams_total.get() as usize;
    let needed = 2 * (budgets + (256 << 20) + streams * (64 << 10));
    let bytes = |name| {
        let value = settings(name).pop().unwrap();
        let (number, unit) = value.split_at(value.len() - 1);
        number.parse::<usize>().unwrap() << if unit == "G" { 30 } else { 20 }
    };
    assert!(needed <= bytes("MemoryHigh"), "{needed}");
    assert!(bytes("MemoryHigh") < bytes("MemoryMax"));
}

#[test]
#[ignore = "needs systemd-analyze: ./tests/run"]
fn it_scores_below_two() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/riverhead.service");
    let told = systemd_analyze(&["security", "--offline=true", "--no-pager", path.to_str().unwrap()]);
    let line = told
        .lines()
        .find(|line| line.contains("Overall exposure level"))
        .expect(&told);
    let score = line.split(": ").nth(1).unwrap().split(' ').next().unwrap();
    assert!(score.parse::<f64>().unwrap() < 2.0, "{line}");
}

/// Adds the system calls of a set, and those of the sets in it.
fn calls_of(set: &str, calls: &mut BTreeSet<String>) {
    for line in systemd_analyze(&["syscall-filter", "--no-pager", set])
        .lines()
        .skip(1)
    {
        match line.trim() {
            "" => {}
            comment if comment.starts_with('#') => {}
            inner if inner.starts_with('@') => calls_of(inner, calls),
            call => _ = calls.insert(call.to_owned()),
        }
    }
}

/// Returns the numbers of this machine's system calls.
fn numbers() -> BTreeMap<String, i64> {
    let output = Command::new("cc")
        .args(["-E", "-dM", "-include", "sys/syscall.h", "-x", "c", "/dev/null"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let defined = text.lines().filter_map(|line| {
        let (name, number) = line.strip_prefix("#define __NR_")?.split_once(' ')?;
        Some((name.to_owned(), number.trim().parse().ok()?))
    });
    defined.collect()
}

fn program(
    calls: BTreeMap<i64, Vec<SeccompRule>>,
    others: SeccompAction,
    these: SeccompAction,
) -> BpfProgram {
    let target = std::env::consts::ARCH.try_into().unwrap();
    SeccompFilter::new(calls, others, these, target)
        .unwrap()
        .try_into()
        .unwrap()
}

/// Builds the filter that systemd makes of `SystemCallFilter=`: a list of what is allowed, less what is not.
fn call_filter(numbers: &BTreeMap<String, i64>) -> BpfProgram {
    let mut allowed = BTreeSet::new();
    for line in settings("SystemCallFilter") {
        let denies = line.starts_with('~');
        for set in line.trim_start_matches('~').split(' ') {
            let mut calls = BTreeSet::new();
            match set.starts_with('@') {
                true => calls_of(set, &mut calls),
                false => _ = calls.insert(set.to_owned()),
            }
            assert!(!calls.is_empty(), "{set}");
            match denies {
                true => allowed.retain(|call| !calls.contains(call)),
                false => allowed.extend(calls),
            }
        }
    }
    let allowed = allowed.iter().filter_map(|call| numbers.get(call));
    let allowed = allowed.map(|number| (*number, Vec::new())).collect();
    assert_eq!(settings("SystemCallErrorNumber"), ["EPERM"]);
    program(
        allowed,
        SeccompAction::Errno(libc::EPERM as u32),
        SeccompAction::Allow,
    )
}

/// Builds the filters that systemd makes of `MemoryDenyWriteExecute=`, `RestrictAddressFamilies=` and
/// `RestrictNamespaces=`.
fn argument_filters(numbers: &BTreeMap<String, i64>) -> [BpfProgram; 4] {
    let is = |argument, operation, value| {
        SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operation, value).unwrap()
    };
    let masked = |argument, bits: i32| {
        let bits = bits as u64;
        SeccompRule::new(vec![is(argument, SeccompCmpOp::MaskedEq(bits), bits)]).unwrap()
    };
    let families = [libc::AF_INET, libc::AF_INET6, libc::AF_UNIX];
    let others = families.map(|family| is(0, SeccompCmpOp::Ne, family as u64));
    let number = |name: &str| numbers[name];
    let writes_and_runs = [
        (
            number("mmap"),
            vec![masked(2, libc::PROT_WRITE | libc::PROT_EXEC)],
        ),
        (number("mprotect"), vec![masked(2, libc::PROT_EXEC)]),
    ];
    let sockets = [(number("socket"), vec![SeccompRule::new(others.into()).unwrap()])];
    // Its flags are behind a pointer, so it is made to look absent, and `clone` is used.
    let clones = [(number("clone3"), Vec::new())];
    let namespaces = [
        libc::CLONE_NEWNS,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWNET,
        libc::CLONE_NEWCGROUP,
    ];
    let new_namespaces = || namespaces.map(|namespace| masked(0, namespace)).to_vec();
    let unsharing = [
        (number("unshare"), new_namespaces()),
        (number("clone"), new_namespaces()),
        (number("setns"), Vec::new()),
    ];
    let allow = SeccompAction::Allow;
    let errno = |number: i32| SeccompAction::Errno(number as u32);
    [
        program(writes_and_runs.into(), allow.clone(), errno(libc::EPERM)),
        program(sockets.into(), allow.clone(), errno(libc::EAFNOSUPPORT)),
        program(clones.into(), allow.clone(), errno(libc::ENOSYS)),
        program(unsharing.into(), allow, errno(libc::EPERM)),
    ]
}

/// Runs `test` on a thread whose children are restricted as the service is.
fn held_like_the_service(test: impl FnOnce() + Send + 'static) {
    let numbers = numbers();
    let (calls, arguments) = (call_filter(&numbers), argument_filters(&numbers));
    let held = thread::spawn(move || {
        arguments.iter().for_each(|filter| apply_filter(filter).unwrap());
        apply_filter(&calls).unwrap();
        test();
    });
    held.join().unwrap();
}

fn file_of(pid: u32, name: &str) -> String {
    fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap()
}

/// Returns the nice value of the first thread with this name.
fn nice_of(pid: u32, name: &str) -> Option<i32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let mut stats = threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("stat")).ok());
    stats.find_map(|stat| {
        let (_, thread) = stat.split_once('(')?;
        // The state follows, and the nice value is the 16th behind that.
        let (thread, rest) = thread.rsplit_once(") ")?;
        (thread == name).then(|| rest.split(' ').nth(16)?.parse().ok())?
    })
}

fn status_of(pid: u32, name: &str) -> String {
    let status = file_of(pid, "status");
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap().trim().to_owned()
}

/// Returns the soft and the hard limit of descriptors.
fn descriptors(pid: u32) -> (String, String) {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let mut words = line.unwrap().split_whitespace().map(str::to_owned);
    (words.next().unwrap(), words.next().unwrap())
}

fn follow(runtime: &tokio::runtime::Runtime, brokers: &Brokers, address: std::net::SocketAddr, number: i64) {
    runtime.block_on(async {
        let ask = Ask::new(format!("/v2/stream/{STREAM}"));
        let mut client = Client::connect(address, &ask).await.unwrap();
        brokers.write(TOPIC, 0, [number]);
        let message = client.next(DEADLINE).await.unwrap();
        assert_eq!(message.data, format!("{{\"n\":{number}}}"));
    });
}

#[test]
#[ignore = "needs systemd-analyze and a C compiler: ./tests/run"]
fn under_its_system_call_filter_riverhead_starts_raises_descriptors_and_hands_over() {
    let (_, hard) = rlimit::Resource::NOFILE.get().unwrap();
    assert!(hard > 1024, "nothing can be raised here");
    rlimit::Resource::NOFILE.set(1024, hard).unwrap();
    let brokers = Brokers::start(&[(TOPIC, 1)]);
    held_like_the_service(move || {
        // The filter is active: each of these calls is in @privileged, or creates a namespace.
        for refused in [["unshare", "--net", "true"], ["chroot", "/", "true"]] {
            let mut command = Command::new(refused[0]);
            let tried = command.args(&refused[1..]).stderr(Stdio::null()).status();
            assert!(!tried.unwrap().success(), "{refused:?}");
        }
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let plan = GatewayPlan::new(
            env!("CARGO_BIN_EXE_riverhead"),
            brokers.addresses().to_vec(),
            STREAM,
            &[TOPIC],
        );
        let certificate = ServerCertificate::create().unwrap();
        let tls = certificate
            .settings()
            .map(|(name, value)| (name.to_owned(), value));
        let plan = plan.set_all(&tls).set("RIVERHEAD_HTTP__DRAIN", "100ms");
        let mut first = plan.start().unwrap();
        assert_eq!(status_of(first.pid(), "Seccomp:"), "2");
        assert_eq!(file_of(first.pid(), "coredump_filter").trim(), "00000000");
        eventually(DEADLINE, "threads for handshakes that give way", || {
            let own = nice_of(first.pid(), "riverhead");
            nice_of(first.pid(), "tls-handshake").is_some_and(|nice| Some(nice) > own)
        });
        let (soft, hard) = descriptors(first.pid());
        assert_eq!(soft, hard);
        first.wait_for_partitions(1, DEADLINE);
        follow(&runtime, &brokers, first.http, 1);
        first.signal("HUP").unwrap();
        eventually(DEADLINE, "a reload", || {
            first.log().contains("was read again and applies")
        });
        let successor = first.hand_over(DEADLINE).unwrap();
        assert_eq!(status_of(successor.pid, "Seccomp:"), "2");
        assert_eq!(first.wait(DEADLINE).unwrap(), Some(0), "{}", first.log());
        let read = || -> io::Result<bool> { Ok(first.metric("riverhead_partitions")? == 1.0) };
        eventually(DEADLINE, "the successor's tail", || read().unwrap_or(false));
        follow(&runtime, &brokers, first.http, 2);
        successor.signal("TERM").unwrap();
    });
}

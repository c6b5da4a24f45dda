use std::time::Duration;
fn main() {
    let cluster = riverhead_brokers::Cluster::start();
    let r = riverhead_loadtest::scenarios::resume::Resume {
        binary: "/tmp/rel/release/riverhead".into(),
        records: 1_000_000, rate: 4000.0, clients: 50, cuts: 20,
        kill_every: Duration::from_secs(10), patience: Duration::from_secs(1200),
    };
    let report = r.run(&cluster, "million");
    println!("{report}");
    println!("{:?}", report.gaps.iter().take(5).collect::<Vec<_>>());
    std::fs::write("/tmp/million.gateway.log", &report.log).unwrap();
}

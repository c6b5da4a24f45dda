//! A network namespace that is connected to ours by one cable.

use std::{
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

/// Another host, from TCP's point of view. Dropping it removes it and everything in it.
#[derive(Debug)]
pub(crate) struct Elsewhere {
    name: String,
    /// The number of its /30 network in 10.213.0.0/16.
    network: u8,
}

/// A process. Dropping it kills the process.
#[derive(Debug)]
pub(crate) struct Reader(Child);

impl Elsewhere {
    /// Creates a namespace. `network` is different for each test, because tests may run at the same time.
    pub(crate) fn new(network: u8) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("rh{}n{count}", std::process::id());
        let elsewhere = Self { name, network };
        let (name, cable) = (&elsewhere.name, cable(&elsewhere.name));
        let (here, there) = (elsewhere.here(), elsewhere.there());
        ip(&format!("netns add {name}"));
        ip(&format!("link add {cable} type veth peer name eth0 netns {name}"));
        ip(&format!("address add {here}/30 dev {cable}"));
        ip(&format!("link set {cable} up"));
        ip(&format!("-n {name} address add {there}/30 dev eth0"));
        ip(&format!("-n {name} link set eth0 up"));
        elsewhere
    }

    /// Returns our address on the cable.
    pub(crate) fn here(&self) -> String {
        format!("10.213.{}.1", self.network)
    }

    fn there(&self) -> String {
        format!("10.213.{}.2", self.network)
    }

    /// Drops everything that the host sends from now on, including acknowledgements.
    pub(crate) fn vanish(&self) {
        ip(&format!(
            "-n {} route add blackhole {}/32",
            self.name,
            self.here()
        ));
    }

    /// Undoes [`vanish`](Self::vanish).
    pub(crate) fn come_back(&self) {
        ip(&format!(
            "-n {} route del blackhole {}/32",
            self.name,
            self.here()
        ));
    }

    /// Starts a client on the host that reads `url`.
    pub(crate) fn curl(&self, url: &str) -> Reader {
        let child = Command::new("ip")
            .args(["netns", "exec", &self.name, "curl", "-sN", url])
            .stdout(Stdio::null())
            .spawn();
        Reader(child.expect("ip"))
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        // A connection whose peer is gone keeps a namespace for minutes, and with it the cable, whose address
        // is taken.
        ip(&format!("link del {}", cable(&self.name)));
        ip(&format!("netns del {}", self.name));
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // Both fail only if the process has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns the name of our end of the cable to the namespace of this name.
fn cable(name: &str) -> String {
    format!("{name}v")
}

fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output();
    let output = output.expect("ip: iproute2 is not installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {said}");
}

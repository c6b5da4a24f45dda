//! A network namespace with one cable to ours.

use std::{
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

/// Another host, as far as TCP can tell. Its drop removes it, with all that is in it.
#[derive(Debug)]
pub(crate) struct Elsewhere {
    name: String,
    /// Which of the /30 networks in 10.213.0.0/16 lies between.
    network: u8,
}

/// A process of its own; its drop kills it.
#[derive(Debug)]
pub(crate) struct Reader(Child);

impl Elsewhere {
    /// `network` is another for each test, as they may run at the same time.
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

    /// Our address on the cable.
    pub(crate) fn here(&self) -> String {
        format!("10.213.{}.1", self.network)
    }

    fn there(&self) -> String {
        format!("10.213.{}.2", self.network)
    }

    /// From now on nothing that is sent there arrives here, not even the acknowledgements of what we send.
    pub(crate) fn vanish(&self) {
        ip(&format!(
            "-n {} route add blackhole {}/32",
            self.name,
            self.here()
        ));
    }

    /// Undoes it.
    pub(crate) fn come_back(&self) {
        ip(&format!(
            "-n {} route del blackhole {}/32",
            self.name,
            self.here()
        ));
    }

    /// A client there that reads `url`.
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
        // A connection that ends nowhere keeps a namespace for minutes, and with it the cable, whose address is taken.
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

/// Our end of the cable to the namespace of this name.
fn cable(name: &str) -> String {
    format!("{name}v")
}

fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output();
    let output = output.expect("ip: iproute2 is not installed");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ip {arguments}: {said}");
}

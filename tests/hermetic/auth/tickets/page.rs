//! The lines of JavaScript in the documentation, against a gateway whose connections break.

use std::{
    net::SocketAddr,
    process::Stdio,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines, copy_bidirectional},
    net::{TcpListener, TcpStream},
    process::{Child, ChildStdout, Command},
    sync::Notify,
    task::JoinHandle,
    time::timeout,
};

use crate::auth::tickets::events::Stage;

/// A way to the gateway that can be cut.
struct Way {
    address: SocketAddr,
    cut: Arc<Notify>,
    _task: JoinHandle<()>,
}

impl Way {
    async fn to(gateway: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let cut = Arc::new(Notify::new());
        let own = Arc::clone(&cut);
        let task = tokio::spawn(async move {
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let mut server = TcpStream::connect(gateway).await.unwrap();
                let cut = Arc::clone(&own);
                tokio::spawn(async move {
                    tokio::select! {
                        _ = copy_bidirectional(&mut client, &mut server) => {}
                        () = cut.notified() => {}
                    }
                });
            }
        });
        Self {
            address,
            cut,
            _task: task,
        }
    }

    /// Closes all connections.
    fn cut(&self) {
        self.cut.notify_waiters();
    }
}

/// A page that shows what it gets.
struct Page {
    shown: Lines<BufReader<ChildStdout>>,
    _node: Child,
}

impl Page {
    /// Runs the lines of the documentation with this way to the gateway.
    fn open(way: &Way, token: &str) -> Self {
        let lines = DOCUMENTATION
            .split_once("```js\n")
            .expect("lines of JavaScript")
            .1;
        let lines = lines.split_once("```").expect("their end").0;
        assert!(lines.contains("\"https://stream.example\"") && lines.contains("\"payments\""));
        let lines = lines
            .replace("https://stream.example", &format!("http://{}", way.address))
            .replace("\"payments\"", "\"all\"");
        let mut node = Command::new("node")
            .args(["-e", &(include_str!("page.js").to_owned() + &lines)])
            .env("TOKEN", token)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("node");
        let shown = BufReader::new(node.stdout.take().unwrap()).lines();
        Self { shown, _node: node }
    }

    /// Returns the number of the next event.
    async fn next(&mut self) -> u64 {
        let line = timeout(PATIENCE, self.shown.next_line()).await.expect("an event");
        let document: Value = serde_json::from_str(&line.unwrap().expect("a page that runs")).unwrap();
        document["n"].as_u64().unwrap()
    }
}

const DOCUMENTATION: &str = include_str!("../../../../docs/access.md");

const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs node: ./tests/run"]
async fn the_page_of_the_documentation_misses_nothing_when_connections_break_and_tickets_expire() {
    let stage = Stage::with(|auth| {
        auth.ticket_lifetime = Duration::from_secs(5);
        auth.ticket_resume = Duration::from_secs(10);
    });
    let gateway = &stage.gateway.gateway;
    let way = Way::to(gateway.public).await;
    let token = stage.signing.token(&json!({}));
    let mut page = Page::open(&way, &token);
    gateway
        .until_metric("riverhead_streams_open{stream=\"all\"}", 1.0)
        .await;

    let asked = async || {
        let tokens = "riverhead_auth_credentials_total{kind=\"token\",name=\"idp\",result=\"ok\"}";
        gateway.metric(tokens).await
    };
    let (mut expected, start) = (41, Instant::now());
    while asked().await < 3.0 {
        assert!(start.elapsed() < PATIENCE, "it asks for no other ticket");
        stage.fixture.write(0, 3);
        for _ in 0..3 {
            assert_eq!(page.next().await, expected);
            expected += 1;
        }
        way.cut();
        stage.fixture.write(0, 1);
        assert_eq!(page.next().await, expected, "written while it was away");
        expected += 1;
    }
    let resumed = "riverhead_auth_credentials_total{kind=\"ticket\",name=\"idp\",result=\"ok\"}";
    let resumed = gateway.metric(resumed).await;
    assert!(resumed > 10.0, "{resumed} requests with three tickets");
}

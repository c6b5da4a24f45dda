//! What a process writes while clients come with credentials, good and bad, in every way: none of them is in it.

use std::{
    fs::File,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    thread,
};

use jsonwebtoken::Algorithm;
use riverhead_brokers::eventually;
use serde_json::json;

use crate::{
    auth::{
        api_keys,
        issuer::{AUDIENCE, ISSUER, SigningKey, jwks, now},
    },
    support::gateway::DEADLINE,
    tls::authority::{Authority, Files},
};

const ADMIN_TOKEN: &str = "QWRtaW5Ub2tlbk9mVGhpc1Rlc3Q";
const WRONG_ADMIN_TOKEN: &str = "V3JvbmdBZG1pblRva2VuT2ZUaGlz";
const GARBAGE: &str = "garbage-that-may-be-a-secret-of-another-service";

/// A running gateway whose log has every line, and its secrets.
struct Stage {
    child: Child,
    files: Files,
    log: PathBuf,
    /// The beginnings of URLs: plain, with TLS, and of the admin listener.
    http: String,
    https: String,
    admin: String,
    keys: [String; 3],
    tokens: Vec<String>,
    /// Texts of the files with private keys.
    private: Vec<String>,
}

impl Stage {
    fn start() -> Self {
        let (authority, clients, files) = (Authority::new(), Authority::new(), Files::new());
        let mut private = Vec::new();
        for (name, issued) in [
            ("server", authority.issue(&["localhost"])),
            ("client", clients.issue(&["reader.partner.example"])),
        ] {
            files.pair(name, &issued);
            private.push(issued.key.serialize_pem());
        }
        files.write("ca.pem", &authority.pem());
        files.write("clients.pem", &clients.pem());
        let signing = SigningKey::new("k", Algorithm::ES256);
        files.write("jwks.json", &jwks(&[&signing]));
        let keys = api_keys(
            &files,
            [("partner", "read"), ("other", "write"), ("gone", "read")],
        );
        let stranger = SigningKey::new("k", Algorithm::ES256);
        let tokens = vec![
            signing.token(&json!({})),
            signing.token(&json!({"exp": now() - 100})),
            signing.token(&json!({"aud": "https://other.example"})),
            stranger.token(&json!({})),
        ];
        let config = files.write("riverhead.toml", &config());
        let log = files.path("log");
        let mut child = Command::new(env!("CARGO_BIN_EXE_riverhead"))
            .args(["serve", "--config"])
            .arg(config)
            .env("RIVERHEAD_LOG__LEVEL", "trace")
            .stdout(Stdio::piped())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut address = crate::support::printed_addresses(&mut child);
        let http = address("listening on ");
        let https = address("tls on ").replace("127.0.0.1", "localhost");
        let admin = address("admin on ");
        Self {
            child,
            files,
            log,
            http,
            https,
            admin,
            keys,
            tokens,
            private,
        }
    }

    /// Every line that may carry a credential.
    fn headers(&self) -> Vec<String> {
        let [partner, other, _] = &self.keys;
        let (slip, garbage) = (partner.replace("rvh_", "rvh_0"), GARBAGE.to_owned());
        let credentials = [partner, other, &slip, &garbage].into_iter();
        let credentials: Vec<_> = credentials.chain(&self.tokens).collect();
        let bearers = credentials
            .iter()
            .map(|own| format!("authorization: Bearer {own}"));
        let cookies = credentials
            .iter()
            .map(|own| format!("cookie: __Secure-riverhead={own}"));
        let twice = format!("authorization: Bearer {partner}, Bearer {other}");
        bearers.chain(cookies).chain([twice]).collect()
    }

    /// Asks for a stream with every credential, over every protocol. Returns all that is answered.
    fn ask_for_streams(&self) -> String {
        let [ca, certificate, key] = ["ca.pem", "client.pem", "client.key"]
            .map(|name| self.files.path(name).to_str().unwrap().to_owned());
        let ways: [(&str, Vec<&str>); 5] = [
            (&self.http, vec!["--http1.1"]),
            (&self.http, vec!["--http2-prior-knowledge"]),
            (&self.https, vec!["--http1.1", "--cacert", &ca]),
            (&self.https, vec!["--http2", "--cacert", &ca]),
            (
                &self.https,
                vec![
                    "--http1.1",
                    "--cacert",
                    &ca,
                    "--cert",
                    &certificate,
                    "--key",
                    &key,
                ],
            ),
        ];
        let headers = self.headers();
        let mut asks = Vec::new();
        for (base, options) in &ways {
            for header in &headers {
                // Each from an address of its own: a client that is refused often waits, and has few lines in the log.
                let address = format!("127.0.2.{}", asks.len() + 1);
                let mut arguments = vec![
                    "-sSiN4",
                    "--max-time",
                    "60",
                    "--interface",
                    &address,
                    "-H",
                    header,
                ];
                arguments.extend(options);
                asks.push(curl(&arguments, &format!("{base}/v2/stream/scoped")));
            }
        }
        // All at once: a good credential gets a stream, which ends after a while without Kafka.
        let answers: Vec<_> = asks.into_iter().map(|ask| ask.join().unwrap()).collect();
        let count = |start: &str| {
            let is_one = |answer: &&Output| {
                String::from_utf8_lossy(&answer.stdout)
                    .lines()
                    .any(|line| line.contains(start))
            };
            answers.iter().filter(is_one).count()
        };
        let [good, bad, forbidden] = ["200", "401", "403"].map(|status| {
            ["1.1", "2"]
                .map(|version| count(&format!("HTTP/{version} {status}")))
                .iter()
                .sum::<usize>()
        });
        // The first key and the first token; the second key has another scope.
        assert_eq!([good, bad, forbidden], [20, 55, 10], "of {}", answers.len());
        answers.iter().map(shown).collect()
    }

    /// Sends commands with the token of operators and with a wrong one.
    fn revoke(&self) -> String {
        let ask = |token: &str, body: &str| {
            let token = format!("authorization: Bearer {token}");
            let arguments = ["-sSi", "--max-time", "20", "-X", "POST", "-H", &token, "-d", body];
            let answer = curl(&arguments, &format!("{}/admin/revocations", self.admin));
            shown(&answer.join().unwrap())
        };
        let done = ask(ADMIN_TOKEN, "{\"key\":\"gone\"}");
        assert!(done.contains("HTTP/1.1 200"), "{done}");
        let refused = ask(WRONG_ADMIN_TOKEN, "{\"key\":\"partner\"}");
        assert!(
            refused.contains("HTTP/1.1 401") || refused.contains("HTTP/1.1 403"),
            "{refused}"
        );
        done + &refused
    }

    /// Lets the process read a file of keys again in which somebody has put a key in place of its digest.
    fn reload_with_a_key_in_the_wrong_place(&self) {
        let [_, _, gone] = &self.keys;
        let entry = format!("[[keys]]\nname = 'new'\nsha256 = '{gone}'\n");
        self.files.write("keys.toml", &entry);
        let process = self.child.id().to_string();
        let sent = Command::new("kill").args(["-HUP", &process]).status().unwrap();
        assert!(sent.success());
        eventually(DEADLINE, "the fault in the log", || {
            self.log().contains("`sha256` is not a digest")
        });
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Parts of all secrets, which are long enough to be in nothing else.
    fn secrets(&self) -> Vec<String> {
        let end = |text: &String| text[text.len() - 20..].to_owned();
        let keys = self.keys.iter().map(|key| key[10..40].to_owned());
        let private = self
            .private
            .iter()
            .map(|pem| pem.lines().nth(2).unwrap()[..24].to_owned());
        let others = [ADMIN_TOKEN, WRONG_ADMIN_TOKEN, GARBAGE].map(str::to_owned);
        keys.chain(self.tokens.iter().map(end))
            .chain(private)
            .chain(others)
            .collect()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn config() -> String {
    let streams =
        ["open", "scoped"].map(|name| format!("[[streams]]\nname = \"{name}\"\ntopics = [\"{name}\"]\n"));
    let [open, scoped] = streams;
    format!(
        "[http]\nlisten = \"127.0.0.1:0\"\nheartbeat = \"200ms\"\nhold_limit = \"2s\"\n\
         [http.tls]\nlisten = \"127.0.0.1:0\"\nclient_ca = \"clients.pem\"\nclient_certificates = \"optional\"\n\
         certificates = [{{ certificate = \"server.pem\", key = \"server.key\" }}]\n\
         [admin]\nlisten = \"127.0.0.1:0\"\ntoken = \"{ADMIN_TOKEN}\"\n\
         [limits]\nstreams_per_client = 1000\nrequest_burst = 1000\n\
         [auth]\nkeys_file = \"keys.toml\"\nrevocations_file = \"revoked.toml\"\n\
         [[auth.certificates]]\nname = \"partner\"\nsan = \"reader.partner.example\"\nscopes = [\"read\"]\n\
         [[auth.issuers]]\nname = \"idp\"\nissuer = \"{ISSUER}\"\naudience = [\"{AUDIENCE}\"]\njwks = \"jwks.json\"\n\
         [[clusters]]\nname = \"main\"\nbootstrap = [\"127.0.0.1:1\", \"127.0.0.1:2\", \"127.0.0.1:3\"]\n\
         {open}{scoped}access = [\"read\"]\n"
    )
}

fn curl(arguments: &[&str], url: &str) -> thread::JoinHandle<Output> {
    let mut command = Command::new("curl");
    command.args(arguments).arg(url);
    thread::spawn(move || command.output().expect("curl"))
}

fn shown(output: &Output) -> String {
    let texts = [&output.stdout, &output.stderr];
    texts
        .map(|text| String::from_utf8_lossy(text).into_owned())
        .concat()
}

#[test]
fn no_secret_is_in_the_log_in_answers_in_metrics_or_in_what_operators_see() {
    let stage = Stage::start();
    let mut texts = vec![stage.ask_for_streams(), stage.revoke()];
    for path in ["/metrics", "/admin/clients", "/healthz"] {
        let page = curl(&["-sSi", "--max-time", "20"], &format!("{}{path}", stage.admin));
        texts.push(shown(&page.join().unwrap()));
    }
    stage.reload_with_a_key_in_the_wrong_place();
    eventually(DEADLINE, "the end of a stream in the log", || {
        stage.log().contains("stream ended")
    });
    let log = stage.log();
    for line in ["stream started", "key partner", "token idp: somebody"] {
        assert!(log.contains(line), "{line:?} is not in the log");
    }
    texts.push(log);
    let secrets = stage.secrets();
    assert_eq!(secrets.len(), 12);
    for secret in secrets {
        for text in &texts {
            let line = text.lines().find(|line| line.contains(&secret));
            assert_eq!(line, None, "{secret}");
        }
    }
}

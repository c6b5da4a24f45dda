//! Every kind of credential, on streams with every kind of access.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use riverhead::auth::settings::AuthSettings;
use serde_json::json;

use crate::{
    auth::{
        AuthGateway, api_keys, bearer,
        issuer::{SigningKey, claims, issuer, jwks, now},
    },
    support::gateway::get,
    tls::authority::Files,
};

/// What is expected of a credential: the statuses for a stream for everybody, and for one with scopes; and the `type` of a refusal.
struct Expected {
    open: u16,
    scoped: u16,
    refusal: &'static str,
}

const GOOD: Expected = Expected {
    open: 200,
    scoped: 200,
    refusal: "",
};
const NONE: Expected = Expected {
    open: 200,
    scoped: 401,
    refusal: "unauthorized",
};
const BAD: Expected = Expected {
    open: 401,
    scoped: 401,
    refusal: "invalid_token",
};
const OTHER_SCOPE: Expected = Expected {
    open: 200,
    scoped: 403,
    refusal: "insufficient_scope",
};
const SEVERAL: Expected = Expected {
    open: 400,
    scoped: 400,
    refusal: "invalid_request",
};

/// The signers of a gateway, its files, and its keys.
struct Stage {
    gateway: AuthGateway,
    ec: SigningKey,
    ed: SigningKey,
    rsa: SigningKey,
    /// It had the key id of `ec` before.
    rotated: SigningKey,
    api_key: String,
    revoked_key: String,
    expired_key: String,
    _files: Files,
}

impl Stage {
    fn new() -> Self {
        let files = Files::new();
        let [ec, ed, rsa, rotated] = [
            ("ec", Algorithm::ES256),
            ("ed", Algorithm::EdDSA),
            ("rsa", Algorithm::RS256),
            ("ec", Algorithm::ES256),
        ]
        .map(|(id, algorithm)| SigningKey::new(id, algorithm));
        let set = files.write("jwks.json", &jwks(&[&ec, &ed, &rsa]));
        let [api_key, revoked_key, expired_key] =
            api_keys(&files, [("partner", "read"), ("gone", "read"), ("late", "read")]);
        let mut keys = std::fs::read_to_string(files.path("keys.toml")).unwrap();
        keys.push_str("expires = '2020-01-01T00:00:00Z'\n");
        files.write("keys.toml", &keys);
        let revoked = "jti = ['revoked']\nsubjects = ['banned']\nkeys = ['gone']\n";
        let settings = AuthSettings {
            keys_file: Some(files.path("keys.toml")),
            revocations_file: Some(files.write("revoked.toml", revoked)),
            issuers: vec![issuer(set.to_str().unwrap())],
            ..AuthSettings::default()
        };
        Self {
            gateway: AuthGateway::start(&settings),
            ec,
            ed,
            rsa,
            rotated,
            api_key,
            revoked_key,
            expired_key,
            _files: files,
        }
    }

    /// Every case: its name, its header lines and what is expected.
    fn cases(&self) -> Vec<(&'static str, String, Expected)> {
        let token = |change| bearer(&self.ec.token(&change));
        let other_key = SigningKey::new("other", Algorithm::ES256);
        let symmetric = Header {
            kid: Some("ec".into()),
            ..Header::new(Algorithm::HS256)
        };
        let secret = EncodingKey::from_secret(self.ec.public_text().as_bytes()).unwrap();
        let symmetric = jsonwebtoken::encode(&symmetric, &claims(&json!({})), &secret).unwrap();
        // A good token whose header says `none`, with its signature and without.
        let good = self.ec.token(&json!({}));
        let (_, rest) = good.split_once('.').unwrap();
        let none = format!("eyJhbGciOiJub25lIiwia2lkIjoiZWMifQ.{rest}");
        let unsigned = format!("{}.", none.rsplit_once('.').unwrap().0);
        let brought = Header {
            jku: Some("https://evil.example/jwks".into()),
            ..other_key.header()
        };
        let with_jku = other_key.signed(&brought, &json!({}));
        let wrong_alg = Header {
            alg: Algorithm::ES256,
            ..self.ed.header()
        };
        vec![
            ("none", String::new(), NONE),
            ("another scheme", "authorization: Basic YTpi\r\n".into(), NONE),
            ("good ES256", bearer(&good), GOOD),
            ("good EdDSA", bearer(&self.ed.token(&json!({}))), GOOD),
            ("good RS256", bearer(&self.rsa.token(&json!({}))), GOOD),
            (
                "good for several",
                token(json!({"aud": ["a", crate::auth::issuer::AUDIENCE]})),
                GOOD,
            ),
            (
                "good with an array of scopes",
                token(json!({"scope": ["a", "read"]})),
                GOOD,
            ),
            (
                "within the leeway",
                token(json!({"exp": now() - 10, "nbf": now() + 10})),
                GOOD,
            ),
            (
                "another scope",
                token(json!({"scope": "reader write"})),
                OTHER_SCOPE,
            ),
            ("no scope", token(json!({"scope": null})), OTHER_SCOPE),
            ("expired", token(json!({"exp": now() - 31})), BAD),
            ("not yet valid", token(json!({"nbf": now() + 400})), BAD),
            ("without an end", token(json!({"exp": null})), BAD),
            ("wrong aud", token(json!({"aud": "https://other.example"})), BAD),
            ("no aud", token(json!({"aud": null})), BAD),
            ("wrong iss", token(json!({"iss": "https://other.example"})), BAD),
            ("wrong alg", bearer(&self.ec.signed(&wrong_alg, &json!({}))), BAD),
            ("alg none", bearer(&none), BAD),
            ("alg none without a signature", bearer(&unsigned), BAD),
            ("HS256 with the public key", bearer(&symmetric), BAD),
            ("unknown kid", bearer(&other_key.token(&json!({}))), BAD),
            ("a key of its own", bearer(&with_jku), BAD),
            (
                "a key that was replaced",
                bearer(&self.rotated.token(&json!({}))),
                BAD,
            ),
            ("revoked", token(json!({"jti": "revoked"})), BAD),
            ("of a revoked subject", token(json!({"sub": "banned"})), BAD),
            ("garbage", bearer("garbage"), BAD),
            ("garbage of three parts", bearer("a.b.c"), BAD),
            (
                "nothing behind the scheme",
                "authorization: Bearer\r\n".into(),
                BAD,
            ),
            ("much", bearer(&"a".repeat(20_000)), BAD),
            ("a good API key", bearer(&self.api_key), GOOD),
            ("an API key that has expired", bearer(&self.expired_key), BAD),
            ("a revoked API key", bearer(&self.revoked_key), BAD),
            (
                "an API key with a slip",
                bearer(&self.api_key.replace("rvh_", "rvh_0")),
                BAD,
            ),
            ("two credentials", bearer(&good) + &bearer(&self.api_key), SEVERAL),
            ("the same twice", bearer(&good).repeat(2), SEVERAL),
        ]
    }
}

#[tokio::test]
async fn every_credential_gets_what_it_is_worth_and_nothing_more() {
    let stage = Stage::new();
    for (name, headers, expected) in stage.cases() {
        // The key has the scope, but names no owner.
        let (owned, refusal) = match name {
            "a good API key" => (403, "insufficient_scope"),
            _ => (expected.scoped, expected.refusal),
        };
        for (stream, status) in [
            ("open", expected.open),
            ("scoped", expected.scoped),
            ("open,scoped", expected.scoped),
            ("owned", owned),
            ("open,scoped,owned", owned),
        ] {
            let target = format!("/v2/stream/{stream}");
            let answer = stage.gateway.ask(&target, &headers).await;
            assert_eq!(answer.status, status, "{name} on {stream}: {answer:?}");
            if status != 200 {
                assert_eq!(answer.json()["type"], refusal, "{name}: {answer:?}");
                let challenge = answer.header("www-authenticate").unwrap_or_default();
                assert!(challenge.starts_with("Bearer"), "{name}: {answer:?}");
            }
            let has_credential = headers.contains("Bearer");
            let is_private = answer.header("cache-control") == Some("private, no-store, no-transform");
            assert_eq!(is_private, has_credential, "{name}: {answer:?}");
        }
        // The same credential in a cookie is worth the same.
        let credentials: Vec<_> = headers
            .split("\r\n")
            .filter_map(|line| line.strip_prefix("authorization: Bearer"))
            .collect();
        if let [credential] = credentials[..] {
            let cookie = format!("cookie: __Secure-riverhead={}\r\n", credential.trim());
            for (stream, status) in [
                ("open", expected.open),
                ("scoped", expected.scoped),
                ("owned", owned),
            ] {
                let answer = stage.gateway.ask(&format!("/v2/stream/{stream}"), &cookie).await;
                assert_eq!(
                    answer.status, status,
                    "{name} as a cookie on {stream}: {answer:?}"
                );
            }
        }
        // A bad credential is bad on every path.
        let root = stage.gateway.ask("/_info", &headers).await;
        assert_eq!(root.status, expected.open, "{name}");
    }
}

#[tokio::test]
async fn the_form_of_a_refusal_is_that_of_rfc_6750() {
    let stage = Stage::new();
    let challenge = async |target: &str, headers: &str| {
        let answer = stage.gateway.ask(target, headers).await;
        answer.header("www-authenticate").unwrap().to_owned()
    };
    assert_eq!(
        challenge("/v2/stream/scoped", "").await,
        "Bearer realm=\"riverhead\""
    );
    let expired = bearer(&stage.ec.token(&json!({"exp": now() - 100})));
    assert_eq!(
        challenge("/v2/stream/open", &expired).await,
        "Bearer realm=\"riverhead\", error=\"invalid_token\", error_description=\"the credential has expired\""
    );
    let good = bearer(&stage.ec.token(&json!({})));
    assert_eq!(
        challenge("/v2/stream/secret", &good).await,
        "Bearer realm=\"riverhead\", error=\"insufficient_scope\", scope=\"admin more\""
    );
}

#[tokio::test]
async fn who_may_not_read_a_stream_learns_nothing_of_its_topics_and_fields() {
    let stage = Stage::new();
    let good = bearer(&stage.ec.token(&json!({})));
    for headers in ["", &good] {
        for query in [
            "since=yesterday",
            "filter=a%3D",
            "Codename=x",
            "lastEventId=%5B%7B%22topic%22%3A%22foreign%22%7D%5D",
        ] {
            for stream in ["secret", "open,secret", "secret,scoped"] {
                let answer = stage
                    .gateway
                    .ask(&format!("/v2/stream/{stream}?{query}"), headers)
                    .await;
                assert!(
                    [401, 403].contains(&answer.status),
                    "{stream} {query}: {answer:?}"
                );
                for told in ["codename", "eqiad"] {
                    assert!(!answer.body.contains(told), "{stream} {query}: {answer:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn bad_credentials_one_after_the_other_are_answered_late() {
    let stage = Stage::new();
    let refusals = "riverhead_refusals_held_back_total";
    for number in 0..12 {
        let guess = bearer(&format!("guess{number}"));
        let answer = get(stage.gateway.gateway.public, "/v2/stream/open", &guess).await;
        assert_eq!(answer.status, 401);
    }
    assert!(stage.gateway.gateway.metric(refusals).await >= 1.0);
    let counted = "riverhead_auth_credentials_total{kind=\"token\",name=\"\",result=\"malformed\"}";
    assert!(stage.gateway.gateway.metric(counted).await >= 12.0);
}

#[tokio::test]
async fn no_credential_is_shown_anywhere() {
    let stage = Stage::new();
    let gateway = &stage.gateway.gateway;
    let mut secrets = Vec::new();
    for (name, headers, _) in stage.cases() {
        let credentials = headers
            .lines()
            .filter_map(|line| line.strip_prefix("authorization: Bearer "));
        // What is as short as a word may stand anywhere.
        let own: Vec<_> = credentials
            .filter(|credential| credential.len() > 20)
            .map(str::to_owned)
            .collect();
        let answer = stage.gateway.ask("/v2/stream/scoped", &headers).await;
        for secret in &own {
            let shown = [&answer.head, &answer.body]
                .into_iter()
                .any(|text| text.contains(&secret[..20]));
            assert!(!shown, "{name}: {answer:?}");
        }
        secrets.extend(own);
    }
    assert!(secrets.len() > 20, "{}", secrets.len());
    let mut texts = vec![format!("{:?}", stage.gateway.authenticator)];
    for path in ["/metrics", "/admin/clients", "/healthz"] {
        texts.push(get(gateway.admin, path, "").await.body);
    }
    for secret in secrets {
        // The end of a token is its signature; its beginning is the same in all of them.
        let end = &secret[secret.len() - 20..];
        assert!(texts.iter().all(|text| !text.contains(end)), "{end}");
    }
}

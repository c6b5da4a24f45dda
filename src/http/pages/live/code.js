// The same read for programs: resuming, and with gaps told.

/** The languages, in their order. */
export const LANGUAGES = ["curl", "JavaScript", "Python", "Rust"];

/**
 * Returns a program in this language that reads `url`. The address is percent-encoded, so it needs no escapes in any of them.
 * With `hasCredential` it sends the one in the variable TOKEN of its environment.
 */
export function program(language, url, hasCredential) {
  // The only characters that percent-encoding leaves and a shell reads.
  const address = url.replace(/[!'()*$]/g, (char) => "%" + char.charCodeAt(0).toString(16).toUpperCase());
  return PROGRAMS[language](address, hasCredential).trimStart();
}

const PROGRAMS = {
  curl: (url, secret) => `
curl -N ${secret ? '-H "Authorization: Bearer $TOKEN" ' : ""}'${url}'

# the same, one JSON document per line
curl -N ${secret ? '-H "Authorization: Bearer $TOKEN" ' : ""}-H 'Accept: application/json' '${url}'
`,

  JavaScript: (url, secret) => (secret ? withTicket(url) : plain(url)),

  Python: (url, secret) => `
import json, ${secret ? "os, " : ""}time, urllib.error, urllib.request

url = "${url}"
last_id = None

def read():
    global last_id
    request = urllib.request.Request(url, headers={"Accept": "text/event-stream"})
${secret ? '    request.add_header("Authorization", "Bearer " + os.environ["TOKEN"])\n' : ""}    if last_id:
        request.add_header("Last-Event-ID", last_id)
    event, new_id, data = "message", None, []
    with urllib.request.urlopen(request, timeout=60) as answer:
        for line in answer:
            name, _, value = line.decode().rstrip("\\r\\n").partition(": ")
            if name == "event":
                event = value
            elif name == "id":
                new_id = value
            elif name == "data":
                data.append(value)
            elif name == "" and data:
                handle(event, "\\n".join(data))
                last_id = new_id or last_id
                event, new_id, data = "message", None, []

def handle(event, data):
    if event == "message":
        print(json.loads(data), flush=True)
    elif event == "gap":
        print("lost or repeated:", data, flush=True)

while True:
    try:
        read()
    except urllib.error.HTTPError as refused:
        if refused.code < 500 and refused.code != 429:
            raise SystemExit(refused.read().decode())
    except OSError:
        pass
    time.sleep(2)
`,

  Rust: (url, secret) => `
// cargo add reqwest --features blocking
use std::{io::{BufRead, BufReader}, thread::sleep, time::Duration};

const URL: &str = "${url}";

fn main() {
    let mut last_id = None;
    loop {
        if let Err(error) = read(&mut last_id) {
            eprintln!("{error}");
        }
        sleep(Duration::from_secs(2));
    }
}

fn read(last_id: &mut Option<String>) -> Result<(), Box<dyn std::error::Error>> {
    let client = reqwest::blocking::Client::builder().timeout(None).build()?;
    let mut request = client.get(URL).header("accept", "text/event-stream");
${secret ? '    request = request.bearer_auth(std::env::var("TOKEN")?);\n' : ""}    if let Some(id) = &*last_id {
        request = request.header("last-event-id", id);
    }
    let answer = request.send()?.error_for_status()?;
    let (mut event, mut id, mut data) = (String::from("message"), None, Vec::new());
    for line in BufReader::new(answer).lines() {
        let line = line?;
        match line.split_once(": ") {
            Some(("event", name)) => event = name.into(),
            Some(("id", own)) => id = Some(own.to_owned()),
            Some(("data", text)) => data.push(text.to_owned()),
            None if line.is_empty() && !data.is_empty() => {
                println!("{event} {}", data.join("\\n"));
                *last_id = id.take().or(last_id.take());
                event = "message".into();
                data.clear();
            }
            _ => {}
        }
    }
    Ok(())
}
`,
};

const plain = (url) => `
// Reconnects by itself, and goes on behind the last event.
const source = new EventSource("${url}");
${LISTENERS}
`;

const LISTENERS = `
source.onmessage = (event) => {
  console.log(JSON.parse(event.data));
};
source.addEventListener("gap", (event) => {
  console.warn("lost or repeated:", event.data);
});`;

const withTicket = (url) => `
// EventSource sends no header, but a ticket.
const url = new URL("${url}");
const streams = url.pathname.split("/").pop().split(",").map(decodeURIComponent);
const answer = await fetch(new URL("/v2/tickets", url), {
  method: "POST",
  headers: { authorization: \`Bearer \${TOKEN}\`, "content-type": "application/json" },
  body: JSON.stringify({ streams }),
});
if (!answer.ok) throw new Error(await answer.text());
url.searchParams.set("ticket", (await answer.json()).ticket);
const source = new EventSource(url);
${LISTENERS}
`;

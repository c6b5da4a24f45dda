//! Reads the stream at the second argument with the library that is the first, as its manual says, and prints the data of each event
//! on a line.

use std::{env, error::Error};

use futures_util::StreamExt;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (library, url) = (arguments.next(), arguments.next().ok_or("expected LIBRARY URL")?);
    match library.as_deref() {
        Some("eventsource-client") => eventsource_client(&url).await,
        Some("reqwest-eventsource") => reqwest_eventsource(&url).await,
        _ => Err("unknown library".into()),
    }
}

async fn eventsource_client(url: &str) -> Result<(), Box<dyn Error>> {
    use eventsource_client::{Client, ClientBuilder, SSE};
    use launchdarkly_sdk_transport::HyperTransport;

    let transport = HyperTransport::builder().build_http()?;
    let client = ClientBuilder::for_url(url)?.build_with_transport(transport);
    let mut stream = client.stream();
    while let Some(event) = stream.next().await {
        // An error is told, and the stream goes on.
        if let Ok(SSE::Event(event)) = event {
            println!("{}", event.data);
        }
    }
    Ok(())
}

async fn reqwest_eventsource(url: &str) -> Result<(), Box<dyn Error>> {
    use reqwest_eventsource::{Event, EventSource};

    let mut source = EventSource::get(url);
    while let Some(event) = source.next().await {
        if let Ok(Event::Message(event)) = event {
            println!("{}", event.data);
        }
    }
    Ok(())
}

"""Reads the stream at argv[2] with the library argv[1], as its manual says, and prints the data of each event on a line."""

import asyncio
import json
import os
import sys


def aiohttp_sse_client(url):
    from aiohttp_sse_client import client

    async def read():
        async with client.EventSource(url) as source:
            async for event in source:
                show(event.data)

    asyncio.run(read())


def launchdarkly_eventsource(url):
    from ld_eventsource import SSEClient
    from ld_eventsource.config import ErrorStrategy

    for event in SSEClient(url, error_strategy=ErrorStrategy.always_continue()).events:
        show(event.data)


def pywikibot(url):
    os.environ["PYWIKIBOT_NO_USER_CONFIG"] = "2"
    from pywikibot.comms.eventstreams import EventStreams

    # A site would be asked for the name of its user.
    for event in EventStreams(url=url, site=None):
        show(json.dumps(event, separators=(",", ":")))


def requests_sse(url):
    from requests_sse import EventSource

    with EventSource(url) as source:
        for event in source:
            show(event.data)


def sseclient(url):
    from sseclient import SSEClient

    for event in SSEClient(url):
        if event.data:
            show(event.data)


def show(data):
    print(data, flush=True, file=OUT)


# What a library prints by itself, such as sseclient the error that ended a connection, is no event.
OUT, sys.stdout = sys.stdout, sys.stderr
globals()[sys.argv[1].replace("-", "_")](sys.argv[2])

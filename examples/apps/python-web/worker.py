"""Does a piece of work every few seconds until it is told to end."""

import os
import signal
import threading

import humanize

ended = threading.Event()
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda *_: ended.set())

pieces = 0
print(f"worker of {os.environ.get('FLYNN_RELEASE', 'an unknown release')} begins", flush=True)
while not ended.wait(float(os.environ.get("INTERVAL", "5"))):
    pieces += 1
    print(f"did the {humanize.ordinal(pieces)} piece of work", flush=True)
print(f"worker ends after {pieces} pieces", flush=True)

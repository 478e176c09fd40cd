"""A web app that says what it runs in."""

import os
import time

import humanize
from flask import Flask, jsonify, request

app = Flask(__name__)
STARTED = time.monotonic()


@app.get("/")
def index():
    age = humanize.precisedelta(time.monotonic() - STARTED, minimum_unit="seconds")
    release = os.environ.get("FLYNN_RELEASE", "an unknown release")
    return f"Hello from Flynn. This is {release}, up for {age}.\n", 200, {"Content-Type": "text/plain; charset=utf-8"}


@app.get("/healthz")
def healthz():
    return "ok\n", 200, {"Content-Type": "text/plain"}


@app.get("/env")
def env():
    """The variables that the platform sets, and those whose names the app was told to show."""
    shown = [name.strip() for name in os.environ.get("SHOWN", "").split(",")]
    return jsonify({name: value for name, value in os.environ.items() if name.startswith("FLYNN_") or name in shown})


@app.get("/slow")
def slow():
    """Answers after so many seconds, for requests that a deployment must not cut off."""
    time.sleep(min(request.args.get("seconds", 2.0, type=float), 20.0))
    return "done\n", 200, {"Content-Type": "text/plain"}


@app.post("/echo")
def echo():
    return request.get_data(), 200, {"Content-Type": request.content_type or "application/octet-stream"}

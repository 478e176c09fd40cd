//! The engine and the reference path give the same answers, and send the same requests on.

use std::collections::BTreeSet;

use flynn_router::proxy::Engine;
use flynn_router::rules::{FieldRules, Rules};
use flynn_router::table::{RouteSpec, TableChange};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::instance::{Recorder, Seen};
use crate::rig::{Client, Rig, place, settings};

/// What the instance says to requests for `/0`, `/1` and so on.
const ANSWERS: [&str; 14] = [
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n1 \r\n!\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTrailer: X-Sum, X-B\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 9\r\nX-No: 1\r\n\r\n",
    "HTTP/1.1 204 No Content\r\nX-A: 1\r\nX-A: 2\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n",
    "HTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 404 Gone Away\r\nContent-Length: 2\r\n\r\nno",
    "HTTP/1.1 200 OK\r\nConnection: X-Inner, keep-alive\r\nX-Inner: 1\r\nKeep-Alive: 5\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nServer: x\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nX-Old: 0\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx",
    "HTTP/1.0 200 OK\r\nConnection: close\r\n\r\nto the end",
    "HTTP/1.1 200 OK\r\nContent-Length: 50\r\nConnection: close\r\n\r\nbroken",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\nzz",
    "HTTP/1.1 200 OK\r\nContent-Length: x\r\nConnection: close\r\n\r\n",
    "HTTP/1.1 101 Switching\r\nConnection: close\r\n\r\n",
    "HTTP/1.1 200 OK\nContent-Length: 2\nConnection: close\n\nok",
];

fn answer(seen: &Seen) -> Vec<u8> {
    let path = seen.head.split(' ').nth(1).unwrap_or_default();
    let number = path.split(['/', '?']).find_map(|part| part.parse::<usize>().ok()).unwrap_or_default();
    let is_head = seen.head.starts_with("HEAD ");
    let answer = match ANSWERS[number % ANSWERS.len()] {
        // Of an answer without a body the reference does not look at the length; the engine is stricter.
        answer if is_head && answer.contains("Length: x") => ANSWERS[0],
        answer => answer,
    };
    let last = answer.rfind("HTTP/1.").unwrap();
    let end = answer[last..].find("\r\n\r\n").map_or(answer.len(), |at| last + at + 4);
    if is_head { answer[..end].into() } else { answer.into() }
}

/// Requests on one connection, of which the last ends it, and where the bytes are cut.
fn requests() -> impl Strategy<Value = (String, Vec<usize>)> {
    let start = (
        prop_oneof![4 => Just("GET"), 3 => Just("POST"), 1 => Just("HEAD"), 1 => Just("OPTIONS"), 1 => Just("PUT")],
        prop_oneof![8 => "/(p/)?[0-9]{1,2}", 2 => "/[0-9]\\?[a-z/=]{0,4}", 1 => "//[a-z%]{1,3}", 1 => "http://a\\.example/[0-9]"],
        prop_oneof![12 => Just("HTTP/1.1"), 1 => Just("HTTP/1.0"), 1 => Just("HTTP/1.2")],
        prop_oneof![8 => Just("Host: a.example"), 1 => Just("hOST:A.Example:80 "), 1 => Just("Host: nobody.example"), 1 => Just("Host: a b"), 1 => Just("X-None: 1")].prop_map(str::to_owned),
    );
    let fields = prop::collection::vec(
        prop_oneof![
            Just("X-A:1"),
            Just("x-a: \t2 \t"),
            Just("Connection: X-A"),
            Just("Connection: keep-alive, x-forwarded-for"),
            Just("Keep-Alive: 5"),
            Just("TE: trailers, gzip"),
            Just("Trailer: X-Check, X-Other"),
            Just("X-Forwarded-For: 1.2.3.4"),
            Just("X-Forwarded-For: \u{e4}"),
            Just("X-Forwarded-Proto: https"),
            Just("X-Forwarded-Prefix: /y"),
            Just("x_forwarded_for: 6.6.6.6"),
            Just("X-Request-Id: 0123456789abcdefghij"),
            Just("Proxy-Authorization: x"),
            Just("Accept: text/html"),
            Just("Cookie: a=b"),
            Just("X-Old: client"),
            Just("Empty:"),
            Just("Obs: \u{e4}\u{fc}"),
        ],
        0..6,
    );
    let body = prop_oneof![
        4 => Just(String::new()),
        1 => Just("Content-Length: 0\r\n\r\n".to_owned()),
        3 => "[a-z\r\n]{1,300}".prop_map(|body| format!("Content-Length: {}\r\n\r\n{body}", body.len())),
        3 => prop::collection::vec(("[a-z\r\n]{1,40}", prop_oneof![Just(""), Just(";x=y")]), 0..4).prop_map(|chunks| {
            let chunks: String = chunks.iter().map(|(data, more)| format!("{:X}{more}\r\n{data}\r\n", data.len())).collect();
            format!("Transfer-Encoding: chunked\r\n\r\n{chunks}0\r\nX-Check: 7\r\nX-No: 8\r\n\r\n")
        }),
        1 => Just("Transfer-Encoding: chunked\r\n\r\n5\r\nhello!\r\n0\r\n\r\n".to_owned()),
        1 => Just("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned()),
    ];
    let request = (start, fields, body).prop_map(|((method, target, version, host), fields, body)| {
        let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        // Whether the body of a refused request is read, so that another can follow, is left to each path.
        let is_refused = host == "X-None: 1" || host.contains("nobody");
        let host = if is_refused && !body.is_empty() { "Host: a.example".to_owned() } else { host };
        let body = if body.is_empty() { "\r\n".to_owned() } else { body };
        (format!("{method} {target} {version}\r\n{host}\r\n{fields}"), body)
    });
    (prop::collection::vec(request, 1..4), prop::collection::vec(1_usize..120, 0..4)).prop_map(|(requests, cuts)| {
        let last = requests.len() - 1;
        let end = |at| if at == last { "Connection: close\r\n" } else { "" };
        let all = requests.iter().enumerate().map(|(at, (head, body))| format!("{head}{}{body}", end(at)));
        (all.collect(), cuts)
    })
}

/// A message without what differs from one exchange to the next.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    start: String,
    fields: BTreeSet<(String, Vec<String>)>,
    body: String,
    trailers: String,
    whole: bool,
}

fn told(head: &str, body: &[u8], trailers: &str, whole: bool) -> Told {
    let mut lines = head.trim_end().lines();
    let start = lines.next().unwrap_or_default().to_owned();
    let mut fields = std::collections::BTreeMap::<String, Vec<String>>::new();
    for line in lines {
        let (name, value) = line.split_once(':').unwrap();
        assert_eq!(name.to_lowercase(), name, "{head}");
        let passing = ["date", "x-request-start", "x-forwarded-port"].contains(&name);
        let is_drawn = name == "x-request-id" && value.len() == 33;
        if !passing && !is_drawn {
            fields.entry(name.to_owned()).or_default().push(value.trim().to_owned());
        }
    }
    let fields = fields.into_iter().collect();
    Told { start, fields, body: String::from_utf8_lossy(body).into(), trailers: trailers.to_lowercase(), whole }
}

/// What a client is told, and what the instance got.
async fn exchange(rig: &Rig, instance: &Recorder, text: &str, cuts: &[usize]) -> (Vec<Told>, Vec<Told>) {
    let before = instance.seen().len();
    let mut client = Client::connect(rig.address).await;
    let mut rest = text.as_bytes();
    for cut in cuts {
        let (part, more) = rest.split_at((*cut).min(rest.len()));
        // A broken answer ends the connection, whatever else was to be asked on it.
        if !client.offer(part).await {
            break;
        }
        tokio::task::yield_now().await;
        rest = more;
    }
    client.offer(rest).await;
    // A body may stand before the method on its line.
    let first_word = |part: &str| part.lines().last().and_then(|line| line.split(' ').next()).map(str::to_owned);
    let mut methods = text.split("HTTP/1.").filter_map(first_word).map(|word| word.ends_with("HEAD"));
    let mut answers = Vec::new();
    loop {
        let is_head = methods.next() == Some(true);
        let Some(answer) = client.answer_if_any(if is_head { "HEAD" } else { "GET" }).await else { break };
        answers.push(told(&answer.head, &answer.body, &answer.trailers, answer.whole));
        if !answers.last().is_some_and(|answer| answer.whole) {
            break;
        }
    }
    let seen = instance.seen().split_off(before);
    (answers, seen.iter().map(|seen| told(&seen.head, &seen.body, &seen.trailers, true)).collect())
}

async fn path(engine: Engine) -> (Rig, Recorder) {
    let instance = Recorder::start(answer).await;
    // What is broken is not held against the instance, or it would be passed over for a while.
    let limits = settings(|settings| (settings.engine, settings.eject_after) = (engine, 0));
    let rig = Rig::to_with(&[instance.address()], limits).await;
    let target = rig.route("unused.example", "/", &[instance.address()]);
    let mut rules = Rules::default();
    rules.strip_prefix = true;
    rules.request = FieldRules::default().without("cookie").unwrap().with("x-old", "rule").unwrap();
    rules.response = FieldRules::default().without("server").unwrap().with("X-Old", "1").unwrap();
    rig.table.apply([TableChange::PutRoute(place("a.example", "/p"), RouteSpec { target, rules: rules.into() })]);
    (rig, instance)
}

#[test]
fn both_paths_say_and_send_the_same() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (own, reference) = runtime.block_on(async { (path(Engine::Direct).await, path(Engine::Reference).await) });
    let config =
        ProptestConfig { failure_persistence: None, cases: 100, max_shrink_iters: 200, ..ProptestConfig::default() };
    let done = TestRunner::new(config).run(&requests(), |(text, cuts)| {
        let (ours, theirs) = runtime.block_on(async {
            tokio::join!(exchange(&own.0, &own.1, &text, &cuts), exchange(&reference.0, &reference.1, &text, &[]))
        });
        prop_assert_eq!(ours, theirs, "{:?}", text);
        Ok(())
    });
    runtime.block_on(async {
        own.0.end().await;
        reference.0.end().await;
    });
    if let Err(difference) = done {
        panic!("{difference}");
    }
}

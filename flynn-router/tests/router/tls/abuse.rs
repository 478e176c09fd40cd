//! Clients of HTTP/2 that mean harm, or have gone without a word.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout};

use super::frames::*;
use super::secured::Secured;
use crate::instance::Instance;
use crate::rig::{Client, settings, soon};

async fn hello(secured: &Secured) {
    assert_eq!(secured.h2("a.example").await.get("https://a.example/").await, (200, "hello".into()));
}

/// An instance that takes requests and never answers.
async fn mute() -> Instance {
    Instance::script(|stream| async move {
        let mut peer = Client::over(stream);
        peer.rest().await;
    })
    .await
}

/// The connection ends, and says that it was too much.
async fn calmed(frames: &mut Frames) {
    let rest = frames.rest().await;
    let goaway = rest.iter().find(|frame| frame.kind == GOAWAY);
    let goaway = goaway.unwrap_or_else(|| panic!("no GOAWAY in {rest:?}"));
    assert_eq!(goaway.code(), ENHANCE_YOUR_CALM, "{rest:?}");
}

#[tokio::test]
async fn rapid_resets_end_the_connection() {
    let instance = Instance::hello().await;
    let secured = Secured::to(&[instance.address()]).await;
    let (mut frames, _) = Frames::open(&secured, &[]).await;
    let mut flood = Vec::new();
    for number in 0..200 {
        let stream = number * 2 + 1;
        flood.extend(frame(HEADERS, END_STREAM | END_HEADERS, stream, &get()));
        flood.extend(frame(RST_STREAM, 0, stream, &CANCEL.to_be_bytes()));
    }
    frames.write(&flood).await;
    calmed(&mut frames).await;
    assert!(instance.seen().len() < 100, "{}", instance.seen().len());
    hello(&secured).await;
    secured.end().await;
}

#[tokio::test]
async fn streams_are_counted() {
    let instance = mute().await;
    let settings = settings(|settings| (settings.http2_streams, settings.drain) = (4, Duration::ZERO));
    let secured = Secured::with(&[instance.address], settings, Default::default()).await;
    let (mut frames, theirs) = Frames::open(&secured, &[]).await;
    let limit = setting(MAX_CONCURRENT_STREAMS, 4);
    assert!(theirs.payload.chunks(6).any(|setting| setting == limit), "{theirs:?}");
    for number in 0..5 {
        frames.ask(number * 2 + 1).await;
    }
    let refused = frames.wait_for(|frame| frame.kind == RST_STREAM).await;
    assert_eq!((refused.stream, refused.code()), (9, REFUSED_STREAM));
    drop(frames);
    secured.end().await;
}

#[tokio::test]
async fn long_heads_are_refused_and_endless_ones_end_the_connection() {
    let instance = Instance::hello().await;
    let settings = settings(|settings| settings.head_bytes = 8 << 10);
    let secured = Secured::with(&[instance.address()], settings, Default::default()).await;
    let (mut frames, _) = Frames::open(&secured, &[]).await;
    let head = [get(), field("x-long", &"a".repeat(12 << 10))].concat();
    frames.write(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &head)).await;
    let refused = frames.wait_for(|frame| frame.stream == 1 && [HEADERS, RST_STREAM].contains(&frame.kind)).await;
    if refused.kind == HEADERS {
        // A status that is not in the static table: index 8 is `:status`, with the value written out.
        assert!(String::from_utf8_lossy(&refused.payload).contains("431") || refused.payload[0] != 0x88, "{refused:?}");
    }
    frames.ask(3).await;
    let answer = frames.wait_for(|frame| frame.stream == 3 && frame.kind == HEADERS).await;
    assert_eq!(answer.payload[0], 0x88, "200 from the static table: {answer:?}");

    frames.write(&frame(HEADERS, END_STREAM, 5, &get())).await;
    let more = frame(CONTINUATION, 0, 5, &field("x", &"a".repeat(8 << 10)));
    // It may end before all is written.
    for _ in 0..200 {
        if frames.stream.write_all(&more).await.is_err() {
            break;
        }
    }
    let rest = frames.rest().await;
    assert!(rest.iter().all(|frame| frame.stream != 5 || frame.kind != HEADERS), "{rest:?}");
    hello(&secured).await;
    assert_eq!(instance.seen().len(), 2);
    secured.end().await;
}

/// Writes `flood` again and again and reads nothing, until nothing more is taken and then the connection ends.
async fn floods(flood: &[u8]) {
    let instance = Instance::hello().await;
    let settings = settings(|settings| settings.idle = Duration::from_millis(700));
    let secured = Secured::with(&[instance.address()], settings, Default::default()).await;
    let (mut frames, _) = Frames::open(&secured, &[]).await;
    let batch = flood.repeat(1_000);
    let (mut written, mut blocked) = (0, false);
    let ended = loop {
        match timeout(Duration::from_millis(300), frames.stream.write_all(&batch)).await {
            Ok(Ok(())) => written += batch.len(),
            Ok(Err(_)) => break true,
            // What was begun goes on: the flood is of one byte pattern, and the connection ends whatever comes.
            Err(_) if blocked => break soon(closes(&mut frames)).await,
            Err(_) => {
                blocked = true;
                hello(&secured).await;
            }
        }
        assert!(written < 256 << 20, "it takes everything");
    };
    assert!(ended);
    hello(&secured).await;
    secured.end().await;
}

async fn closes(frames: &mut Frames) -> bool {
    loop {
        if frames.stream.write_all(&[0]).await.is_err() {
            return true;
        }
    }
}

#[tokio::test]
async fn a_flood_of_pings_is_held_back_and_ends() {
    floods(&frame(PING, 0, 0, &[7; 8])).await;
}

#[tokio::test]
async fn a_flood_of_settings_is_held_back_and_ends() {
    floods(&frame(SETTINGS, 0, 0, &[])).await;
}

#[tokio::test]
async fn a_stream_that_is_not_read_is_reset_and_the_others_go_on() {
    let instance = Instance::hello().await;
    let settings = settings(|settings| settings.idle = Duration::from_millis(400));
    let secured = Secured::with(&[instance.address()], settings, Default::default()).await;
    let (mut frames, _) = Frames::open(&secured, &setting(INITIAL_WINDOW_SIZE, 0)).await;
    frames.ask(1).await;
    let reset = frames.wait_for(|frame| frame.stream == 1 && frame.kind != HEADERS).await;
    assert_eq!((reset.kind, reset.code()), (RST_STREAM, CANCEL));
    frames.ask(3).await;
    frames.write(&frame(WINDOW_UPDATE, 0, 3, &100_u32.to_be_bytes())).await;
    let answer = frames.wait_for(|frame| frame.stream == 3 && frame.kind == DATA).await;
    assert_eq!(answer.payload, b"hello");
    let lines = secured.rig.lines.wait(2).await;
    assert!(lines.iter().any(|line| line.contains("code=R24")), "{lines:#?}");
    drop(frames);
    secured.end().await;
}

#[tokio::test]
async fn who_says_nothing_is_let_go() {
    let instance = Instance::hello().await;
    let short = Duration::from_millis(300);
    let settings =
        settings(|settings| (settings.head_time, settings.keep_alive, settings.idle) = (short, short, short));
    let secured = Secured::with(&[instance.address()], settings, Default::default()).await;
    // Before the first word of HTTP/2, before the first request, and after the last.
    let mut without_preface = Frames::connect(&secured).await;
    let (mut fresh, _) = Frames::open(&secured, &[]).await;
    let (mut idle, _) = Frames::open(&secured, &[]).await;
    idle.ask(1).await;
    idle.wait_for(|frame| frame.kind == DATA).await;
    without_preface.rest().await;
    for frames in [&mut fresh, &mut idle] {
        assert!(frames.rest().await.iter().any(|frame| frame.kind == GOAWAY));
    }
    secured.end().await;
}

#[tokio::test]
async fn who_does_not_answer_a_ping_is_cut_off() {
    let instance = mute().await;
    let settings = settings(|settings| settings.http2_ping = Duration::from_millis(400));
    let secured = Secured::with(&[instance.address], settings, Default::default()).await;
    let (mut frames, _) = Frames::open(&secured, &[]).await;
    frames.ask(1).await;
    let began = Instant::now();
    let rest = frames.rest().await;
    assert!(rest.iter().any(|frame| frame.kind == PING && frame.flags & ACK == 0), "{rest:?}");
    assert!(began.elapsed() >= Duration::from_millis(500), "{:?}", began.elapsed());
    secured.end().await;
}

#[tokio::test]
async fn idle_clients_make_room() {
    let instance = Instance::hello().await;
    let settings = settings(|settings| settings.connections = 1);
    let secured = Secured::with(&[instance.address()], settings, Default::default()).await;
    let mut first = secured.h2("a.example").await;
    assert_eq!(first.get("https://a.example/").await.0, 200);
    let began = Instant::now();
    hello(&secured).await;
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    secured.end().await;
}

use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

use super::{fields, id, name, text, time};
#[cfg(feature = "link")]
use crate::link::Frame;
use crate::noun::{Exit, Terminal};
use crate::port::{ExecRequest, LinkRequest, LogLine, LogQuery, LogSelection, LogStream, Signal, TerminalSize};

pub(crate) fn line() -> impl Strategy<Value = LogLine> {
    let stream = prop_oneof![
        id().prop_map(LogStream::Output),
        id().prop_map(LogStream::Errors),
        id().prop_map(LogStream::Build),
        id().prop_map(LogStream::Platform),
    ];
    fields!(LogLine { at: time(), stream: stream, text: text() })
}

fn size() -> impl Strategy<Value = TerminalSize> {
    fields!(TerminalSize { rows: any::<u16>(), columns: any::<u16>() })
}

#[cfg(feature = "link")]
fn signal() -> impl Strategy<Value = Signal> {
    select(vec![Signal::Term, Signal::Kill, Signal::Int, Signal::Hup, Signal::Quit, Signal::Usr1, Signal::Usr2])
}

#[cfg(feature = "link")]
pub(crate) fn frame() -> impl Strategy<Value = Frame> {
    let bytes = || vec(any::<u8>(), 1..40);
    let exit = prop_oneof![
        any::<i32>().prop_map(Exit::Code),
        any::<i32>().prop_map(Exit::Signal),
        Just(Exit::OutOfMemory),
        fields!(Exit::OutOfDisk { reason: text() }),
        fields!(Exit::NotStarted { reason: text() }),
    ];
    prop_oneof![
        bytes().prop_map(Frame::Input),
        Just(Frame::InputEnd),
        bytes().prop_map(Frame::Output),
        bytes().prop_map(Frame::Errors),
        size().prop_map(Frame::Resize),
        signal().prop_map(Frame::Signal),
        exit.prop_map(Frame::Exit),
        line().prop_map(Frame::Line),
        text().prop_map(Frame::Problem),
    ]
}

fn exec() -> impl Strategy<Value = ExecRequest> {
    fields!(ExecRequest {
        command: vec(text(), 0..4),
        terminal: select(vec![Terminal::None, Terminal::Pty]),
        env: btree_map(name("[A-Z][A-Z0-9_]{0,9}"), text(), 0..4),
        size: of(size()),
    })
}

fn logs() -> impl Strategy<Value = LogQuery> {
    let source = prop_oneof![
        Just(LogSelection::App),
        name("[a-z][a-z0-9-]{0,9}").prop_map(LogSelection::Process),
        id().prop_map(LogSelection::Job),
        id().prop_map(LogSelection::Build),
    ];
    fields!(LogQuery { app: id(), source: source, since: of(time()), last: any::<usize>(), follow: any::<bool>() })
}

pub(crate) fn request() -> impl Strategy<Value = LinkRequest> {
    prop_oneof![
        id().prop_map(LinkRequest::Attach),
        (id(), exec()).prop_map(|(job, process)| LinkRequest::Exec(job, process)),
        logs().prop_map(LinkRequest::Logs),
    ]
}

//! What a job writes.

use flynn_core::noun::Exit;

use super::{RuntimeHarness, World};
use crate::shim::Tag;

/// Standard output and standard error are told apart.
pub async fn output_and_errors_are_told_apart<H: RuntimeHarness>(world: &World<H>) {
    let (job, _) = world.run_to_end("echo to output; echo to errors >&2; printf 'no end'").await;
    let mut lines = world.lines(job);
    lines.sort_by_key(|(tag, _)| *tag as u8);
    let expected = [(Tag::Output, "to output"), (Tag::Output, "no end"), (Tag::Errors, "to errors")];
    assert_eq!(lines, expected.map(|(tag, line)| (tag, line.to_owned())));
}

/// When an exit is to be seen all lines are in the log, each once and in order, however long they are.
pub async fn all_lines_are_there_when_the_exit_is<H: RuntimeHarness>(world: &World<H>) {
    let script = "i=0; while [ $i -lt 500 ]; do i=$((i+1)); echo \"line $i é\"; done;
        head -c 100000 /dev/zero | tr '\\0' x; echo";
    let (job, exit) = world.run_to_end(script).await;
    assert_eq!(exit, Exit::Code(0));
    let output = world.output(job);
    let expected: Vec<_> = (1..=500).map(|number| format!("line {number} é")).collect();
    assert_eq!(output[..500], expected);
    assert_eq!(output[500..].iter().map(String::len).collect::<Vec<_>>(), [100_000]);
}

/// A program whose reader is gone ends, since nothing of the platform makes it ignore that.
pub async fn a_broken_pipe_ends_a_program<H: RuntimeHarness>(world: &World<H>) {
    let (job, exit) = world.run_to_end("(yes; echo $? >&2) | head -n 1; sleep 0.1").await;
    assert_eq!(exit, Exit::Code(0));
    let lines = world.lines(job);
    assert!(lines.contains(&(Tag::Output, "y".to_owned())), "{lines:?}");
    assert!(lines.contains(&(Tag::Errors, "141".to_owned())), "{lines:?}");
}

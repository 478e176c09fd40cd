//! Programs that the user's terminal or pipes belong to.

use rustix::process::Signal;

use crate::pty::Pty;
use crate::world::World;

async fn deployed() -> World {
    let world = World::with_login().await;
    world.flynn(["create", "web"]).await.ok();
    world.write("Procfile", "web: ./serve\n");
    world.flynn(["deploy", "-a", "web"]).await.ok();
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_run_with_pipes_and_its_code_is_passed_on() {
    let world = deployed().await;
    let ended = world.flynn(["run", "-a", "web", "sh", "-c", "echo out; echo err >&2; exit 7"]).await;
    assert_eq!((ended.code, ended.out.as_str(), ended.err.as_str()), (7, "out\n", "err\n"));
    assert_eq!(world.flynn(["run", "-a", "web", "true"]).await.code, 0);
    assert_eq!(world.flynn(["run", "-a", "web", "sh", "-c", "kill -9 $$"]).await.code, 137);
    let missing = world.flynn(["run", "-a", "web", "/nonexistent/program"]).await.failed(127);
    assert!(missing.contains("not started"), "{missing}");
    assert!(world.flynn(["run", "-a", "web", "/etc/passwd"]).await.failed(126).contains("not started"));
    assert_eq!(world.flynn(["run", "-a", "nothing", "true"]).await.code, 3);

    // More than any pipe or window on the way holds, both ways at once.
    let text: String = (0..200_000).map(|number| format!("{number}\n")).collect();
    let ended = world.flynn_with(["run", "-a", "web", "cat"], &text).await;
    assert!(ended.code == 0 && ended.out == text, "{} of {} bytes came back", ended.out.len(), text.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_run_beside_an_instance() {
    let world = deployed().await;
    let ended = world.flynn_with(["exec", "-a", "web", "web.1", "sh", "-c", "tr a-z A-Z; exit 3"], "hello").await;
    assert_eq!((ended.code, ended.out.as_str()), (3, "HELLO"));
    let told = ["exec", "-a", "web", "-e", "GREETING=a=b", "-e", "EMPTY=", "web.1", "sh", "-c"];
    let told = told.into_iter().chain(["echo \"$GREETING,${EMPTY-unset}\""]);
    assert_eq!(world.flynn(told).await.ok(), "a=b,\n");
    assert!(world.flynn(["run", "-a", "web", "-e", "GREETING", "true"]).await.failed(2).contains("KEY=VALUE"));
    assert!(world.flynn(["run", "-a", "web", "-e", "a b=1", "true"]).await.failed(1).contains("a b"));
    assert_eq!(world.flynn(["exec", "-a", "web", "web.9", "true"]).await.code, 3);
    let refused = world.flynn(["attach", "-a", "web", "web.1"]).await.failed(1);
    assert!(refused.contains("only a `run`"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_detached_program_is_left_to_itself() {
    let world = deployed().await;
    let job = world.flynn(["run", "--detach", "-a", "web", "--json", "sleep", "1"]).await.json();
    assert!(job["name"].as_str().unwrap().starts_with("run."), "{job}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_belongs_to_the_program_until_it_ends() {
    let world = deployed().await;
    let mut pty = Pty::start(&world, &["run", "-a", "web", "top"]);
    assert!(pty.is_cooked());
    pty.until("size 24 80");
    assert!(!pty.is_cooked());
    pty.resize(30, 100);
    pty.until("size 30 100");
    pty.type_in(b"q\x1a\x1b[A");
    pty.until("typed [71, 1a, 1b, 5b, 41]");
    pty.type_in(b"\x03");
    assert_eq!(pty.code().await, Some(130), "Ctrl-C is the program's");
    assert!(pty.is_cooked());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_restores_the_terminal() {
    let world = deployed().await;
    for signal in [Signal::TERM, Signal::HUP, Signal::QUIT] {
        let mut pty = Pty::start(&world, &["exec", "-a", "web", "web.1", "top"]);
        pty.until("given TERM=xterm");
        // Raw mode is entered before anything is sent to the program.
        pty.resize(31, 101);
        pty.until("size 31 101");
        pty.signal(signal);
        assert_eq!(pty.code().await, Some(1));
        assert!(pty.is_cooked(), "{signal:?}");
        pty.until("ended by a signal");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_reaches_a_program_with_pipes() {
    let world = deployed().await;
    let mut command = world.command(crate::world::program());
    command.args([
        "run",
        "-a",
        "web",
        "sh",
        "-c",
        "trap 'echo interrupted; exit 9' INT; echo ready; while :; do sleep 0.1; done",
    ]);
    let mut child = command.spawn().unwrap();
    let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(child.stdout.take().unwrap()));
    let ended = async {
        assert_eq!(lines.next_line().await.unwrap().unwrap(), "ready");
        let pid = rustix::process::Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
        rustix::process::kill_process(pid, Signal::INT).unwrap();
        assert_eq!(lines.next_line().await.unwrap().unwrap(), "interrupted");
        child.wait().await.unwrap().code()
    };
    let code = tokio::time::timeout(std::time::Duration::from_secs(20), ended).await.unwrap();
    assert_eq!(code, Some(9));
}

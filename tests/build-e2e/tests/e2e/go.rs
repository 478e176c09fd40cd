//! A Go app.

use flynn_core::noun::{BuildOutput, BuildState};

use crate::app::App;
use crate::machine::Machine;

const MODULE: &str = "module example.org/hello

go 1.22

require golang.org/x/sync v0.10.0
";
const SUMS: &str = "golang.org/x/sync v0.10.0 h1:3NQrjDixjgGwUOCaF8w2+VYHv0Ve/vGYSbdkTa98gmQ=
golang.org/x/sync v0.10.0/go.mod h1:Czt+wKu1gCyEFDUtn0jG5QVvpJ6rzVqr5aXyt9drQfk=
";
const MAIN: &str = r#"// A server out of as few packages as there can be, since all of them are compiled.
package main

import (
	"strconv"
	"syscall"

	"golang.org/x/sync/semaphore"
)

func main() {
	text, _ := syscall.Getenv("PORT")
	port, _ := strconv.Atoi(text)
	listener, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		panic(err)
	}
	if err := syscall.Bind(listener, &syscall.SockaddrInet4{Port: port}); err != nil {
		panic(err)
	}
	if err := syscall.Listen(listener, 8); err != nil {
		panic(err)
	}
	one := semaphore.NewWeighted(1)
	for one.TryAcquire(1) {
		connection, _, err := syscall.Accept(listener)
		if err != nil {
			panic(err)
		}
		syscall.Read(connection, make([]byte, 4096))
		user := strconv.Itoa(syscall.Getuid())
		syscall.Write(connection, []byte("HTTP/1.0 200 OK\r\n\r\nhello from Go "+user))
		syscall.Close(connection)
		one.Release(1)
	}
}
"#;

async fn built(machine: &Machine, files: &[(&str, &str)]) -> BuildOutput {
    match machine.build(files).await {
        BuildState::Succeeded(output) => output,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_go_app_is_built_and_runs() {
    let machine = Machine::new().await;
    let files = [("go.mod", MODULE), ("go.sum", SUMS), ("main.go", MAIN)];
    let output = built(&machine, &files).await;
    let app = App::start(&machine, &output).await;
    let answer = app.get(&machine, "/").await;
    assert!(answer.ends_with("hello from Go 1000"), "{answer}");
    app.stop(&machine).await;

    let broken = MAIN.replace("NewWeighted", "NewNothing");
    let BuildState::Failed { step, reason } = machine.build(&[files[0], files[1], ("main.go", &broken)]).await else {
        panic!("it was built");
    };
    assert_eq!(step, "go build");
    assert!(reason.contains("undefined: semaphore.NewNothing"), "{reason}");
    let BuildState::Failed { reason, .. } = machine.build(&[files[0], ("go.sum", ""), files[2]]).await else {
        panic!("it was built");
    };
    assert!(reason.contains("missing go.sum entry"), "{reason}");
    machine.close().await;
}

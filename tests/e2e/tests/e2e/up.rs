//! `cargo xtask up` and `--down`, as somebody types them who has other clusters as well.

use std::fs;
use std::path::Path;
use std::process::Command;

use flynn_instance::Layout;
use flynn_rig::{Port, Ran, bases, get, leaks, program};
use tempfile::TempDir;

const OTHERS: &str = "default = \"work\"\n\n[[cluster]]\nname = \"work\"\nurl = \"http://192.0.2.1:7700\"\n\n\
                      [[cluster]]\nname = \"local\"\nurl = \"http://192.0.2.2:7700\"\n";

struct Machine {
    place: TempDir,
    listen: Port,
    http: Port,
    https: Port,
}

impl Machine {
    fn new() -> Self {
        let place = tempfile::Builder::new().prefix("flynn-up-").tempdir().unwrap();
        fs::set_permissions(place.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        fs::write(place.path().join("clusters.toml"), OTHERS).unwrap();
        Self { place, listen: Port::claim(), http: Port::claim(), https: Port::claim() }
    }

    fn at(&self, name: &str) -> std::path::PathBuf {
        self.place.path().join(name)
    }

    fn known(&self) -> String {
        fs::read_to_string(self.at("clusters.toml")).unwrap()
    }

    fn run(&self, command: &mut Command) -> Ran {
        // The checkout of the sample is below the target directory.
        Ran::of(command.env("CARGO_TARGET_DIR", self.at("target")).env("FLYNN_CONFIG", self.at("clusters.toml")))
    }

    fn up(&self, further: &[&str]) -> Ran {
        let mut command = Command::new(program("xtask"));
        command.arg("up").current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
        command.arg("--prefix").arg(self.at("prefix")).arg("--programs").arg(program("flynn").parent().unwrap());
        command.arg("--data-dir").arg(self.at("data")).arg("--run-dir").arg(self.at("run"));
        command.args(["--listen", &self.listen.address().to_string(), "--http", &self.http.address().to_string()]);
        command.args(["--https", &self.https.address().to_string()]);
        command.args(further);
        if further.is_empty() {
            let [run, build] = bases();
            command.arg("--").arg(format!("--host-option=--run-base={}", run.display()));
            command.arg(format!("--host-option=--build-base={}", build.display()));
        }
        self.run(&mut command)
    }

    fn flynn(&self, args: &[&str]) -> Ran {
        let mut flynn = Command::new(self.at("prefix/bin/flynn"));
        flynn.args(args).current_dir(self.place.path()).env("FLYNN_URL", format!("http://{}", self.listen.address()));
        self.run(&mut flynn)
    }

    fn says_hello(&self) -> bool {
        let page = get(self.http.address(), "hello.localhost", "/");
        page.is_ok_and(|page| page.status == 200 && page.body.starts_with("Hello from Flynn"))
    }
}

impl Drop for Machine {
    /// A test that failed leaves nothing either.
    fn drop(&mut self) {
        let down = self.up(&["--down", "--yes"]);
        if down.code != Some(0) {
            eprintln!("--- up --down --yes\n{}{}", down.stdout, down.stderr);
        }
    }
}

#[test]
fn up_can_be_repeated_and_down_undoes_it_and_touches_no_other_cluster() {
    let machine = Machine::new();
    machine.up(&["--down"]).expect("down, where nothing is");
    assert_eq!(machine.known(), OTHERS);

    let first = machine.up(&[]);
    assert!(first.expect("up").contains("says: Hello from Flynn"), "{first:?}");
    assert!(machine.says_hello());
    let known = machine.known();
    assert!(known.starts_with(OTHERS.trim_end()), "{known}");
    let again = machine.up(&[]);
    assert!(again.expect("up, again").contains("the app hello is there"), "{again:?}");
    assert!(again.stderr.contains("Everything up-to-date"), "{again:?}");

    machine.flynn(&["create", "mine", "--no-remote"]).expect("flynn create");
    let refused = machine.up(&["--down"]);
    let said = refused.expect_failure(1, "down, with an app on it");
    assert!(said.contains("this would destroy the apps mine with their data: add --yes if you mean it"), "{said}");
    assert!(machine.says_hello());

    let layout = Layout::new(&machine.at("data"), Some(&machine.at("run"))).unwrap();
    assert!(!leaks::of(&layout).is_empty(), "what is looked for is there before");
    // An instance that cannot be asked is not taken for one without apps.
    Command::new(program("flynnd"))
        .arg("stop")
        .arg("--data-dir")
        .arg(machine.at("data"))
        .arg("--run-dir")
        .arg(machine.at("run"))
        .status()
        .unwrap();
    let refused = machine.up(&["--down"]);
    let said = refused.expect_failure(1, "down, without a control plane");
    assert!(said.contains("nobody says whether this would destroy apps"), "{said}");

    machine.up(&["--down", "--yes"]).expect("down");
    assert_eq!(leaks::of(&layout), [""; 0]);
    assert_eq!(machine.known(), OTHERS);
    for gone in ["data", "prefix/bin/flynnd", "target/up"] {
        assert!(!machine.at(gone).exists(), "{gone}");
    }
}

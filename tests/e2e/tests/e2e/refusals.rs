//! What cannot be deployed is refused with a reason, and changes nothing.

use flynn_rig::{Checkout, Ran, Rig};

use crate::apps::{json, plain, says};

#[test]
fn a_push_that_cannot_be_built_says_why_and_the_app_goes_on() {
    let rig = Rig::start();
    let good = rig.create("app");
    plain(&good, "still here");
    good.commit("good");
    good.push().expect("the first push");

    let refused = |fill: fn(&Checkout), words: &[&str]| {
        let checkout = rig.checkout();
        // With the remote, and who is logged in there.
        std::fs::copy(good.folder().join(".git/config"), checkout.folder().join(".git/config")).unwrap();
        fill(&checkout);
        checkout.commit("bad");
        let pushed = checkout.git(&["push", "--force", "flynn", "HEAD:refs/heads/main"]);
        assert_refused(&pushed, words);
    };
    refused(|c| c.write("notes.txt", "nothing to run"), &["requirements.txt", "package.json", "Procfile"]);
    refused(
        |c| {
            c.write("requirements.txt", "flask\n");
            c.write("package.json", r#"{"name": "x", "scripts": {"start": "node x"}}"#);
            c.write("Procfile", "web: x\n");
        },
        &["python", "nodejs"],
    );
    refused(
        |c| {
            c.write("requirements.txt", "flask === = 3\n");
            c.write("Procfile", "web: true\n");
        },
        &["install dependencies"],
    );
    refused(
        |c| {
            c.write("requirements.txt", "this-package-does-not-exist-at-all==1\n");
            c.write("Procfile", "web: true\n");
        },
        &["install dependencies"],
    );
    refused(
        |c| {
            c.write("package.json", r#"{"name": "x", "version": "1.0.0", "scripts": {"start": "node x"}}"#);
            c.write("package-lock.json", "{ this is not JSON");
        },
        &["package-lock.json"],
    );
    refused(|c| std::os::unix::fs::symlink("/etc/passwd", c.folder().join("link")).unwrap(), &["link"]);

    let branch = good.git(&["push", "flynn", "HEAD:refs/heads/topic"]);
    assert_refused(&branch, &["main"]);
    says(&rig, "app", "still here");
    let releases = json(&rig, &["releases", "--app", "app"]);
    assert_eq!(releases.to_string().matches("\"number\":").count(), 1, "{releases}");
    rig.down();
}

#[test]
fn an_app_that_does_not_start_is_not_released_and_its_reason_is_told() {
    let rig = Rig::start();
    let checkout = rig.create("app");
    plain(&checkout, "works");
    checkout.commit("good");
    checkout.push().expect("the first push");
    checkout.write("server.py", "import sys; print('I cannot go on', flush=True); sys.exit(9)\n");
    checkout.commit("crashes");
    let pushed = checkout.push();
    assert_refused(&pushed, &["9"]);
    says(&rig, "app", "works");
    rig.down();
}

#[test]
fn strangers_and_unknown_apps_are_turned_away() {
    let rig = Rig::start();
    let checkout = rig.create("mine");
    plain(&checkout, "mine");
    checkout.commit("server");
    let address = rig.api();
    let wrong = checkout.git(&["push", &format!("http://x:wrong@{address}/git/mine.git"), "HEAD:refs/heads/main"]);
    assert_refused(&wrong, &["remote: the token is unknown", "Authentication failed"]);
    // Without a helper, and with no terminal to ask at, git has nothing to show.
    let none = checkout.git(&["-c", "credential.helper=", "push", &format!("http://{address}/git/mine.git"), "main"]);
    assert_refused(&none, &["could not read Username", &format!("http://{address}")]);
    let unknown = checkout.git(&["push", &format!("http://{address}/git/yours.git"), "HEAD:refs/heads/main"]);
    assert_refused(&unknown, &["remote: there is no such app, or it is not yours: check the name in the URL"]);
    let listed = json(&rig, &["apps"]);
    assert_eq!(listed.to_string().matches("\"name\":").count(), 1, "{listed}");
    assert_eq!(json(&rig, &["builds", "--app", "mine"]).as_array().map(Vec::len), Some(0));

    rig.flynn(&["info", "--app", "yours"]).expect_failure(3, "flynn info");
    rig.flynn(&["create", "mine", "--no-remote"]).expect_failure(4, "flynn create");
    for bad in ["Not_A_Name", "-x", "a.b", &"x".repeat(100)] {
        assert_ne!(rig.flynn(&["create", "--no-remote", "--", bad]).code, Some(0), "{bad}");
    }
    for bad in ["1X=y", "A B=c", "=x"] {
        assert_ne!(rig.flynn(&["config:set", bad, "--app", "mine"]).code, Some(0), "{bad}");
    }
    for bad in ["web=-1", "web=x", "web=99999999"] {
        assert_ne!(rig.flynn(&["scale", bad, "--app", "mine"]).code, Some(0), "{bad}");
    }
    rig.flynn(&["create", "other", "--no-remote"]).expect("flynn create");
    rig.flynn(&["domains:add", "www.example.com", "--app", "mine"]).expect("flynn domains:add");
    let taken = rig.flynn(&["domains:add", "www.example.com", "--app", "other"]);
    assert!(taken.expect_failure(4, "flynn domains:add").contains("taken"), "{taken:?}");
    rig.down();
}

fn assert_refused(pushed: &Ran, words: &[&str]) {
    assert_ne!(pushed.code, Some(0), "the push should have been refused: {}", pushed.stderr);
    assert!(!pushed.stderr.contains("hook declined"), "no reason of ours: {}", pushed.stderr);
    for word in words {
        assert!(pushed.stderr.contains(word), "{word:?} is not in: {}", pushed.stderr);
    }
}

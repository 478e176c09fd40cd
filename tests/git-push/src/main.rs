//! The hook that the tests let git run: what a platform's binary does in a hidden subcommand.

fn main() -> std::process::ExitCode {
    #[allow(clippy::disallowed_methods, reason = "this is a binary")]
    flynn_build::git::hook::run(|name| std::env::var_os(name))
}

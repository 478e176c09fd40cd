use super::*;

fn parsed(line: &str) -> Result<String, Failure> {
    let words = std::iter::once("flynn").chain(line.split_whitespace()).map(OsString::from);
    match parse(words) {
        Ok(cli) => Ok(format!("{:?} {:?}", cli.global, cli.command)),
        Err(Stop::Usage(failure)) => Err(failure),
        Err(Stop::Told(_)) => panic!("`{line}` only tells something"),
    }
}

/// Every command of the grammar with words for all that it requires.
const COMMANDS: &[&str] = &[
    "cluster add a http://a:7700",
    "cluster list",
    "cluster default",
    "cluster default a",
    "cluster remove a",
    "login",
    "login --token",
    "logout",
    "whoami",
    "status",
    "create",
    "create web --team ops",
    "apps",
    "info",
    "rename next",
    "destroy --confirm web",
    "destroy -y",
    "open",
    "maintenance on",
    "maintenance off",
    "deploy",
    "deploy ./src",
    "builds",
    "builds logs 3",
    "builds cancel 3",
    "releases",
    "releases info v3",
    "rollback",
    "rollback v3",
    "deployments",
    "deployments set in-batches batch=25% healthy-for=10s on-failure=pause",
    "deployments set usual",
    "deployments pause",
    "deployments resume",
    "deployments abort",
    "config",
    "config set A=1 B=2",
    "config unset A B",
    "config get A",
    "ps",
    "scale web=2 worker=1",
    "restart",
    "restart web.1",
    "kill web.1",
    "limits set web memory=512M cpu=500m pids=100",
    "placement",
    "placement set web zone=a disk!=hdd --spread rack --per-node 1",
    "placement set web --spread rack",
    "placement clear web",
    "run --detach ls -la --json",
    "exec web.1 ls -la -a x",
    "attach web.1",
    "logs -f -n 100 -p web --since 10m",
    "logs --tail",
    "domains",
    "domains add a.example",
    "domains remove a.example",
    "routes",
    "routes add http a.example/b --process api --sticky --redirect-https",
    "routes remove 00000000-0000-0000-0000-000000000000",
    "certs",
    "certs list",
    "certs add chain.pem key.pem --host a.example --host *.b.example",
    "certs remove 00000000-0000-0000-0000-000000000000",
    "tokens create ci",
    "tokens list",
    "tokens revoke 00000000-0000-0000-0000-000000000000",
    "teams create ops",
    "members add ops ada --role viewer",
    "members list ops",
    "members remove ops ada",
    "nodes info n1",
    "nodes drain n1",
    "nodes label n1 zone=eu-1 disk-",
    "users",
    "users list",
    "users add ada --team ops --role owner",
    "users add ada --admin",
    "users remove ada",
    "quotas",
    "quotas list",
    "quotas default",
    "quotas default instance-pids=1000 apps=none",
    "quotas set ops apps=3 memory=8G",
    "audit -n 5",
];

/// The line with the commands at its beginning joined by colons.
fn joined(line: &str) -> String {
    let mut grammar = &Cli::command();
    let mut words = line.split(' ').peekable();
    let mut joined: Vec<&str> = Vec::new();
    while let Some(next) = words.peek().and_then(|word| grammar.find_subcommand(word)) {
        joined.extend(words.next());
        grammar = next;
    }
    let rest: Vec<_> = words.collect();
    format!("{} {}", joined.join(":"), rest.join(" "))
}

#[test]
fn every_command_is_read_in_both_spellings() {
    for line in COMMANDS {
        let spaced = parsed(line);
        assert!(spaced.is_ok(), "{line}: {spaced:?}");
        assert_eq!(parsed(&joined(line)), spaced, "{line}");
    }
}

#[test]
fn no_command_is_missing_from_the_list() {
    for command in Cli::command().get_subcommands() {
        let name = command.get_name();
        let listed = COMMANDS.iter().any(|line| line.split(' ').next() == Some(name));
        assert!(listed || ["git-credential", "completions"].contains(&name), "{name}");
    }
}

#[test]
fn former_words_mean_the_same() {
    for (former, word) in [
        ("env set A=1", "config set A=1"),
        ("env:set A=1", "config set A=1"),
        ("route add http a.example", "routes add http a.example"),
        ("route:add:http a.example", "routes add http a.example"),
        ("log -f", "logs -f"),
        ("limit set web pids=5", "limits set web pids=5"),
        ("release show v3", "releases info v3"),
        ("deployment", "deployments"),
        ("domain:add a.example", "domains add a.example"),
        ("delete -y", "destroy -y"),
        ("build logs 3", "builds logs 3"),
        ("token:create ci", "tokens create ci"),
        ("node info n1", "nodes info n1"),
        ("team", "teams"),
    ] {
        assert_eq!(parsed(former), parsed(word), "{former}");
    }
}

#[test]
fn global_flags_stand_anywhere_before_a_remote_command() {
    let expect = parsed("config set A=1 -a web -c east -r prod --json");
    assert!(expect.as_ref().is_ok_and(|text| text.contains("Some(\"web\")")), "{expect:?}");
    assert_eq!(parsed("-a web --cluster east -r prod --json config:set A=1"), expect);
    assert_eq!(parsed("--app=web -ceast --remote prod config --json set A=1"), expect);

    let remote = parsed("-a web run ls -a other --json -f").unwrap();
    assert!(remote.contains("app: Some(\"web\")") && remote.contains("json: false"), "{remote}");
    assert_eq!(parsed("run -a web ls -a other --json -f"), Ok(remote));
}

#[test]
fn only_the_name_of_a_command_is_split() {
    let value = parsed("config set URL=http://a:1/b").unwrap();
    assert!(value.contains("URL=http://a:1/b"), "{value}");
    assert!(parsed("-a a:b info").unwrap().contains("a:b"));
    assert!(parsed("run echo config:set").unwrap().contains("config:set"));
    for unknown in ["nothing:set A=1", ":", "config:", ":config", "config:nothing"] {
        assert_eq!(parsed(unknown).unwrap_err().code(), 2, "{unknown}");
    }
}

#[test]
fn usage_errors_are_one_line_that_says_where_to_look() {
    let check = |line: &str, expect: &str| {
        let failure = parsed(line).unwrap_err();
        assert_eq!((failure.line().as_str(), failure.code()), (expect, 2), "{line}");
    };
    check(
        "config set",
        "the following required arguments were not provided: <KEY=VALUE>...; see `flynn config set --help`",
    );
    check(
        "scale web",
        "invalid value 'web' for '[TYPE=COUNT]...': write TYPE=COUNT, such as web=2; see `flynn --help`",
    );
    check("frobnicate", "unrecognized subcommand 'frobnicate'; see `flynn --help`");
}

#[test]
fn the_grammar_is_sound() {
    Cli::command().debug_assert();
}

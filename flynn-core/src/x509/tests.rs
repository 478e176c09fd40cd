use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair, PKCS_ED25519, date_time_ymd};

use super::*;

struct Made {
    chain: String,
    key: String,
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params.distinguished_name.push(rcgen::DnType::CommonName, "Test, Authority");
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn params(names: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 2), date_time_ymd(2027, 3, 4));
    params
}

fn made(params: &CertificateParams) -> Made {
    let (key, authority) = (KeyPair::generate().unwrap(), authority());
    let certificate = params.signed_by(&key, &authority).unwrap();
    Made { chain: certificate.pem() + &authority.pem(), key: key.serialize_pem() }
}

fn hosts(texts: &[&str]) -> BTreeSet<HostPattern> {
    texts.iter().map(|text| HostPattern::new(text).unwrap()).collect()
}

fn problem(chain: &str, key: &str) -> String {
    CertificateFacts::of_pair(chain, key.as_bytes()).unwrap_err().to_string()
}

const DAY: u64 = 86_400_000;
/// 2026-01-02 and 2027-03-04, in days since 1970.
const FROM: Timestamp = Timestamp::from_millis(20_455 * DAY);
const UNTIL: Timestamp = Timestamp::from_millis(20_881 * DAY);

#[test]
fn a_pair_says_whom_it_is_for_and_how_long() {
    let Made { chain, key } = made(&params(&["A.Example", "*.b.example", "192.0.2.1"]));
    let facts = CertificateFacts::of_pair(&chain, key.as_bytes()).unwrap();
    assert_eq!(facts.names, hosts(&["a.example", "*.b.example"]));
    assert!(facts.issuer.contains("Authority"), "{}", facts.issuer);
    assert_eq!((facts.not_before, facts.not_after), (FROM, UNTIL));
    assert_eq!(CertificateFacts::of_chain(&chain), Ok(facts.clone()));
    let covers = |host: &str| facts.covers(&HostPattern::new(host).unwrap());
    for host in ["a.example", "*.b.example", "x.b.example"] {
        assert!(covers(host), "{host}");
    }
    for host in ["b.example", "x.a.example", "x.y.b.example", "*.a.example", "*.x.b.example"] {
        assert!(!covers(host), "{host}");
    }
}

#[test]
fn other_kinds_of_keys_are_taken() {
    for algorithm in [&PKCS_ED25519, &rcgen::PKCS_ECDSA_P384_SHA384] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let certificate = params(&["a.example"]).self_signed(&key).unwrap();
        CertificateFacts::of_pair(&certificate.pem(), key.serialize_pem().as_bytes()).unwrap();
    }
}

#[test]
fn time_that_is_over_or_has_not_come_is_told() {
    let Made { chain, .. } = made(&params(&["a.example"]));
    let facts = CertificateFacts::of_chain(&chain).unwrap();
    let at = |millis| facts.check_time(Timestamp::from_millis(millis)).map_err(|error| error.to_string());
    assert_eq!(at(FROM.as_millis()), Ok(()));
    assert_eq!(at(UNTIL.as_millis() - 1), Ok(()));
    let late = "chain: the certificate expired at 2027-03-04T00:00:00Z: renew it first";
    assert_eq!(at(UNTIL.as_millis()), Err(late.to_owned()));
    let early = "chain: the certificate is not valid before 2026-01-02T00:00:00Z";
    assert_eq!(at(FROM.as_millis() - 1), Err(early.to_owned()));
}

#[test]
fn what_cannot_be_used_is_told_by_its_field() {
    let (one, other) = (made(&params(&["a.example"])), made(&params(&["b.example"])));
    let check = |chain: &str, key: &str, expect: &str| {
        let problem = problem(chain, key);
        assert!(problem.starts_with(expect), "{problem}");
    };
    check(&one.chain, &other.key, "key: it is the key of another certificate");
    check(&one.chain, "", "key: there is no private key");
    check(&one.chain, &one.chain, "key: there is no private key");
    check(&one.chain, &one.key.replace("PRIVATE", "ENCRYPTED PRIVATE"), "key: it is encrypted");
    check(&one.chain, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "key: it is no key");
    check(&one.chain, "-----BEGIN PRIVATE KEY-----\nAAAA\n", "key: it is no PEM: the line that ends");
    check("", &one.key, "chain: there is no certificate");
    check(&(one.chain.clone() + &one.key), &one.key, "chain: it holds a private key");
    check(
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        &one.key,
        "chain: certificate 1 cannot be read",
    );
    check("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", &one.key, "chain: it is no PEM");
    check(&one.chain.repeat(6), &one.key, "chain: 12 certificates are more");
    let first = |made: &Made| made.chain.split_inclusive("-----END CERTIFICATE-----\n").next().unwrap().to_owned();
    check(&(first(&one) + &first(&other)), &one.key, "chain: certificate 2 did not sign certificate 1");
    let nameless = made(&params(&["192.0.2.1"]));
    check(&nameless.chain, &nameless.key, "chain: the first certificate names no host");
}

#[test]
fn no_message_repeats_what_may_be_a_key() {
    let one = made(&params(&["a.example"]));
    let secret = one.key.lines().nth(1).unwrap();
    for spoiled in [
        one.key.replace("-----END PRIVATE KEY-----", ""),
        one.key.replace("-----BEGIN PRIVATE KEY-----", &format!("-----BEGIN {secret}")),
        one.key.replacen(secret, &format!("{secret}!!"), 1),
    ] {
        let problem = problem(&one.chain, &spoiled);
        assert!(!problem.contains(secret) && problem.starts_with("key: "), "{problem}");
    }
}

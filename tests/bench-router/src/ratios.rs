//! CPU time for each request, one proxy beside another.

use std::fs;
use std::path::Path;

use anyhow::Result;

use crate::load::{self, Load};
use crate::numbers::{median, short};
use crate::proxy::{self, Kind, Running};

const WARM_UP: u32 = 1;
const SECONDS: u32 = 2;
const CONNECTIONS: usize = 64;

/// 1 kB: the router beside nginx and HAProxy.
pub(crate) fn small(rounds: usize) -> Result<Vec<f64>> {
    let load = Load { path: "/1k", connections: CONNECTIONS, script: None };
    compare(&[Kind::Flynn(100), Kind::Nginx, Kind::Haproxy], load, rounds)
}

/// 64 kB: the router beside nginx with buffers that hold the answer.
pub(crate) fn large(rounds: usize) -> Result<Vec<f64>> {
    let load = Load { path: "/64k", connections: CONNECTIONS, script: None };
    compare(&[Kind::Flynn(100), Kind::NginxTuned], load, rounds)
}

/// 50,000 routes beside 100, with requests for all of them.
pub(crate) fn routes(rounds: usize) -> Result<Vec<f64>> {
    let folder = tempfile::tempdir()?;
    let script = |routes: usize| -> Result<_> {
        let path = folder.path().join(format!("{routes}.lua"));
        // Each request is written when the script begins, so that making it costs the load nothing.
        let text = format!(
            "local all = {{}}\nlocal at = 0\n\
             init = function(args)\n  for n = 1, 20000 do\n    \
             local host = 'app-' .. math.random(0, {routes} - 1) .. '.example.com'\n    \
             all[n] = wrk.format('GET', '/1k', {{ Host = host }})\n  end\nend\n\
             request = function()\n  at = at % 20000 + 1\n  return all[at]\nend\n"
        );
        fs::write(&path, text)?;
        Ok(path)
    };
    let (few, many) = (script(100)?, script(50_000)?);
    let instance = proxy::instance()?;
    let (first, second) =
        (proxy::proxy(Kind::Flynn(50_000), instance.address)?, proxy::proxy(Kind::Flynn(100), instance.address)?);
    let measured = interleave(&[(&first, scripted(&many)), (&second, scripted(&few))], rounds)?;
    Ok(vec![ratio(&measured, 1)])
}

fn scripted(script: &Path) -> Load<'_> {
    Load { path: "/1k", connections: CONNECTIONS, script: Some(script) }
}

/// The first of `kinds` beside each of the others.
fn compare(kinds: &[Kind], load: Load<'_>, rounds: usize) -> Result<Vec<f64>> {
    let instance = proxy::instance()?;
    let proxies = kinds.iter().map(|kind| proxy::proxy(*kind, instance.address)).collect::<Result<Vec<_>>>()?;
    let loads: Vec<_> = proxies.iter().map(|proxy| (proxy, load)).collect();
    let measured = interleave(&loads, rounds)?;
    for (at, kind) in kinds.iter().enumerate() {
        let micros = measured.iter().map(|round| round[at] / 1_000.0).collect();
        eprintln!("    {kind:?}: {} us of CPU for each request", short(median(micros)));
    }
    Ok((1..kinds.len()).map(|peer| ratio(&measured, peer)).collect())
}

/// Nanoseconds for each request: a row for each round, a column for each proxy. Every other round goes backwards.
fn interleave(proxies: &[(&Running, Load<'_>)], rounds: usize) -> Result<Vec<Vec<f64>>> {
    for (proxy, load) in proxies {
        load::run(*load, proxy.address, WARM_UP)?;
    }
    let mut measured = Vec::new();
    for round in 0..rounds {
        let mut row = vec![0.0; proxies.len()];
        let mut order: Vec<usize> = (0..proxies.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for at in order {
            let (proxy, load) = proxies[at];
            let before = proxy.cpu()?;
            let requests = load::run(load, proxy.address, SECONDS)?;
            row[at] = (proxy.cpu()? - before) as f64 / requests as f64;
        }
        eprintln!("    {}", row.iter().map(|nanos| short(nanos / 1_000.0)).collect::<Vec<_>>().join(" "));
        measured.push(row);
    }
    Ok(measured)
}

/// The median over the rounds of the first beside a peer in the same round.
fn ratio(measured: &[Vec<f64>], peer: usize) -> f64 {
    median(measured.iter().map(|row| row[0] / row[peer]).collect())
}

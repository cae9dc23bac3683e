//! What a request costs: CPU time of the gateway process, ours beside nginx, HAProxy and Envoy.
//!
//! The gateway has one core, the load and the service behind have another. Nothing is sent but over loopback.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

mod block;
mod case;
mod contender;
mod load;
mod machine;
mod process;
mod report;
mod token;

use std::path::PathBuf;

use clap::Parser;

use case::Case;
use contender::Bench;

#[derive(Parser)]
struct Arguments {
    /// The gateway, built with --release
    #[arg(long)]
    sallyport: PathBuf,
    /// Envoy's binary; without it Envoy is left out, and the table says so
    #[arg(long)]
    envoy: Option<PathBuf>,
    /// Blocks of each case
    #[arg(long, default_value_t = 5)]
    blocks: usize,
    /// Seconds of each run
    #[arg(long, default_value_t = 4)]
    seconds: u64,
    /// Only cases whose name begins so
    #[arg(long, default_value = "")]
    only: String,
    /// Where the results are written
    #[arg(long, default_value = "bench/results")]
    results: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let bench = Bench::new(arguments.sallyport, arguments.envoy)?;
    let mut outcomes = Vec::new();
    for case in Case::ALL.iter().filter(|case| case.name.starts_with(&arguments.only)) {
        println!("{}", case.name);
        let outcome = block::measure(&bench, case, arguments.blocks, arguments.seconds)?;
        println!("{}", report::lines(&outcome));
        outcomes.push(outcome);
    }
    let memory = machine::memory(&bench)?;
    report::write(&arguments.results, &outcomes, &memory)
}

//! What a request costs: CPU time of the gateway process, ours beside nginx, HAProxy and Envoy.
//!
//! The gateway has one core, the load and the service behind have another. Nothing is sent but over loopback.

#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

mod block;
mod case;
mod contender;
mod load;
mod machine;
mod memory;
mod process;
mod report;
mod token;

use std::path::PathBuf;

use clap::Parser;

use block::Extent;
use case::Case;
use contender::Bench;
use report::Report;

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
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Two blocks of one second: minutes instead of a quarter of an hour, and figures to match
    #[arg(long, conflicts_with_all = ["blocks", "seconds"])]
    quick: bool,
    /// Only cases whose name begins so; `memory` for the gateways at rest alone
    #[arg(long, default_value = "")]
    only: String,
    /// Where the results are written
    #[arg(long, default_value = "bench/results")]
    results: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let extent = arguments.extent();
    let machine = machine::describe(arguments.envoy.as_deref());
    let bench = Bench::new(arguments.sallyport.clone(), arguments.envoy.clone())?;
    let mut outcomes = Vec::new();
    for case in Case::ALL.iter().filter(|case| case.name.starts_with(&arguments.only)) {
        let outcome = block::measure(&bench, case, extent)?;
        println!("{}", report::rows(&outcome));
        outcomes.push(outcome);
    }
    let memory = if arguments.measures_memory() { memory::measure(&bench)? } else { Vec::new() };
    report::write(&arguments.results, &Report { machine, outcomes, memory })
}

impl Arguments {
    fn measures_memory(&self) -> bool {
        ["", "memory"].contains(&self.only.as_str())
    }

    fn extent(&self) -> Extent {
        if self.quick {
            return Extent { blocks: 2, seconds: 1 };
        }
        Extent { blocks: self.blocks, seconds: self.seconds }
    }
}

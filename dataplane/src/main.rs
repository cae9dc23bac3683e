//! `sallyport-dataplane`: serves the requests of one Gateway in a cluster, as the controller tells it.

use std::process::ExitCode;

use clap::Parser as _;
use sallyport_dataplane::program::{Arguments, run};

// As in `sallyport`, and for the same reasons.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the data plane has to stop");
            ExitCode::FAILURE
        }
    }
}

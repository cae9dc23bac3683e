//! `sallyport-controller`: watches a cluster, tells data planes what to enforce, and objects what has become of them.

use std::process::ExitCode;

use clap::Parser as _;
use sallyport_controller::program::{Arguments, run};

// A rebuild makes and drops hundreds of thousands of small things; what is free goes back to the system as everywhere here.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "the controller has to stop");
            ExitCode::FAILURE
        }
    }
}

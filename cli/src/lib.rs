//! The verbs of `sallyport`, and controller and data plane joined in one process.

pub mod exit;
pub mod standalone;

mod demo;
mod print;
mod run;
mod validate;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};

use exit::Outcome;

/// An API gateway that guards both doors of an API: who may come in, and what the service behind is shown.
#[derive(Parser)]
#[command(version, after_help = exit::HELP)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Runs a gateway in this process, configured by manifest files; changes to them are taken up at once
    Run(run::Arguments),
    /// Starts a sample service, an issuer and a gateway on loopback, and shows what passes and what does not
    Demo(demo::Arguments),
    /// Says all that is wrong with manifests: file, line, column, field and cure
    Validate {
        /// A file, a folder that is searched for *.yaml, *.yml and *.json, or - for standard input
        #[arg(short, long = "filename", required = true)]
        files: Vec<PathBuf>,
        /// How findings are printed
        #[arg(short, long, default_value = "table")]
        output: Output,
    },
    /// Prints the CustomResourceDefinitions, to be piped into `kubectl apply -f -`
    Crds,
    /// Prints a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// How findings are printed.
#[derive(Clone, Copy, ValueEnum)]
enum Output {
    /// A line each, for people
    Table,
    /// One JSON document
    Json,
}

/// The command line as it is described, for completions and the reference page.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Metrics of the controller, for the reference page.
pub fn controller_metrics() -> &'static [sallyport_controller::metrics::table::Metric] {
    sallyport_controller::metrics::table::ALL
}

/// Does what the command line says; the exit code is one of the table in `--help`.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.verb {
        Verb::Run(arguments) => on_event_loop(run::run(arguments)),
        Verb::Demo(arguments) => on_event_loop(demo::demo(arguments)),
        Verb::Validate { files, output } => validate::validate(&files, output),
        Verb::Crds => print::crds(),
        Verb::Completions { shell } => {
            clap_complete::generate(shell, &mut command(), "sallyport", &mut std::io::stdout());
            Ok(Outcome::Fine)
        }
    };
    match outcome {
        Ok(outcome) => outcome.into(),
        Err(error) => {
            // Nobody is left to tell if standard error is closed.
            let _closed = writeln!(std::io::stderr(), "sallyport: {error:#}");
            Outcome::CannotTell.into()
        }
    }
}

/// The control side runs on one thread; requests are served by workers of their own.
fn on_event_loop(work: impl Future<Output = anyhow::Result<Outcome>>) -> anyhow::Result<Outcome> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

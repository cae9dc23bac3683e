//! The verbs of `sallyport`, and controller and data plane joined in one process.

pub mod exit;
pub mod standalone;

mod cluster;
mod demo;
mod explain;
mod print;
mod run;
mod validate;

use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};

use exit::Outcome;
use sallyport_api::Decision;

/// What the program is called where it is a plugin of kubectl.
const PLUGIN: &str = "kubectl-sallyport";

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
    /// Says what becomes of a request, which rules decide, and why: by manifest files, or by what a cluster holds
    Explain(explain::Arguments),
    /// Says what a cluster enforces where, what it does not and why, with the cure
    Status(cluster::status::Arguments),
    /// Says whether a cluster can take the gateway, and whether the gateway does its work there
    Check(cluster::check::Arguments),
    /// Approves a Subscription to a Product, as the Product's owner
    Approve(cluster::approve::Arguments),
    /// Rejects a Subscription to a Product: its keys open nothing
    Reject(cluster::approve::Arguments),
    /// Suspends a Subscription to a Product, until it is approved again
    Suspend(cluster::approve::Arguments),
    /// Keys of Subscriptions
    #[command(subcommand)]
    Keys(cluster::keys::Verb),
    /// Prints the CustomResourceDefinitions, to be piped into `kubectl apply --server-side -f -`
    Crds,
    /// Prints the manual page, or writes one for each verb
    Man {
        /// The folder into which a page for each verb is written
        #[arg(long)]
        into: Option<PathBuf>,
    },
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

/// The command line of the controller, for the reference page.
pub fn controller_command() -> clap::Command {
    sallyport_controller::program::Arguments::command()
}

/// Metrics of the controller, for the reference page.
pub fn controller_metrics() -> &'static [sallyport_controller::metrics::table::Metric] {
    sallyport_controller::metrics::table::ALL
}

/// Does what the command line says; the exit code is one of the table in `--help`.
pub fn main() -> ExitCode {
    let arguments = Arguments::from_arg_matches(&invoked(std::env::args_os().next()).get_matches());
    let arguments = arguments.unwrap_or_else(|error| error.exit());
    let outcome = match arguments.verb {
        Verb::Run(arguments) => on_event_loop(run::run(arguments)),
        Verb::Demo(arguments) => on_event_loop(demo::demo(arguments)),
        Verb::Validate { files, output } => validate::validate(&files, output),
        Verb::Explain(arguments) => on_event_loop(explain::explain(arguments)),
        Verb::Status(arguments) => on_event_loop(cluster::status::status(arguments)),
        Verb::Check(arguments) => on_event_loop(cluster::check::check(arguments)),
        Verb::Approve(arguments) => on_event_loop(cluster::approve::decide(arguments, Decision::Approved)),
        Verb::Reject(arguments) => on_event_loop(cluster::approve::decide(arguments, Decision::Rejected)),
        Verb::Suspend(arguments) => on_event_loop(cluster::approve::decide(arguments, Decision::Suspended)),
        Verb::Keys(verb) => on_event_loop(cluster::keys::keys(verb)),
        Verb::Crds => print::crds(),
        Verb::Man { into } => print::manual(command(), into.as_deref()),
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

/// The command line as whoever started the program calls it: kubectl starts `kubectl-sallyport` as `kubectl sallyport`.
fn invoked(program: Option<OsString>) -> clap::Command {
    let name = program.as_deref().map(Path::new).and_then(Path::file_stem);
    match name.is_some_and(|name| name == PLUGIN) {
        true => command().bin_name("kubectl sallyport"),
        false => command(),
    }
}

/// The control side runs on one thread; requests are served by workers of their own.
fn on_event_loop(work: impl Future<Output = anyhow::Result<Outcome>>) -> anyhow::Result<Outcome> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }
}

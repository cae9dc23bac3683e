//! The verbs of `sallyport`, and controller and data plane joined in one process.

pub mod exit;
pub mod standalone;

mod cluster;
mod demo;
mod print;
mod run;
mod validate;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};

use exit::Outcome;
use sallyport_api::Decision;

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
    /// Says what is in force in a cluster, where, and what is not and why
    Status(cluster::StatusArguments),
    /// Says whether a cluster can take Sallyport, and whether what it has taken works
    Check(cluster::CheckArguments),
    /// Takes a Subscription, as the owner of its Product
    Approve(cluster::ApprovalArguments),
    /// Does not take a Subscription, as the owner of its Product
    Reject(cluster::ApprovalArguments),
    /// Has the keys of a Subscription open nothing for now, as the owner of its Product
    Suspend(cluster::ApprovalArguments),
    /// Lists subscription keys, shows one, or has one made anew
    Keys(cluster::KeysArguments),
    /// Prints the CustomResourceDefinitions, to be piped into `kubectl apply -f -`
    Crds,
    /// Prints a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Writes a manual page for each verb into a folder
    Man {
        /// The folder; it has to be there
        folder: PathBuf,
    },
}

/// How something is printed.
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
    let program = std::env::args_os().next().unwrap_or_default();
    let matches = command().bin_name(called(Path::new(&program))).get_matches();
    let arguments = Arguments::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let outcome = match arguments.verb {
        Verb::Run(arguments) => on_event_loop(run::run(arguments)),
        Verb::Demo(arguments) => on_event_loop(demo::demo(arguments)),
        Verb::Validate { files, output } => validate::validate(&files, output),
        Verb::Status(arguments) => on_event_loop(cluster::status(arguments)),
        Verb::Check(arguments) => on_event_loop(cluster::check(arguments)),
        Verb::Approve(arguments) => on_event_loop(cluster::decide(Decision::Approved, arguments)),
        Verb::Reject(arguments) => on_event_loop(cluster::decide(Decision::Rejected, arguments)),
        Verb::Suspend(arguments) => on_event_loop(cluster::decide(Decision::Suspended, arguments)),
        Verb::Keys(arguments) => on_event_loop(cluster::keys(arguments)),
        Verb::Crds => print::crds(),
        Verb::Completions { shell } => {
            clap_complete::generate(shell, &mut command(), "sallyport", &mut std::io::stdout());
            Ok(Outcome::Fine)
        }
        Verb::Man { folder } => print::manual(&folder),
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

/// What the program goes by: `kubectl` calls a plugin by a name of its own.
fn called(program: &Path) -> &'static str {
    match program.file_stem().and_then(|name| name.to_str()) {
        Some("kubectl-sallyport") => "kubectl sallyport",
        _ => "sallyport",
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
    fn a_plugin_goes_by_the_name_that_it_is_called_by() {
        assert_eq!(called(Path::new("/usr/bin/kubectl-sallyport")), "kubectl sallyport");
        assert_eq!(called(Path::new("target/debug/sallyport")), "sallyport");
        command().debug_assert();
    }
}

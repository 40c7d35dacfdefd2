//! How kubectl is asked.

use tokio::task::spawn_blocking;

use crate::source::kubectl::Program;

/// The program, and which cluster it asks.
#[derive(Clone, Debug)]
pub struct Kubectl(pub Program);

impl Kubectl {
    /// What it prints.
    ///
    /// # Errors
    /// Why it prints nothing.
    pub async fn run(&self, arguments: &[&str]) -> Result<Vec<u8>, String> {
        let program = self.0.clone();
        let arguments = program.arguments(arguments.iter().map(|&argument| argument.to_owned()));
        let asked = spawn_blocking(move || program.list(&arguments));
        match asked.await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    }
}

//! Tells cargo that the migrations are part of the program: a new file changes
//! no Rust source.
#![expect(clippy::print_stdout, reason = "cargo reads a build script's standard output")]

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}

//! Tells cargo that the migrations are part of the program: a new file changes no Rust source.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
    println!("cargo:rerun-if-changed=../../e2e/release/migrations");
}

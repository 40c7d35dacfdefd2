//! Tells cargo that the migrations are part of the program: a new file changes
//! no Rust source.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}

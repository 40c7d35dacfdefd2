//! Compiles the reader of JPEGs against the libjpeg-turbo that `turbojpeg-sys` builds.

use std::{env, path::Path};

/// Where the reader is: seen from here, and from the fuzz targets, which use this program, too.
const READERS: [&str; 2] = [
    "src/picture/jpeg.c",
    "../../anonymizer/imaging/src/picture/jpeg.c",
];

fn main() -> Result<(), env::VarError> {
    let headers = env::var("DEP_TURBOJPEG_INCLUDE")?;
    for reader in READERS.iter().filter(|reader| Path::new(reader).exists()) {
        println!("cargo::rerun-if-changed={reader}");
        cc::Build::new()
            .file(reader)
            .includes(headers.split(','))
            .compile("irmgard_jpeg");
    }
    Ok(())
}

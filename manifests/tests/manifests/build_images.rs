//! `manifests/build-images`, and the one build of our programs for the demo, the e2e tests and images with IMAGE_FROM.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
};

use manifests::tools::{project_root, run};
use tempfile::TempDir;

const PROGRAMS: [&str; 3] = ["irmgard", "anonymizer", "logq"];

/// Fluentd's library, which is built with them.
const LIBRARY: &str = "libfluentd_normalizer.so";

/// With other packages, cargo would unify other features and compile hundreds of dependencies again.
#[test]
fn all_targets_build_the_same_packages() {
    let builds = |target: &str| {
        let mut make = Command::new("make");
        let said = run(make.current_dir(project_root()).args(["--dry-run", target])).unwrap();
        let builds: Vec<String> = said
            .lines()
            .filter(|line| line.contains("cargo build") || line.contains("cargo run"))
            .map(str::to_owned)
            .collect();
        builds
    };
    let programs = builds("programs");
    assert_eq!(programs.len(), 1, "{programs:?}");
    for target in ["demo", "e2e", "bench"] {
        assert_eq!(builds(target), programs, "make {target}");
    }
}

/// Runs `manifests/build-images` with built programs. The stand-in builder copies its context to a folder named after the image, and
/// fails if the file `fails` exists.
fn build_images(programs: &Path, images: &[&str]) -> (TempDir, Output) {
    let folder = tempfile::tempdir().unwrap();
    let builder = folder.path().join("builder");
    let script = "#!/bin/sh\nset -eu\nname=${3%%:*}\ncp -R \"$1\" \"$(dirname \"$0\")/${name##*/}\"\n[ ! -e \"$1/out/fails\" ]\n";
    fs::write(&builder, script).unwrap();
    fs::set_permissions(&builder, fs::Permissions::from_mode(0o755)).unwrap();
    let output = Command::new(project_root().join("manifests/build-images"))
        .args(images)
        .env("IMAGE_BUILD", builder)
        .env("IMAGE_FROM", programs)
        .output()
        .unwrap();
    (folder, output)
}

/// A folder with programs of this machine in place of ours.
fn built_programs() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for program in PROGRAMS {
        fs::copy("/bin/true", folder.path().join(program)).unwrap();
    }
    folder
}

#[test]
fn images_of_built_programs_compile_nothing() {
    let (folder, output) = build_images(built_programs().path(), &PROGRAMS);
    assert!(output.status.success(), "{output:?}");
    for (program, dockerfile) in [
        ("irmgard", "services/irmgard/Dockerfile"),
        ("anonymizer", "services/anonymizer/Dockerfile"),
        ("logq", "logging/logq/Dockerfile"),
    ] {
        let context = folder.path().join(program);
        let read = |file: &Path| {
            fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
        };
        let (used, whole) = (
            read(&context.join("Dockerfile")),
            read(&project_root().join(dockerfile)),
        );
        // The last stage, and one more line: the program must run there.
        let last = &whole[whole.rfind("FROM ").unwrap()..];
        let check = format!("RUN [\"/usr/local/bin/{program}\", \"--version\"]\n");
        assert_eq!(used, last.replace("--from=build /out/", "out/") + &check);
        let copied = used.lines().filter_map(|line| line.strip_prefix("COPY "));
        let mut checked = 0;
        for line in copied {
            let words: Vec<&str> = line.split_whitespace().collect();
            for source in &words[..words.len() - 1] {
                checked += 1;
                let (parent, name) = source.rsplit_once('/').unwrap_or((".", source));
                let begin = name.split('*').next().unwrap_or_default();
                let mut files = fs::read_dir(context.join(parent))
                    .unwrap_or_else(|error| panic!("{program}: {source}: {error}"))
                    .flatten();
                assert!(
                    files.any(|file| file.file_name().to_string_lossy().starts_with(begin)),
                    "{program}: {source} is not in the folder"
                );
            }
        }
        assert!(checked >= 3, "{program}: only {checked} files are copied");
    }
}

#[test]
fn a_missing_program_is_named() {
    let programs = built_programs();
    fs::remove_file(programs.path().join("logq")).unwrap();
    let (_folder, output) = build_images(programs.path(), &["logq"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    let missing = programs.path().join("logq").display().to_string();
    assert!(
        said.contains(&missing) && said.contains("make programs"),
        "{said}"
    );
}

/// Fluentd's image contains the built library. Its gems are built as without IMAGE_FROM.
#[test]
fn the_image_of_fluentd_contains_the_built_library_programs() {
    let programs = built_programs();
    fs::copy("/bin/true", programs.path().join(LIBRARY)).unwrap();
    let (folder, output) = build_images(programs.path(), &["fluentd"]);
    assert!(output.status.success(), "{output:?}");
    let context = folder.path().join("fluentd");
    let used = fs::read_to_string(context.join("Dockerfile")).unwrap();
    let whole = fs::read_to_string(project_root().join("fluentd/Dockerfile")).unwrap();
    let gems = &whole[whole.find("FROM ruby").unwrap()..];
    assert_eq!(used, gems.replace("--from=build /out/", "out/"));
    for file in [
        &format!("out/{LIBRARY}"),
        "fluentd/Gemfile",
        "fluentd/conf.d",
        "fluentd/plugins",
    ] {
        assert!(context.join(file).exists(), "{file} is not in the folder");
    }
}

/// Images without our programs are built as without IMAGE_FROM.
#[test]
fn other_images_are_built_from_their_folder() {
    let (folder, output) = build_images(built_programs().path(), &["rabbitmq"]);
    assert!(output.status.success(), "{output:?}");
    let own = fs::read(project_root().join("services/rabbitmq/Dockerfile")).unwrap();
    assert_eq!(fs::read(folder.path().join("rabbitmq/Dockerfile")).unwrap(), own);
}

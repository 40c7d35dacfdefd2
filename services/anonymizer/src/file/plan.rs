//! Which file becomes which, settled before the first photo is touched.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use contract::media::MediaType;
use walkdir::WalkDir;

/// One photo: from where, to where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The photo as it came.
    pub input: PathBuf,
    /// Where the anonymised one goes, or why it cannot go anywhere.
    pub output: Result<PathBuf, String>,
}

/// All that is to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The photos, in order of their names.
    pub entries: Vec<Entry>,
    /// Files in folders that are no photos by name or content.
    pub passed_over: usize,
}

/// The command makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// An input cannot be read.
    #[error("{path}: {why}")]
    Input {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        why: io::Error,
    },
    /// OUT is a file, or is named like a photo.
    #[error("{0} is no folder: OUT is a folder, and photos keep their names in it")]
    OutputIsNoFolder(PathBuf),
    /// OUT lies in IN: what is written there would be read the next time.
    #[error("{output} lies in {input}: nothing is written into IN")]
    OutputInInput {
        /// OUT.
        output: PathBuf,
        /// The folder that it lies in.
        input: PathBuf,
    },
    /// There is nothing to do.
    #[error("there is no photo in IN")]
    NoPhoto,
}

/// Settles which photo goes where. Photos of a folder keep their place below
/// it. Of two photos that would become the same file, the second is an entry
/// that failed.
///
/// # Errors
/// See [`PlanError`].
pub fn plan(inputs: &[PathBuf], output: &Path) -> Result<Plan, PlanError> {
    check_output(inputs, output)?;
    let mut plan = Plan::default();
    let mut taken: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
    for input in inputs {
        let root = fs::metadata(input).map_err(|why| unreadable(input, why))?;
        if !root.is_dir() {
            let name = input.file_name().map(PathBuf::from).unwrap_or_default();
            plan.add(input.clone(), &output.join(name), &mut taken);
            continue;
        }
        for file in WalkDir::new(input).sort_by_file_name().into_iter() {
            let file = file.map_err(|e| unreadable(input, e.into()))?;
            let is_file = fs::metadata(file.path()).is_ok_and(|data| data.is_file());
            if !is_file {
                continue;
            }
            if !looks_like_photo(file.path()) {
                plan.passed_over += 1;
                continue;
            }
            let below = file.path().strip_prefix(input).unwrap_or(file.path());
            plan.add(file.path().to_owned(), &output.join(below), &mut taken);
        }
    }
    if plan.entries.is_empty() {
        return Err(PlanError::NoPhoto);
    }
    Ok(plan)
}

impl Plan {
    fn add(&mut self, input: PathBuf, named: &Path, taken: &mut BTreeMap<PathBuf, PathBuf>) {
        let target = named.with_extension(MediaType::Jpeg.extension());
        let output = match taken.get(&target) {
            Some(first) => Err(format!(
                "would become {}, as does {}; rename one of them",
                target.display(),
                first.display()
            )),
            None => {
                taken.insert(target.clone(), input.clone());
                Ok(target)
            }
        };
        self.entries.push(Entry { input, output });
    }
}

fn check_output(inputs: &[PathBuf], output: &Path) -> Result<(), PlanError> {
    let named_like_photo = output.extension().is_some_and(is_photo_extension);
    if output.is_file() || (named_like_photo && !output.is_dir()) {
        return Err(PlanError::OutputIsNoFolder(output.to_owned()));
    }
    let place = resolved(output);
    for input in inputs.iter().filter(|input| input.is_dir()) {
        if fs::canonicalize(input).is_ok_and(|folder| place.starts_with(folder)) {
            return Err(PlanError::OutputInInput {
                output: output.to_owned(),
                input: input.clone(),
            });
        }
    }
    Ok(())
}

/// Where a path that need not exist yet really lies.
fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let existing = absolute
        .ancestors()
        .find_map(|ancestor| Some((fs::canonicalize(ancestor).ok()?, ancestor.to_owned())));
    match existing {
        Some((real, ancestor)) => real.join(absolute.strip_prefix(&ancestor).unwrap_or(Path::new(""))),
        None => absolute,
    }
}

fn unreadable(path: &Path, why: io::Error) -> PlanError {
    PlanError::Input {
        path: path.to_owned(),
        why,
    }
}

/// By its name, so that a damaged photo is told of; or by its content, so that
/// a photo with another name is not left out.
fn looks_like_photo(path: &Path) -> bool {
    if path.extension().is_some_and(is_photo_extension) {
        return true;
    }
    let mut head = Vec::with_capacity(MediaType::SNIFF_BYTES);
    let read =
        File::open(path).and_then(|file| file.take(MediaType::SNIFF_BYTES as u64).read_to_end(&mut head));
    read.is_ok() && MediaType::sniff(&head).is_some()
}

fn is_photo_extension(extension: &std::ffi::OsStr) -> bool {
    ["jpg", "jpeg", "jpe", "png", "webp"]
        .iter()
        .any(|known| extension.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        folder
    }

    #[test]
    fn a_folders_photos_keep_their_names_and_places() {
        let input = folder(&[
            ("b.PNG", b""),
            ("a.jpeg", b""),
            ("day/c.webp", b""),
            ("unnamed", b"\xFF\xD8\xFF\xE0"),
            ("notes.txt", b"text"),
        ]);
        let plan = plan(&[input.path().to_owned()], Path::new("/out")).unwrap();
        let outputs: Vec<_> = plan.entries.iter().map(|e| e.output.clone().unwrap()).collect();
        let expected = ["/out/a.jpg", "/out/b.jpg", "/out/day/c.jpg", "/out/unnamed.jpg"];
        assert_eq!(outputs, expected.map(PathBuf::from));
        assert_eq!(plan.passed_over, 1);
    }

    #[test]
    fn of_two_photos_with_one_name_the_second_fails() {
        let input = folder(&[("a.jpg", b""), ("a.png", b"")]);
        let plan = plan(&[input.path().to_owned()], Path::new("/out")).unwrap();
        assert!(plan.entries[0].output.is_ok());
        let told = plan.entries[1].output.clone().unwrap_err();
        assert!(
            told.contains("would become /out/a.jpg") && told.contains("a.jpg; rename"),
            "{told}"
        );
    }

    #[test]
    fn nothing_is_written_into_in() {
        let input = folder(&[("a.jpg", b"")]);
        for output in [
            input.path().to_owned(),
            input.path().join("new/deeper"),
            input.path().join("x/../y"),
        ] {
            let refused = plan(&[input.path().to_owned()], &output).unwrap_err();
            assert!(matches!(refused, PlanError::OutputInInput { .. }), "{refused}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_before_anything_is_done() {
        let input = folder(&[("a.jpg", b""), ("text.txt", b"text")]);
        let photo = input.path().join("a.jpg");
        let refused = |inputs: &[PathBuf], output: &Path| plan(inputs, output).unwrap_err();
        assert!(matches!(
            refused(std::slice::from_ref(&photo), &photo),
            PlanError::OutputIsNoFolder(_)
        ));
        assert!(matches!(
            refused(&[photo], Path::new("/out/b.jpg")),
            PlanError::OutputIsNoFolder(_)
        ));
        let missing = input.path().join("missing");
        assert!(matches!(
            refused(&[missing], Path::new("/out")),
            PlanError::Input { .. }
        ));
        let empty = folder(&[]);
        assert!(matches!(
            refused(&[empty.path().to_owned()], Path::new("/out")),
            PlanError::NoPhoto
        ));
    }
}

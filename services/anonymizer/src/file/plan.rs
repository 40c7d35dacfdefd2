//! Decides which file becomes which, before the first photo is processed.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use contract::media::MediaType;
use walkdir::{DirEntry, WalkDir};

use super::{display_path, input_guard::resolve};

/// A photo and where its anonymised copy goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedPhoto {
    pub input: PathBuf,
    /// The output file, or the reason why there is none.
    pub output: Result<PathBuf, String>,
}

/// All photos of one command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The photos, in the order of their names.
    pub photos: Vec<PlannedPhoto>,
    /// Files in folders that are not photos, by name and content.
    pub skipped_files: usize,
    /// Links in folders that point to a folder or to nothing.
    pub skipped_links: usize,
}

/// The command cannot be executed.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error("{}: {error}", display_path(path))]
    Input { path: PathBuf, error: io::Error },
    /// OUT is a file, or has a name like a photo.
    #[error(
        "{} is not a folder: OUT must be a folder, photos keep their names in it",
        display_path(.0)
    )]
    OutputIsNotAFolder(PathBuf),
    /// OUT is inside IN. The next run would read its output as input.
    #[error(
        "{} is inside {}: choose a folder OUT outside IN",
        display_path(output),
        display_path(input)
    )]
    OutputInsideInput { output: PathBuf, input: PathBuf },
    /// Contains the text about skipped links, if there are any.
    #[error("no photos found in IN{}", .0.as_ref().map(|links| format!(" ({links})")).unwrap_or_default())]
    NoPhotos(Option<String>),
}

impl Plan {
    /// Decides which photo goes where. Photos in a folder keep their path below it.
    ///
    /// Two kinds of entry have no output, and fail later:
    /// - a photo whose output file belongs to an earlier photo;
    /// - a folder below IN that cannot be read.
    ///
    /// # Errors
    /// See [`PlanError`].
    pub fn new(inputs: &[PathBuf], output: &Path) -> Result<Self, PlanError> {
        check_output(inputs, output)?;
        let mut plan = Self::default();
        let mut outputs: BTreeMap<PathBuf, PathBuf> = BTreeMap::new();
        for input in inputs {
            let metadata = fs::metadata(input).map_err(|error| input_error(input, error))?;
            if !metadata.is_dir() {
                let name = input.file_name().map(PathBuf::from).unwrap_or_default();
                plan.add_photo(input.clone(), &output.join(name), &mut outputs);
                continue;
            }
            for file in WalkDir::new(input).sort_by_file_name().into_iter() {
                let file = match file {
                    Ok(file) => file,
                    Err(error) if error.depth() == 0 => return Err(input_error(input, error.into())),
                    Err(error) => {
                        plan.add_unreadable(input, &error);
                        continue;
                    }
                };
                match FileKind::from_entry(&file) {
                    FileKind::Folder => {}
                    FileKind::UnfollowedLink => plan.skipped_links += 1,
                    FileKind::Other => plan.skipped_files += 1,
                    FileKind::Photo => {
                        let relative = file.path().strip_prefix(input).unwrap_or(file.path());
                        plan.add_photo(file.path().to_owned(), &output.join(relative), &mut outputs);
                    }
                }
            }
        }
        if plan.photos.is_empty() {
            return Err(PlanError::NoPhotos(plan.skipped_links_text()));
        }
        Ok(plan)
    }

    /// The text about skipped links, if there are any.
    #[must_use]
    pub fn skipped_links_text(&self) -> Option<String> {
        let count = self.skipped_links;
        (count > 0).then(|| format!("{count} links to folders or missing files skipped"))
    }

    fn add_unreadable(&mut self, input: &Path, error: &walkdir::Error) {
        // walkdir's own text contains the path without escapes.
        let cause = error
            .io_error()
            .map_or_else(|| "the links form a loop".to_owned(), ToString::to_string);
        self.photos.push(PlannedPhoto {
            input: error.path().unwrap_or(input).to_owned(),
            output: Err(format!("cannot be read: {cause}")),
        });
    }

    /// Adds a photo. `outputs` maps each output file to its photo.
    fn add_photo(&mut self, input: PathBuf, target: &Path, outputs: &mut BTreeMap<PathBuf, PathBuf>) {
        let target = target.with_extension(MediaType::Jpeg.extension());
        let output = match outputs.get(&target) {
            Some(first) => Err(format!(
                "would become {}, the output of {}: rename one of them",
                display_path(&target),
                display_path(first)
            )),
            None => {
                outputs.insert(target.clone(), input.clone());
                Ok(target)
            }
        };
        self.photos.push(PlannedPhoto { input, output });
    }
}

enum FileKind {
    Photo,
    Folder,
    /// A link to a folder or to nothing. A folder may contain the same photos again, or form a loop.
    UnfollowedLink,
    Other,
}

impl FileKind {
    fn from_entry(file: &DirEntry) -> Self {
        let file_type = file.file_type();
        let is_file = if file_type.is_symlink() {
            match fs::metadata(file.path()) {
                Ok(target) if !target.is_dir() => target.is_file(),
                _ => return Self::UnfollowedLink,
            }
        } else {
            file_type.is_file()
        };
        if file_type.is_dir() {
            Self::Folder
        } else if is_file && is_photo(file.path()) {
            Self::Photo
        } else {
            Self::Other
        }
    }
}

fn check_output(inputs: &[PathBuf], output: &Path) -> Result<(), PlanError> {
    let is_named_like_photo = output.extension().is_some_and(is_photo_extension);
    if output.is_file() || (is_named_like_photo && !output.is_dir()) {
        return Err(PlanError::OutputIsNotAFolder(output.to_owned()));
    }
    let resolved = resolve(output);
    for input in inputs.iter().filter(|input| input.is_dir()) {
        if fs::canonicalize(input).is_ok_and(|folder| resolved.starts_with(folder)) {
            return Err(PlanError::OutputInsideInput {
                output: output.to_owned(),
                input: input.clone(),
            });
        }
    }
    Ok(())
}

fn input_error(path: &Path, error: io::Error) -> PlanError {
    PlanError::Input {
        path: path.to_owned(),
        error,
    }
}

/// Whether a file is a photo by its name or its content. The name also finds damaged
/// photos, which must be reported; the content also finds photos with other names.
fn is_photo(path: &Path) -> bool {
    if path.extension().is_some_and(is_photo_extension) {
        return true;
    }
    let mut beginning = Vec::with_capacity(MediaType::SNIFF_BYTES);
    let read = File::open(path).and_then(|file| {
        file.take(MediaType::SNIFF_BYTES as u64)
            .read_to_end(&mut beginning)
    });
    read.is_ok() && MediaType::sniff(&beginning).is_some()
}

fn is_photo_extension(extension: &std::ffi::OsStr) -> bool {
    ["jpg", "jpeg", "jpe", "png", "webp"]
        .iter()
        .any(|photo| extension.eq_ignore_ascii_case(photo))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder_with(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        folder
    }

    #[test]
    fn photos_in_a_folder_keep_their_relative_paths() {
        let input = folder_with(&[
            ("b.PNG", b""),
            ("a.jpeg", b""),
            ("day/c.webp", b""),
            ("unnamed", b"\xFF\xD8\xFF\xE0"),
            ("notes.txt", b"text"),
        ]);
        let plan = Plan::new(&[input.path().to_owned()], Path::new("/out")).unwrap();
        let outputs: Vec<_> = plan.photos.iter().map(|e| e.output.clone().unwrap()).collect();
        let expected = ["/out/a.jpg", "/out/b.jpg", "/out/day/c.jpg", "/out/unnamed.jpg"];
        assert_eq!(outputs, expected.map(PathBuf::from));
        assert_eq!(plan.skipped_files, 1);
    }

    #[test]
    fn unreadable_folder_fails_but_the_other_photos_are_planned() {
        let input = folder_with(&[("a.jpg", b""), ("z.jpg", b"")]);
        let name = "n".repeat(250);
        let half: PathBuf = std::iter::repeat_n(name.as_str(), 9).collect();
        let (upper, lower) = (input.path().join("m").join(&half), input.path().join("lower"));
        fs::create_dir_all(&upper).unwrap();
        fs::create_dir_all(lower.join(&half)).unwrap();
        // Its path is now longer than PATH_MAX, so it cannot be read.
        fs::rename(&lower, upper.join("lower")).unwrap();
        let plan = Plan::new(&[input.path().to_owned()], Path::new("/out")).unwrap();
        let has_output: Vec<_> = plan.photos.iter().map(|photo| photo.output.is_ok()).collect();
        assert_eq!(has_output, [true, false, true]);
        let error = plan.photos[1].output.clone().unwrap_err();
        assert!(error.starts_with("cannot be read: File name too long"), "{error}");
    }

    #[test]
    fn links_are_followed_to_photos_only() {
        use std::os::unix::fs::symlink;
        let input = folder_with(&[("a.jpg", b"")]);
        let elsewhere = folder_with(&[("b.jpg", b"")]);
        symlink(elsewhere.path().join("b.jpg"), input.path().join("link.jpg")).unwrap();
        symlink(elsewhere.path(), input.path().join("folder.jpg")).unwrap();
        symlink("/nowhere", input.path().join("dangling.jpg")).unwrap();
        symlink(".", input.path().join("loop")).unwrap();
        let found = Plan::new(&[input.path().to_owned()], Path::new("/out")).unwrap();
        let names: Vec<_> = found
            .photos
            .iter()
            .map(|e| e.input.file_name().unwrap())
            .collect();
        assert_eq!(names, ["a.jpg", "link.jpg"]);
        assert_eq!((found.skipped_links, found.skipped_files), (3, 0));
        let only_links = folder_with(&[]);
        symlink(elsewhere.path(), only_links.path().join("folder")).unwrap();
        let refused = Plan::new(&[only_links.path().to_owned()], Path::new("/out")).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "no photos found in IN (1 links to folders or missing files skipped)"
        );
    }

    #[test]
    fn second_photo_with_the_same_output_fails() {
        let input = folder_with(&[("a.jpg", b""), ("a.png", b"")]);
        let plan = Plan::new(&[input.path().to_owned()], Path::new("/out")).unwrap();
        assert!(plan.photos[0].output.is_ok());
        let error = plan.photos[1].output.clone().unwrap_err();
        assert!(
            error.contains("would become /out/a.jpg") && error.contains("a.jpg: rename"),
            "{error}"
        );
    }

    #[test]
    fn output_inside_input_is_refused() {
        let input = folder_with(&[("a.jpg", b"")]);
        for output in [
            input.path().to_owned(),
            input.path().join("new/deeper"),
            input.path().join("x/../y"),
        ] {
            let refused = Plan::new(&[input.path().to_owned()], &output).unwrap_err();
            assert!(
                matches!(refused, PlanError::OutputInsideInput { .. }),
                "{refused}"
            );
        }
    }

    #[test]
    fn invalid_arguments_are_refused() {
        let input = folder_with(&[("a.jpg", b""), ("text.txt", b"text")]);
        let photo = input.path().join("a.jpg");
        let refused = |inputs: &[PathBuf], output: &Path| Plan::new(inputs, output).unwrap_err();
        assert!(matches!(
            refused(std::slice::from_ref(&photo), &photo),
            PlanError::OutputIsNotAFolder(_)
        ));
        assert!(matches!(
            refused(&[photo], Path::new("/out/b.jpg")),
            PlanError::OutputIsNotAFolder(_)
        ));
        let missing = input.path().join("missing");
        assert!(matches!(
            refused(&[missing], Path::new("/out")),
            PlanError::Input { .. }
        ));
        let empty = folder_with(&[]);
        assert!(matches!(
            refused(&[empty.path().to_owned()], Path::new("/out")),
            PlanError::NoPhotos(None)
        ));
    }
}

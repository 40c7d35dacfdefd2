//! Which file becomes which, settled before the first photo is touched.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use contract::media::MediaType;
use walkdir::{DirEntry, WalkDir};

use super::{guard::resolved, shown};

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
    /// Links in folders that lead to a folder or nowhere.
    pub links_passed_over: usize,
}

/// The command makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// An input cannot be read.
    #[error("{}: {why}", shown(path))]
    Input {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        why: io::Error,
    },
    /// OUT is a file, or is named like a photo.
    #[error("{} is no folder: OUT is a folder, and photos keep their names in it", shown(.0))]
    OutputIsNoFolder(PathBuf),
    /// OUT lies in IN: what is written there would be read the next time.
    #[error("{} lies in {}: nothing is written into IN", shown(output), shown(input))]
    OutputInInput {
        /// OUT.
        output: PathBuf,
        /// The folder that it lies in.
        input: PathBuf,
    },
    /// There is nothing to do.
    #[error("there is no photo in IN{}", .0.as_deref().unwrap_or_default())]
    NoPhoto(Option<String>),
}

/// Settles which photo goes where. Photos of a folder keep their place below
/// it. Of two photos that would become the same file, the second is an entry
/// that failed; so is a folder below IN that cannot be read.
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
            let file = match file {
                Ok(file) => file,
                Err(error) if error.depth() == 0 => return Err(unreadable(input, error.into())),
                Err(error) => {
                    plan.add_unreadable(input, &error);
                    continue;
                }
            };
            match Kind::of(&file) {
                Kind::Folder => {}
                Kind::IdleLink => plan.links_passed_over += 1,
                Kind::Other => plan.passed_over += 1,
                Kind::Photo => {
                    let below = file.path().strip_prefix(input).unwrap_or(file.path());
                    plan.add(file.path().to_owned(), &output.join(below), &mut taken);
                }
            }
        }
    }
    if plan.entries.is_empty() {
        return Err(PlanError::NoPhoto(plan.links_told()));
    }
    Ok(plan)
}

/// What is found in a folder.
enum Kind {
    Photo,
    Folder,
    /// Leads to a folder, where the same photos may be a second time or
    /// without end; or nowhere.
    IdleLink,
    Other,
}

impl Kind {
    fn of(file: &DirEntry) -> Self {
        let kind = file.file_type();
        let is_file = if kind.is_symlink() {
            match fs::metadata(file.path()) {
                Ok(data) if !data.is_dir() => data.is_file(),
                _ => return Self::IdleLink,
            }
        } else {
            kind.is_file()
        };
        if kind.is_dir() {
            Self::Folder
        } else if is_file && looks_like_photo(file.path()) {
            Self::Photo
        } else {
            Self::Other
        }
    }
}

impl Plan {
    /// The end of a sentence about links, if there are any.
    #[must_use]
    pub fn links_told(&self) -> Option<String> {
        let count = self.links_passed_over;
        (count > 0).then(|| format!(", {count} links passed over that lead to a folder or nowhere"))
    }

    fn add_unreadable(&mut self, input: &Path, error: &walkdir::Error) {
        // walkdir's own text has the path in it, as it is.
        let why = error
            .io_error()
            .map_or_else(|| "a link leads in a circle".to_owned(), ToString::to_string);
        self.entries.push(Entry {
            input: error.path().unwrap_or(input).to_owned(),
            output: Err(format!("cannot be read: {why}")),
        });
    }

    fn add(&mut self, input: PathBuf, named: &Path, taken: &mut BTreeMap<PathBuf, PathBuf>) {
        let target = named.with_extension(MediaType::Jpeg.extension());
        let output = match taken.get(&target) {
            Some(first) => Err(format!(
                "would become {}, as does {}; rename one of them",
                shown(&target),
                shown(first)
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

    /// No folder deep below is a reason to leave the others.
    #[test]
    fn folder_that_cannot_be_read_is_an_entry_that_failed() {
        let input = folder(&[("a.jpg", b""), ("z.jpg", b"")]);
        let name = "n".repeat(250);
        let half: PathBuf = std::iter::repeat_n(name.as_str(), 9).collect();
        let (upper, lower) = (input.path().join("m").join(&half), input.path().join("lower"));
        fs::create_dir_all(&upper).unwrap();
        fs::create_dir_all(lower.join(&half)).unwrap();
        // Nobody may read it now by its path, which is over PATH_MAX.
        fs::rename(&lower, upper.join("lower")).unwrap();
        let plan = plan(&[input.path().to_owned()], Path::new("/out")).unwrap();
        let told: Vec<_> = plan.entries.iter().map(|entry| entry.output.is_ok()).collect();
        assert_eq!(told, [true, false, true]);
        let why = plan.entries[1].output.clone().unwrap_err();
        assert!(why.starts_with("cannot be read: File name too long"), "{why}");
    }

    #[test]
    fn links_are_followed_to_photos_only() {
        use std::os::unix::fs::symlink;
        let input = folder(&[("a.jpg", b"")]);
        let elsewhere = folder(&[("b.jpg", b"")]);
        symlink(elsewhere.path().join("b.jpg"), input.path().join("link.jpg")).unwrap();
        symlink(elsewhere.path(), input.path().join("folder.jpg")).unwrap();
        symlink("/nowhere", input.path().join("dangling.jpg")).unwrap();
        symlink(".", input.path().join("loop")).unwrap();
        let found = plan(&[input.path().to_owned()], Path::new("/out")).unwrap();
        let names: Vec<_> = found
            .entries
            .iter()
            .map(|e| e.input.file_name().unwrap())
            .collect();
        assert_eq!(names, ["a.jpg", "link.jpg"]);
        assert_eq!((found.links_passed_over, found.passed_over), (3, 0));
        let only_links = folder(&[]);
        symlink(elsewhere.path(), only_links.path().join("folder")).unwrap();
        let refused = plan(&[only_links.path().to_owned()], Path::new("/out")).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "there is no photo in IN, 1 links passed over that lead to a folder or nowhere"
        );
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
            PlanError::NoPhoto(None)
        ));
    }
}

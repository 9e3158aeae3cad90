//! Files on disk, for those who take them out of the database.
//!
//! A file appears under its name only when all of it is on disk: it is written beside it, flushed and renamed. What is
//! there already is known by its length and digest, so an export can be repeated. The files are participants' health
//! data: only their owner may read them.

use super::digest;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Bytes of a name that are kept; file systems take 255, which two of them and what is added have to fit into.
const NAME_BYTES: usize = 90;

/// A file that cannot be written, or looked at.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be written")]
pub struct FolderError {
    path: PathBuf,
    source: io::Error,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saved {
    /// There was none of that name.
    Written,
    /// Another one of that name has made way.
    Replaced,
}

/// `text` as the name of one file or folder: another for every other text, on every file system.
#[must_use]
pub fn name_of(text: &str) -> String {
    let mut name = String::new();
    for character in text.chars() {
        let plain = character.is_alphanumeric()
            || matches!(character, '-' | '_')
            || character == '.' && !name.is_empty();
        if plain {
            name.push(character);
        } else {
            let mut buffer = [0; 4];
            let bytes = character.encode_utf8(&mut buffer).bytes();
            name.extend(bytes.map(|byte| format!("%{byte:02X}")));
        }
    }
    if name.is_empty() {
        // No text is encoded as this.
        return "%".to_owned();
    }
    if name.len() > NAME_BYTES {
        name.truncate(name.floor_char_boundary(NAME_BYTES));
        let digest = digest(text.as_bytes());
        name.push('%');
        name.extend(digest[..8].iter().map(|byte| format!("{byte:02x}")));
    }
    name
}

/// Whether there is a file with that content.
///
/// # Errors
/// There is one that cannot be read.
pub fn holds(path: &Path, size: u64, sha256: &[u8]) -> Result<bool, FolderError> {
    let same = || match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
        Ok(found) if found.len() != size => Ok(false),
        Ok(_) => Ok(digest(&fs::read(path)?) == sha256),
    };
    same().map_err(|source| FolderError { path: path.to_owned(), source })
}

/// Writes a file, and the folders above it, for sure.
///
/// # Errors
/// It is not written; one of that name is as it was.
pub fn save(path: &Path, content: &[u8]) -> Result<Saved, FolderError> {
    let unfinished = unfinished(path);
    let write = || {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let there = path.try_exists()?;
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        File::open(folder)?.sync_all()?;
        Ok(if there { Saved::Replaced } else { Saved::Written })
    };
    write().map_err(|source| {
        // It is of no use to anybody, and is overwritten by the next attempt if it stays.
        let _ = fs::remove_file(&unfinished);
        FolderError { path: path.to_owned(), source }
    })
}

/// Where a file is while it is being written: hidden, and beside its place.
fn unfinished(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.part"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn ordinary_names_stay_and_odd_ones_cannot_leave_the_folder() {
        for (text, name) in [
            ("P-001", "P-001"),
            ("Übung_3", "Übung_3"),
            ("a b", "a%20b"),
            ("..", "%2E."),
            (".hidden", "%2Ehidden"),
            ("../../etc/passwd", "%2E.%2F..%2Fetc%2Fpasswd"),
            ("50%", "50%25"),
            ("", "%"),
        ] {
            assert_eq!(name_of(text), name);
        }
    }

    proptest! {
        #[test]
        fn every_text_has_a_name_of_its_own(a in ".{0,200}", b in ".{0,200}") {
            for name in [name_of(&a), name_of(&b)] {
                prop_assert!(name.len() <= 107 && !name.contains('/') && !name.starts_with('.'), "{}", name);
            }
            prop_assert_eq!(a == b, name_of(&a) == name_of(&b));
        }
    }

    #[test]
    fn a_file_is_there_whole_and_for_its_owner_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("P-1").join("5.fit");
        assert!(!holds(&path, 3, &digest(b"one")).unwrap());
        assert_eq!(save(&path, b"one").unwrap(), Saved::Written);
        assert!(holds(&path, 3, &digest(b"one")).unwrap());
        assert!(!holds(&path, 3, &digest(b"two")).unwrap(), "of the same length, and another");
        assert_eq!(save(&path, b"three").unwrap(), Saved::Replaced);
        assert_eq!(fs::read(&path).unwrap(), b"three");
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing else is left");

        let below_a_file = path.join("6.fit");
        let error = save(&below_a_file, b"").unwrap_err().to_string();
        assert!(error.contains("6.fit"), "{error}");
    }
}

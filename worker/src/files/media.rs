//! What a file is, told by its content: labels have turned out to be wrong (garmin-health-api.md 1.18).

use std::fmt;

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Media {
    /// Garmin's own binary format.
    Fit,
    /// Training Center XML.
    Tcx,
    /// GPS Exchange Format, which is XML too.
    Gpx,
    /// A ZIP archive.
    Zip,
    /// XML of another kind.
    Xml,
    /// Anything else.
    Unknown,
}

/// Where the root element of an XML file begins at the latest, behind declaration and comments.
const HEAD_BYTES: usize = 4096;

impl Media {
    /// Each kind.
    pub const ALL: [Self; 6] = [Self::Fit, Self::Tcx, Self::Gpx, Self::Zip, Self::Xml, Self::Unknown];

    /// Looks at the beginning of a file.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        if content.get(8..12) == Some(b".FIT") {
            return Self::Fit;
        }
        if content.starts_with(b"PK\x03\x04") {
            return Self::Zip;
        }
        let text = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content).trim_ascii_start();
        if !text.starts_with(b"<") {
            return Self::Unknown;
        }
        let head = String::from_utf8_lossy(&text[..text.len().min(HEAD_BYTES)]);
        match root_element(&head) {
            Some("gpx") => Self::Gpx,
            Some("TrainingCenterDatabase") => Self::Tcx,
            _ => Self::Xml,
        }
    }

    /// As the database and metrics name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fit => "fit",
            Self::Tcx => "tcx",
            Self::Gpx => "gpx",
            Self::Zip => "zip",
            Self::Xml => "xml",
            Self::Unknown => "unknown",
        }
    }

    /// The kind of that name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|media| media.name() == name)
    }

    /// What its files' names end with.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Unknown => "bin",
            _ => self.name(),
        }
    }
}

impl fmt::Display for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The name of the first element, its namespace's prefix left out: behind `<?…?>`, `<!--…-->` and `<!DOCTYPE …>`.
fn root_element(mut text: &str) -> Option<&str> {
    loop {
        let (_, rest) = text.split_once('<')?;
        let end_of_other = match rest {
            _ if rest.starts_with('?') => "?>",
            _ if rest.starts_with("!--") => "-->",
            _ if rest.starts_with('!') => ">",
            _ => {
                let name = rest.split(|c: char| c.is_whitespace() || c == '>' || c == '/').next()?;
                return Some(name.rsplit_once(':').map_or(name, |(_, name)| name));
            }
        };
        text = rest.split_once(end_of_other)?.1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_its_content() {
        for (content, media) in [
            (b"\x0e\x20\x54\x08\x00\x00\x00\x00.FIT\x00\x00".as_slice(), Media::Fit),
            (b"<gpx version='1.1'/>", Media::Gpx),
            (b"\xef\xbb\xbf<?xml version=\"1.0\"?>\r\n<!-- <TrainingCenterDatabase> -->\n<gpx>", Media::Gpx),
            (b"\n <?xml version=\"1.0\"?><TrainingCenterDatabase xmlns=\"x\">", Media::Tcx),
            (b"<?xml version=\"1.0\"?><t:TrainingCenterDatabase>", Media::Tcx),
            (b"<!DOCTYPE html><html><body>an error page</body></html>", Media::Xml),
            (b"<?xml version=\"1.0\"", Media::Xml),
            (b"<", Media::Xml),
            (b"PK\x03\x04\x14\x00", Media::Zip),
            (b"{\"errorMessage\": \"gpx\"}", Media::Unknown),
            (b"\x0e\x20\x54\x08\x00\x00\x00\x00.FI", Media::Unknown),
            (b"", Media::Unknown),
        ] {
            assert_eq!(Media::of(content), media, "{}", String::from_utf8_lossy(content));
        }
    }

    #[test]
    fn names_tell_kinds_apart() {
        for media in Media::ALL {
            assert_eq!(Media::of_name(media.name()), Some(media));
        }
    }
}

//! Everything that can end a process early. In: a fact. Out: a message in two languages, a piece of
//! advice and an exit code. Invariant: no variant carries a person's value: file, row and column
//! numbers only. Specification: README, "Exit codes".

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use hedui_protocol::envelope::EnvelopeError;
use hedui_protocol::refusal::Refusal;

/// Exit code of a command line that cannot be understood (BSD `EX_USAGE`).
pub const EXIT_USAGE: u8 = 64;
/// Exit code of a run that cannot go on yet (BSD `EX_TEMPFAIL`).
pub const EXIT_NOT_YET: u8 = 75;

/// Why a process ends without having done its work.
#[derive(Debug)]
pub enum Problem {
    /// A message, agreement or key file is refused; `place` names the file.
    Refused {
        /// The file, if one is meant.
        place: Option<PathBuf>,
        /// Why.
        refusal: Refusal,
    },
    /// Reading or writing a file failed.
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
    /// The data cannot be used as they are; exit code 2.
    Data {
        /// What happened and where.
        what: String,
        /// What to do.
        advice: String,
    },
    /// The command line is wrong; exit code 64.
    Usage {
        /// What is wrong.
        what: String,
        /// What to do.
        advice: String,
    },
    /// Something that must come first is not there yet; exit code 75.
    NotYet {
        /// What is missing.
        what: String,
        /// What to do.
        advice: String,
    },
    /// Done, but some rows or files were rejected and listed; exit code 1.
    DoneWithRejects {
        /// What was rejected, as counts.
        what: String,
    },
}

impl Problem {
    /// A data problem.
    pub fn data(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::Data {
            what: what.into(),
            advice: advice.into(),
        }
    }

    /// A usage problem.
    pub fn usage(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::Usage {
            what: what.into(),
            advice: advice.into(),
        }
    }

    /// Something is not there yet.
    pub fn not_yet(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::NotYet {
            what: what.into(),
            advice: advice.into(),
        }
    }

    /// A failure of the system on a path.
    pub fn io(path: impl AsRef<Path>, error: io::Error) -> Self {
        Self::Io {
            path: path.as_ref().to_path_buf(),
            error,
        }
    }

    /// A refusal of a file.
    pub fn refused(path: impl AsRef<Path>, refusal: Refusal) -> Self {
        Self::Refused {
            place: Some(path.as_ref().to_path_buf()),
            refusal,
        }
    }

    /// The same, a refusal that names no file at this one.
    #[must_use]
    pub fn at(self, path: &Path) -> Self {
        match self {
            Self::Refused {
                place: None,
                refusal,
            } => Self::refused(path, refusal),
            other => other,
        }
    }

    /// An error of an envelope at a path.
    pub fn envelope(path: impl AsRef<Path>, error: EnvelopeError) -> Self {
        match error {
            EnvelopeError::Refused(refusal) => Self::refused(path, refusal),
            EnvelopeError::Io(error) => Self::io(path, error),
        }
    }

    /// The process's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::DoneWithRejects { .. } => 1,
            Self::Data { .. } | Self::Io { .. } => 2,
            Self::Refused { refusal, .. } => refusal.exit_code(),
            Self::Usage { .. } => EXIT_USAGE,
            Self::NotYet { .. } => EXIT_NOT_YET,
        }
    }

    fn headline_zh(&self) -> &'static str {
        match self {
            Self::Refused { refusal, .. } => refusal.headline_zh(),
            Self::Io { .. } => "文件读写失败",
            Self::Data { .. } => "数据或设置有问题",
            Self::Usage { .. } => "命令用法不正确",
            Self::NotYet { .. } => "前一步尚未完成",
            Self::DoneWithRejects { .. } => "已完成，部分内容被拒收",
        }
    }

    /// What the person can do.
    pub fn advice(&self) -> String {
        match self {
            Self::Refused { refusal, .. } => {
                format!("{} {}", refusal.advice_zh(), refusal.advice())
            }
            Self::Io { error, .. } => match error.kind() {
                io::ErrorKind::NotFound => "请核对文件名和文件夹 check the name and the folder".to_owned(),
                io::ErrorKind::PermissionDenied => {
                    "请核对文件的所有者和权限 check who owns the file".to_owned()
                }
                io::ErrorKind::ReadOnlyFilesystem => {
                    "该磁盘不可写，请换一个文件夹 this disk cannot be written: name another folder".to_owned()
                }
                io::ErrorKind::StorageFull => {
                    "请腾出磁盘空间后重新执行同一命令，未留下半截文件 make room on the disk and run the same command \
                     again; nothing was half-written"
                        .to_owned()
                }
                _ => "未留下半截文件，请重新执行同一命令 nothing was half-written; run the same command again"
                    .to_owned(),
            },
            Self::Data { advice, .. }
            | Self::Usage { advice, .. }
            | Self::NotYet { advice, .. } => advice.clone(),
            Self::DoneWithRejects { .. } => "见上面所列 see the list above".to_owned(),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::Refused {
            place: None,
            refusal,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.headline_zh())?;
        match self {
            Self::Refused {
                place: Some(place),
                refusal,
            } => {
                write!(f, "{}: {refusal}", place.display())
            }
            Self::Refused {
                place: None,
                refusal,
            } => write!(f, "{refusal}"),
            Self::Io { path, error } => write!(f, "{}: {error}", path.display()),
            Self::Data { what, .. }
            | Self::Usage { what, .. }
            | Self::NotYet { what, .. }
            | Self::DoneWithRejects { what } => f.write_str(what),
        }
    }
}

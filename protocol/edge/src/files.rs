//! Files that appear whole or not at all. In: a path and what to write. Out: the file under its name,
//! synced, readable by its owner only. Invariant: temporary file in the same folder, fsync, rename,
//! fsync of the folder; no other code of a binary creates output files.
//! Specification: docs/ARCHITECTURE.md, "Files".

use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use hedui_protocol::limits::{STATE_FILE_BYTES_MAX, TEXT_FILE_BYTES_MAX};
use hedui_protocol::refusal::Refusal;

use crate::problem::Problem;

/// Prefix of temporary files; leftovers of a killed process are swept by [`sweep`].
const PREFIX: &str = ".hedui-part-";

/// Reads a small text file within the limit of configuration files.
pub fn read_text(path: &Path) -> Result<String, Problem> {
    let bytes = read_small(path)?;
    String::from_utf8(bytes)
        .map_err(|_| Problem::refused(path, Refusal::malformed("text file", "it is not UTF-8")))
}

/// Reads a small file within the limit of configuration files.
pub fn read_small(path: &Path) -> Result<Vec<u8>, Problem> {
    read_within(path, TEXT_FILE_BYTES_MAX)
}

/// Reads one of this party's own state files, which grow with use.
pub fn read_state(path: &Path) -> Result<Vec<u8>, Problem> {
    read_within(path, STATE_FILE_BYTES_MAX)
}

fn read_within(path: &Path, allowed: u64) -> Result<Vec<u8>, Problem> {
    let file = File::open(path).map_err(|error| Problem::io(path, error))?;
    let mut bytes = Vec::new();
    file.take(allowed + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| Problem::io(path, error))?;
    let found = bytes.len() as u64;
    if found > allowed {
        let what = "text file";
        return Err(Problem::refused(
            path,
            Refusal::Oversize {
                what,
                found,
                allowed,
            },
        ));
    }
    Ok(bytes)
}

/// Writes a file through `fill`: whole, synced, mode 0600, replacing an older one atomically. The part has
/// a name of its own, so two processes may write one file; leftovers are swept with the folder.
pub fn write_whole<T>(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<&File>) -> Result<T, Problem>,
) -> Result<T, Problem> {
    let folder = folder_of(path)?;
    let part = tempfile::Builder::new()
        .prefix(PREFIX)
        .tempfile_in(folder)
        .map_err(|error| Problem::io(folder, error))?;
    let filled = write_part(path, part.as_file(), fill)?;
    part.persist(path)
        .map_err(|error| Problem::io(path, error.error))?;
    sync_folder(folder);
    Ok(filled)
}

/// The same for folders that people and other parties look into: the part is named after its file, so the
/// repeated command takes the place of what a killed one left. One process writes one such file.
pub fn deliver<T>(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<&File>) -> Result<T, Problem>,
) -> Result<T, Problem> {
    let folder = folder_of(path)?;
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let part = folder.join(format!(".{name}.part"));
    let mut options = File::options();
    // Made anew: a link that somebody put there would lead the bytes elsewhere.
    match fs::remove_file(&part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Problem::io(&part, error));
        }
        _ => {}
    }
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options
        .open(&part)
        .map_err(|error| Problem::io(&part, error))?;
    let done = write_part(path, &file, fill).and_then(|filled| {
        fs::rename(&part, path)
            .map_err(|error| Problem::io(path, error))
            .map(|()| filled)
    });
    if done.is_err() {
        let _ = fs::remove_file(&part);
    }
    sync_folder(folder);
    done
}

fn folder_of(path: &Path) -> Result<&Path, Problem> {
    let folder = path
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(|error| Problem::io(folder, error))?;
    Ok(folder)
}

fn write_part<T>(
    path: &Path,
    file: &File,
    fill: impl FnOnce(&mut BufWriter<&File>) -> Result<T, Problem>,
) -> Result<T, Problem> {
    let wrap = |error: io::Error| Problem::io(path, error);
    let mut writer = BufWriter::with_capacity(1 << 20, file);
    let filled = fill(&mut writer)?;
    writer.flush().map_err(wrap)?;
    drop(writer);
    file.sync_all().map_err(wrap)?;
    Ok(filled)
}

/// Writes a file into a folder that nobody knows yet: it need not survive a power cut before [`settle`] has made all of the
/// folder do so and the folder gets its name.
pub fn write_unseen<T>(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<&File>) -> Result<T, Problem>,
) -> Result<T, Problem> {
    let wrap = |error: io::Error| Problem::io(path, error);
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path).map_err(wrap)?;
    let mut writer = BufWriter::with_capacity(1 << 20, &file);
    let filled = fill(&mut writer)?;
    writer.flush().map_err(wrap)?;
    Ok(filled)
}

/// Makes every file of a folder, and the folder, survive a power cut. At once: the disk writes its journal once for all.
pub fn settle(folder: &Path) -> Result<(), Problem> {
    let wrap = |error| Problem::io(folder, error);
    let entries: Result<Vec<_>, _> = fs::read_dir(folder).map_err(wrap)?.collect();
    let files = entries.map_err(wrap)?;
    std::thread::scope(|scope| {
        let all: Vec<_> = files
            .iter()
            .map(|entry| scope.spawn(|| File::open(entry.path())?.sync_all()))
            .collect();
        all.into_iter().try_for_each(|one| match one.join() {
            Ok(synced) => synced.map_err(wrap),
            Err(_) => Err(wrap(io::Error::other("a thread stopped"))),
        })
    })?;
    sync_folder(folder);
    Ok(())
}

/// Delivers bytes whole.
pub fn deliver_bytes(path: &Path, bytes: &[u8]) -> Result<(), Problem> {
    deliver(path, |out| {
        out.write_all(bytes)
            .map_err(|error| Problem::io(path, error))
    })
}

/// Writes bytes whole.
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<(), Problem> {
    write_whole(path, |out| {
        out.write_all(bytes)
            .map_err(|error| Problem::io(path, error))
    })
}

/// A scratch file without a name: a killed process leaves nothing of it.
pub struct Scratch {
    file: File,
    folder: PathBuf,
}

impl Scratch {
    /// The file.
    pub fn as_file(&self) -> &File {
        &self.file
    }

    /// The folder in which it takes room, for messages.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// The file again, from its first byte and, where the system allows, with a position of its own.
    pub fn reopen(&self) -> io::Result<File> {
        #[cfg(target_os = "linux")]
        {
            use std::os::fd::AsRawFd;
            let own = format!("/proc/self/fd/{}", self.file.as_raw_fd());
            if let Ok(file) = File::open(own) {
                return Ok(file);
            }
        }
        let mut file = self.file.try_clone()?;
        io::Seek::seek(&mut file, io::SeekFrom::Start(0))?;
        Ok(file)
    }
}

/// A scratch file in `folder`.
pub fn temporary(folder: &Path) -> Result<Scratch, Problem> {
    let file = tempfile::tempfile_in(folder).map_err(|error| Problem::io(folder, error))?;
    Ok(Scratch {
        file,
        folder: folder.to_path_buf(),
    })
}

/// The right to write a party's state folder; one process at a time has it.
pub struct Guard(#[expect(dead_code, reason = "the lock lasts as long as the file is open")] File);

/// Takes the right to write a state folder, which is made if need be, and clears what killed processes left.
pub fn guard(state: &Path) -> Result<Guard, Problem> {
    private_folder(state)?;
    let path = state.join("lock");
    let mut options = File::options();
    options.write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options
        .open(&path)
        .map_err(|error| Problem::io(&path, error))?;
    match file.try_lock() {
        Ok(()) => {
            sweep(state);
            Ok(Guard(file))
        }
        Err(fs::TryLockError::WouldBlock) => Err(Problem::not_yet(
            format!("another command works in {}", state.display()),
            "wait until it has ended, then run this one again",
        )),
        Err(fs::TryLockError::Error(error)) => Err(Problem::io(&path, error)),
    }
}

/// Removes what killed processes left behind in a folder that belongs to this process alone.
pub fn sweep(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Overwrites a file in place and removes it. A new file beside it would leave the old blocks as they are; journalled and
/// flash storage may keep them all the same.
pub fn wipe(path: &Path) -> Result<(), Problem> {
    let wrap = |error| Problem::io(path, error);
    let len = fs::metadata(path).map_err(wrap)?.len();
    let mut file = File::options().write(true).open(path).map_err(wrap)?;
    let block = [0; 1 << 16];
    let mut left = len;
    while left > 0 {
        let part = usize::try_from(left).unwrap_or(usize::MAX).min(block.len());
        file.write_all(&block[..part]).map_err(wrap)?;
        left -= part as u64;
    }
    file.sync_all().map_err(wrap)?;
    drop(file);
    fs::remove_file(path).map_err(wrap)
}

/// Makes a rename durable; a file system without folder sync is left as it is.
pub fn sync_folder(folder: &Path) {
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
}

/// Creates a folder for secrets and people's data: mode 0700 where the system has modes.
pub fn private_folder(path: &Path) -> Result<(), Problem> {
    fs::create_dir_all(path).map_err(|error| Problem::io(path, error))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))
            .map_err(|error| Problem::io(path, error))?;
    }
    Ok(())
}

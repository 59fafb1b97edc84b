//! Files, as std and others read and write them.

use std::fs;
use std::io::{BufRead, BufReader, BufWriter, Cursor, Read, Seek, Write};

use evenkeel_guard::Class::File;

use crate::row::{Row, blocks, file, folder, harmless, here, scratch};

pub(crate) fn rows() -> Vec<Row> {
    let mut rows = std_rows();
    rows.extend(package_rows());
    rows.extend(harmless_rows());
    rows
}

fn std_rows() -> Vec<Row> {
    vec![
        blocks("std", "fs::read", File, || {
            let path = file(4096);
            async move { here!(fs::read(&path)).unwrap().len() }
        }),
        blocks("std", "fs::read_to_string", File, || {
            let path = file(100);
            async move { here!(fs::read_to_string(&path)).unwrap() }
        }),
        blocks("std", "fs::write", File, || {
            let path = scratch("written");
            async move { here!(fs::write(&path, "text")).unwrap() }
        }),
        blocks("std", "fs::copy", File, || {
            let (from, to) = (file(8192), scratch("copy"));
            async move { here!(fs::copy(&from, &to)).unwrap() }
        }),
        blocks("std", "fs::rename", File, || {
            let (from, to) = (file(1), scratch("renamed"));
            async move { here!(fs::rename(&from, &to)).unwrap() }
        }),
        blocks("std", "fs::create_dir_all", File, || {
            let path = scratch("a").join("b");
            async move { here!(fs::create_dir_all(&path)).unwrap() }
        }),
        blocks("std", "fs::read_dir", File, || async {
            let entries = here!(fs::read_dir("/proc/self/task")).unwrap();
            here!(entries.count()) > 0
        }),
        blocks("std", "fs::canonicalize", File, || {
            let path = file(1);
            async move { here!(fs::canonicalize(&path)).unwrap() == path }
        }),
        blocks("std", "BufReader::lines", File, || {
            let opened = fs::File::open(file(100)).unwrap();
            async move { here!(BufReader::new(opened).lines().count()) }
        }),
        blocks("std", "BufWriter that is dropped", File, || {
            let mut writer = BufWriter::new(fs::File::create(scratch("buffered")).unwrap());
            async move {
                writer.write_all(b"text").unwrap();
                here!(drop(writer));
            }
        }),
        blocks("std", "File::sync_all", File, || {
            let mut opened = fs::File::create(scratch("synced")).unwrap();
            opened.write_all(b"text").unwrap();
            async move { here!(opened.sync_all()).unwrap() }
        }),
        blocks("std", "File::set_len", File, || {
            let opened = fs::File::create(scratch("grown")).unwrap();
            async move { here!(opened.set_len(4096)).unwrap() }
        }),
        blocks("std", "File::set_modified", File, || {
            let opened = fs::File::create(scratch("dated")).unwrap();
            async move { here!(opened.set_modified(std::time::SystemTime::UNIX_EPOCH)).unwrap() }
        }),
        blocks("std", "File::set_permissions", File, || {
            let opened = fs::File::create(scratch("owned")).unwrap();
            let rights = opened.metadata().unwrap().permissions();
            async move { here!(opened.set_permissions(rights)).unwrap() }
        }),
        blocks("std", "BufReader::lines and next", File, || {
            let mut lines = BufReader::new(fs::File::open(file(100)).unwrap()).lines();
            async move { here!(lines.next()).unwrap().unwrap() }
        }),
        blocks("std", "io::copy into a vector", File, || {
            let mut opened = fs::File::open(file(100_000)).unwrap();
            async move {
                let mut copy = Vec::new();
                here!(std::io::copy(&mut opened, &mut copy)).unwrap()
            }
        }),
    ]
}

fn package_rows() -> Vec<Row> {
    vec![
        blocks("tempfile", "tempfile", File, || async {
            let mut opened = here!(tempfile::tempfile()).unwrap();
            here!(opened.write_all(b"text")).unwrap();
        }),
        blocks("tempfile", "NamedTempFile::persist", File, || async {
            let opened = here!(tempfile::NamedTempFile::new_in(folder())).unwrap();
            drop(here!(opened.persist(scratch("persisted"))).unwrap());
        }),
        blocks("tempfile", "TempDir that is dropped", File, || {
            let folder = tempfile::tempdir_in(folder()).unwrap();
            async move { here!(drop(folder)) }
        }),
        blocks("walkdir", "WalkDir", File, || {
            let folder = folder_of_three();
            async move { here!(walkdir::WalkDir::new(&folder).into_iter().count()) }
        }),
        blocks("ignore", "Walk", File, || {
            let folder = folder_of_three();
            async move { here!(ignore::Walk::new(&folder).count()) }
        }),
        blocks("glob", "glob", File, || {
            let pattern = format!("{}/*", folder_of_three().display());
            async move { here!(glob::glob(&pattern).unwrap().count()) }
        }),
        blocks("memmap2", "MmapMut::flush", File, || {
            let opened = fs::OpenOptions::new().read(true).write(true).open(file(8192)).unwrap();
            // SAFETY: nobody else knows the file.
            let mut map = unsafe { memmap2::MmapMut::map_mut(&opened) }.unwrap();
            async move {
                map[0] = b'y';
                here!(map.flush()).unwrap();
                map[0]
            }
        }),
        blocks("fs4", "FileExt::lock, held elsewhere", File, lock_held),
        blocks("which", "which", File, || async { here!(which::which("true")).is_ok() }),
        blocks("dotenvy", "from_path_iter", File, || {
            let path = scratch("env");
            fs::write(&path, "NAME=value").unwrap();
            async move { here!(dotenvy::from_path_iter(&path)).is_ok() }
        }),
        blocks("zip", "an archive in a file", File, || {
            let path = scratch("zip");
            fs::write(&path, zipped()).unwrap();
            async move {
                let opened = here!(fs::File::open(&path)).unwrap();
                let mut archive = here!(zip::ZipArchive::new(opened)).unwrap();
                let mut text = String::new();
                let mut entry = here!(archive.by_index(0)).unwrap();
                here!(entry.read_to_string(&mut text)).unwrap();
                here!(drop(entry));
                text
            }
        }),
        blocks("tar", "an archive in a file", File, || {
            let opened = fs::File::create(scratch("tar")).unwrap();
            let mut builder = tar::Builder::new(opened);
            async move {
                let mut header = tar::Header::new_gnu();
                header.set_size(4);
                here!(builder.append_data(&mut header, "name", &b"text"[..])).unwrap();
                let mut opened = here!(builder.into_inner()).unwrap();
                here!(opened.stream_position()).unwrap()
            }
        }),
        blocks("flate2", "GzEncoder into a file", File, || {
            let opened = fs::File::create(scratch("gz")).unwrap();
            async move {
                let mut encoder = flate2::write::GzEncoder::new(opened, flate2::Compression::fast());
                here!(encoder.write_all(&[b'x'; 1000])).unwrap();
                here!(encoder.finish()).is_ok()
            }
        }),
        blocks("png", "Decoder of a file", File, || {
            let path = scratch("png");
            fs::write(&path, super::compute::png(16)).unwrap();
            async move {
                let opened = here!(fs::File::open(&path)).unwrap();
                let mut reader = here!(png::Decoder::new(BufReader::new(opened)).read_info()).unwrap();
                let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
                here!(reader.next_frame(&mut pixels)).unwrap().width
            }
        }),
        blocks("csv", "Reader::from_path", File, || {
            let path = scratch("csv");
            fs::write(&path, "name,age\nTom,3\n").unwrap();
            async move {
                let mut reader = here!(csv::Reader::from_path(&path)).unwrap();
                here!(reader.records().count())
            }
        }),
        blocks("serde_json", "from_reader of a buffered file", File, || {
            let path = scratch("json");
            fs::write(&path, r#"{"name": "Tom"}"#).unwrap();
            let opened = BufReader::new(fs::File::open(path).unwrap());
            async move { here!(serde_json::from_reader::<_, serde_json::Value>(opened)).unwrap().to_string() }
        }),
        blocks("rustls", "a certificate file", File, || {
            let path = scratch("pem");
            fs::write(&path, crate::server::certificate().cert.pem()).unwrap();
            async move {
                use rustls::pki_types::pem::PemObject;
                let certificates = here!(rustls::pki_types::CertificateDer::pem_file_iter(&path)).unwrap();
                here!(certificates.count())
            }
        }),
    ]
}

fn folder_of_three() -> std::path::PathBuf {
    let folder = scratch("folder");
    fs::create_dir(&folder).unwrap();
    (0..3).for_each(|number| fs::write(folder.join(number.to_string()), "text").unwrap());
    folder
}

fn lock_held() -> impl Future<Output = ()> + Send {
    use fs4::fs_std::FileExt;
    let path = file(1);
    let (mine, theirs) = (fs::File::open(&path).unwrap(), fs::File::open(&path).unwrap());
    let held = crate::row::while_held(move |wait| {
        FileExt::lock_exclusive(&theirs).unwrap();
        wait();
        // What does not go through the C library is found by a look from outside, milliseconds later.
        std::thread::sleep(std::time::Duration::from_millis(200));
        FileExt::unlock(&theirs).unwrap();
    });
    async move {
        held.here();
        here!(FileExt::lock_exclusive(&mine)).unwrap();
    }
}

fn zipped() -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    writer.start_file("name", zip::write::SimpleFileOptions::default()).unwrap();
    writer.write_all(b"text").unwrap();
    writer.finish().unwrap().into_inner()
}

fn harmless_rows() -> Vec<Row> {
    vec![
        harmless("tokio", "fs::read and fs::write", || {
            let path = scratch("tokio");
            async move {
                tokio::fs::write(&path, "text").await.unwrap();
                let text = tokio::fs::read_to_string(&path).await.unwrap();
                tokio::fs::remove_file(&path).await.unwrap();
                text
            }
        }),
        harmless("tokio", "fs::read of 8 MB", || {
            static PATH: std::sync::OnceLock<std::path::PathBuf> = std::sync::OnceLock::new();
            let path = PATH.get_or_init(|| file(8 << 20));
            async move { tokio::fs::read(path).await.unwrap().len() }
        }),
        harmless("tokio", "spawn_blocking(fs::read)", || {
            let path = file(4096);
            async move {
                tokio::task::spawn_blocking(move || {
                    let length = fs::read(&path).unwrap().len();
                    fs::remove_file(&path).unwrap();
                    length
                })
                .await
                .unwrap()
            }
        }),
        harmless("zip", "an archive in memory", || async {
            let mut archive = zip::ZipArchive::new(Cursor::new(zipped())).unwrap();
            let mut text = String::new();
            archive.by_index(0).unwrap().read_to_string(&mut text).unwrap();
            text
        }),
        harmless("tar", "an archive in memory", || async {
            let mut builder = tar::Builder::new(Vec::new());
            let mut header = tar::Header::new_gnu();
            header.set_size(4);
            builder.append_data(&mut header, "name", &b"text"[..]).unwrap();
            builder.into_inner().unwrap().len()
        }),
        harmless("memmap2", "reading what is mapped", || {
            let opened = fs::File::open("/proc/self/exe").unwrap();
            // SAFETY: nobody writes to a program that runs.
            let map = unsafe { memmap2::Mmap::map(&opened) }.unwrap();
            async move { map[..4] == *b"\x7fELF" }
        }),
    ]
}

//! Kafka's jars, fetched once with Maven, and the admin program, compiled once against them.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::Command,
};

use super::java;

/// Returns the directory of jars, and fetches them unless this very `pom.xml` was fetched before.
pub(super) fn fetched(home: &Path) -> Result<PathBuf, String> {
    let libraries = home.join("libs");
    let marker = home.join("complete");
    if fs::read_to_string(&marker).is_ok_and(|fetched| fetched == POM) {
        return Ok(libraries);
    }
    let text = |error: std::io::Error| format!("cannot write to {}: {error}", home.display());
    let _ = fs::remove_dir_all(&libraries);
    fs::write(home.join("pom.xml"), POM).map_err(text)?;
    fetch(home, &libraries)?;
    // Written last, so that an interrupted fetch leaves no marker.
    fs::write(&marker, POM).map_err(text)?;
    Ok(libraries)
}

/// Returns the nodes' class path: every jar except the compiler's, sorted.
pub(super) fn class_path(libraries: &Path) -> Result<String, String> {
    let mut paths = jars(libraries)?;
    paths.retain(|path| !is_compiler(path));
    let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    Ok(names.join(":"))
}

/// Returns the directory with the admin program's classes, and compiles them unless this very source was
/// compiled before.
pub(super) fn admin_compiled(home: &Path, libraries: &Path, class_path: &str) -> Result<PathBuf, String> {
    let mut hasher = DefaultHasher::new();
    ADMIN_SOURCE.hash(&mut hasher);
    let classes = home.join(format!("admin-{:016x}", hasher.finish()));
    if classes.join("Admin.class").exists() {
        return Ok(classes);
    }
    let source = home.join("Admin.java");
    fs::write(&source, ADMIN_SOURCE).map_err(|error| error.to_string())?;
    let compiler = jars(libraries)?
        .into_iter()
        .find(|path| is_compiler(path))
        .ok_or("no compiler among the jars")?;
    let mut command = java::command(COMPILER_HEAP_MB);
    command
        .arg("-jar")
        .arg(compiler)
        .args(["-17", "-cp", class_path, "-d"])
        .arg(&classes)
        .arg(&source);
    run(&mut command, "compile the admin program").map(|()| classes)
}

/// Runs a command to its end. If it fails, returns its output.
pub(super) fn run(command: &mut Command, purpose: &str) -> Result<(), String> {
    let output = command
        .output()
        .map_err(|error| format!("cannot {purpose}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    Err(format!("cannot {purpose}: {}: {said}", output.status))
}

fn fetch(home: &Path, libraries: &Path) -> Result<(), String> {
    let mut maven = Command::new("mvn");
    maven
        .current_dir(home)
        .args(["-q", "-B", "dependency:copy-dependencies"]);
    maven.arg(format!("-DoutputDirectory={}", libraries.display()));
    run(&mut maven, "fetch Kafka's jars with Maven").map_err(|fault| format!("{fault}. {}", java::INSTALL))
}

fn jars(libraries: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(libraries).map_err(|error| format!("{}: {error}", libraries.display()))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "jar"));
    paths.sort();
    Ok(paths)
}

fn is_compiler(jar: &Path) -> bool {
    jar.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with("ecj-"))
}

const POM: &str = include_str!("../../pom.xml");

const ADMIN_SOURCE: &str = include_str!("../../java/Admin.java");

const COMPILER_HEAP_MB: u32 = 256;

//! What the system allows this process.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// What a process without any limit allows itself: half of the machine, since
/// others run there too.
const SHARE_OF_MACHINE: u64 = 2;

/// Where neither a limit nor the machine's size can be read.
const UNKNOWN_BYTES: u64 = 1 << 30;

/// Cores that this process may use: its CPU affinity and its cgroup's quota,
/// rounded down.
#[must_use]
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Memory in bytes that this process may use: the tightest limit of its
/// cgroups, version 2 or 1, else half of the machine.
#[must_use]
pub fn memory_limit() -> u64 {
    limit_in(Path::new("/proc"), Path::new("/sys/fs/cgroup"))
}

fn limit_in(proc: &Path, cgroups: &Path) -> u64 {
    let memberships = fs::read_to_string(proc.join("self/cgroup")).unwrap_or_default();
    let of_cgroups = memberships
        .lines()
        .filter_map(|line| directory_and_file(line, cgroups))
        .flat_map(|(root, below, file)| tightest(&root, &below, file))
        .min();
    let machine = machine_bytes(proc);
    match (of_cgroups, machine) {
        // Version 1 writes "no limit" as a number near 2^63.
        (Some(limit), Some(machine)) if limit < machine => limit,
        (Some(limit), None) => limit,
        (_, Some(machine)) => machine / SHARE_OF_MACHINE,
        (None, None) => UNKNOWN_BYTES,
    }
}

/// A line of `/proc/self/cgroup` (`cgroups(7)`): `hierarchy:controllers:path`.
/// Version 2 has hierarchy 0 and no controllers.
fn directory_and_file(line: &str, cgroups: &Path) -> Option<(PathBuf, String, &'static str)> {
    let mut parts = line.splitn(3, ':');
    let (hierarchy, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    let below = path.trim_start_matches('/').to_owned();
    if hierarchy == "0" && controllers.is_empty() {
        Some((cgroups.to_owned(), below, "memory.max"))
    } else if controllers.split(',').any(|name| name == "memory") {
        Some((cgroups.join("memory"), below, "memory.limit_in_bytes"))
    } else {
        None
    }
}

/// The tightest limit on the way up from the process's own cgroup: each binds
/// what is below it. In a container the own path may not be visible, the root
/// is the container's own then.
fn tightest(root: &Path, below: &str, file: &str) -> Option<u64> {
    let own = root.join(below);
    own.ancestors()
        .take_while(|directory| directory.starts_with(root))
        .filter_map(|directory| fs::read_to_string(directory.join(file)).ok())
        .filter_map(|text| text.trim().parse().ok())
        .min()
}

fn machine_bytes(proc: &Path) -> Option<u64> {
    let text = fs::read_to_string(proc.join("meminfo")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn machine(membership: &str, files: &[(&str, &str)]) -> u64 {
        let root = tempfile::tempdir().unwrap();
        let (proc, cgroups) = (root.path().join("proc"), root.path().join("cgroup"));
        let write = |path: PathBuf, text: &str| {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write(proc.join("self/cgroup"), membership);
        write(
            proc.join("meminfo"),
            "MemTotal:       16777216 kB\nMemFree: 1 kB\n",
        );
        for (path, text) in files {
            write(cgroups.join(path), text);
        }
        limit_in(&proc, &cgroups)
    }

    #[test]
    fn version_2_limit_of_the_own_group() {
        let files = [("pod/app/memory.max", "1073741824\n")];
        assert_eq!(machine("0::/pod/app\n", &files), GIB);
    }

    #[test]
    fn version_2_limit_of_a_group_above() {
        let files = [
            ("pod/app/memory.max", "max\n"),
            ("pod/memory.max", "2147483648\n"),
        ];
        assert_eq!(machine("0::/pod/app\n", &files), 2 * GIB);
    }

    #[test]
    fn container_sees_its_own_group_as_the_root() {
        let files = [("memory.max", "1073741824\n")];
        assert_eq!(machine("0::/\n", &files), GIB);
        assert_eq!(machine("0::/kubepods/not/visible\n", &files), GIB);
    }

    #[test]
    fn version_1_limit() {
        let files = [("memory/docker/1/memory.limit_in_bytes", "1073741824\n")];
        assert_eq!(
            machine("5:cpu,cpuacct:/docker/1\n4:memory:/docker/1\n", &files),
            GIB
        );
    }

    #[test]
    fn no_limit_means_half_of_the_machine() {
        let unlimited = [("memory/memory.limit_in_bytes", "9223372036854771712\n")];
        assert_eq!(machine("4:memory:/\n", &unlimited), 8 * GIB);
        assert_eq!(machine("0::/\n", &[("memory.max", "max\n")]), 8 * GIB);
        assert_eq!(machine("", &[]), 8 * GIB);
    }
}

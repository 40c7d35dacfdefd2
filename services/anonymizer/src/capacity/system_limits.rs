//! Cores and memory that the system allows this process.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A process without a memory limit uses this fraction of the machine's memory: one
/// half, because other processes run there too.
const MACHINE_DIVISOR: u64 = 2;

/// Memory limit if neither a cgroup limit nor the machine's memory can be read.
const FALLBACK_BYTES: u64 = 1 << 30;

/// Cores that this process may use, from its CPU affinity and its cgroup's quota, rounded down.
#[must_use]
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Memory in bytes that this process may use: the lowest limit of its cgroups
/// (version 2 or 1), or half of the machine's memory.
#[must_use]
pub fn memory_limit() -> u64 {
    memory_limit_in(Path::new("/proc"), Path::new("/sys/fs/cgroup"))
}

fn memory_limit_in(proc: &Path, cgroups: &Path) -> u64 {
    let memberships = fs::read_to_string(proc.join("self/cgroup")).unwrap_or_default();
    let cgroup_limit = memberships
        .lines()
        .filter_map(|line| parse_membership(line, cgroups))
        .flat_map(|(root, path, file)| lowest_limit(&root, &path, file))
        .min();
    let machine = machine_bytes(proc);
    match (cgroup_limit, machine) {
        // Cgroup version 1 writes "no limit" as a number near 2^63.
        (Some(limit), Some(machine)) if limit < machine => limit,
        (Some(limit), None) => limit,
        (_, Some(machine)) => machine / MACHINE_DIVISOR,
        (None, None) => FALLBACK_BYTES,
    }
}

/// Parses a line of `/proc/self/cgroup` (`cgroups(7)`): `hierarchy:controllers:path`. Version 2 has hierarchy 0 and no
/// controllers. Returns the hierarchy's root, the path below it, and the name of the file with the limit.
fn parse_membership(line: &str, cgroups: &Path) -> Option<(PathBuf, String, &'static str)> {
    let mut parts = line.splitn(3, ':');
    let (hierarchy, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    let path = path.trim_start_matches('/').to_owned();
    if hierarchy == "0" && controllers.is_empty() {
        Some((cgroups.to_owned(), path, "memory.max"))
    } else if controllers.split(',').any(|name| name == "memory") {
        Some((cgroups.join("memory"), path, "memory.limit_in_bytes"))
    } else {
        None
    }
}

/// The lowest limit of a cgroup and its ancestors: a limit applies to everything below
/// it. A container may not see its own path; its root is then its own cgroup.
fn lowest_limit(root: &Path, path: &str, file: &str) -> Option<u64> {
    root.join(path)
        .ancestors()
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

    /// The memory limit on a machine of 16 GiB with this `/proc/self/cgroup` and these cgroup files.
    fn limit_with(membership: &str, files: &[(&str, &str)]) -> u64 {
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
        memory_limit_in(&proc, &cgroups)
    }

    #[test]
    fn version_2_limit_of_own_cgroup() {
        let files = [("pod/app/memory.max", "1073741824\n")];
        assert_eq!(limit_with("0::/pod/app\n", &files), GIB);
    }

    #[test]
    fn version_2_limit_of_parent_cgroup() {
        let files = [
            ("pod/app/memory.max", "max\n"),
            ("pod/memory.max", "2147483648\n"),
        ];
        assert_eq!(limit_with("0::/pod/app\n", &files), 2 * GIB);
    }

    #[test]
    fn container_sees_its_own_cgroup_as_root() {
        let files = [("memory.max", "1073741824\n")];
        assert_eq!(limit_with("0::/\n", &files), GIB);
        assert_eq!(limit_with("0::/kubepods/not/visible\n", &files), GIB);
    }

    #[test]
    fn version_1_limit() {
        let files = [("memory/docker/1/memory.limit_in_bytes", "1073741824\n")];
        assert_eq!(
            limit_with("5:cpu,cpuacct:/docker/1\n4:memory:/docker/1\n", &files),
            GIB
        );
    }

    #[test]
    fn without_a_limit_half_of_the_machine_is_used() {
        let unlimited = [("memory/memory.limit_in_bytes", "9223372036854771712\n")];
        assert_eq!(limit_with("4:memory:/\n", &unlimited), 8 * GIB);
        assert_eq!(limit_with("0::/\n", &[("memory.max", "max\n")]), 8 * GIB);
        assert_eq!(limit_with("", &[]), 8 * GIB);
    }
}

//! How many processes of the container were killed for memory, which the kernel counts for each control group.

use std::fs;
use std::path::Path;

/// Where control groups are mounted in a container.
const GROUPS: &str = "/sys/fs/cgroup";

/// The kernel's count; 0 where it cannot be read.
pub(crate) fn oom_kills() -> u64 {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    count(Path::new(GROUPS), &own).unwrap_or(0)
}

/// `own` is what the kernel says of the groups that we are in: `4:memory:/path` by version 1, `0::/path` by version 2.
fn count(groups: &Path, own: &str) -> Option<u64> {
    let of = |controller: &str| {
        own.lines().find_map(|line| {
            let (names, path) = line.split_once(':')?.1.split_once(':')?;
            names.split(',').any(|name| name == controller).then_some(path.trim_start_matches('/'))
        })
    };
    let (mount, file, path) = match of("memory") {
        Some(path) => (groups.join("memory"), "memory.oom_control", path),
        None => (groups.to_path_buf(), "memory.events", of("")?),
    };
    // In a container the mount is often its own group, and the path that of the node.
    let text = [mount.join(path), mount].iter().find_map(|group| fs::read_to_string(group.join(file)).ok())?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_read_in_a_namespace_and_outside() {
        let folder = tempfile::TempDir::new().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let count = |groups: &str, own: &str| count(&folder.path().join(groups), own);
        write("one/memory/kubepods/pod/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n");
        write("one/memory/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 7\n");
        assert_eq!(count("one", "3:cpuset:/\n4:cpu,memory:/kubepods/pod\n0::/\n"), Some(3));
        assert_eq!(count("one", "4:memory:/on/the/node\n0::/\n"), Some(7));
        write("two/memory.events", "low 0\noom 2\noom_kill 2\noom_group_kill 0\n");
        assert_eq!(count("two", "0::/\n"), Some(2));
        assert_eq!(count("two", "0::/on/the/node\n"), Some(2));
        assert_eq!(count("none", "0::/\n"), None);
    }
}

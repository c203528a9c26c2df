//! System calls by seccomp: those that a reader of files never needs are refused.
//!
//! They are listed, rather than those that are needed: another C library or another version of it calls others for the same.

use std::collections::BTreeMap;

use nix::libc::{self, c_long};
use seccompiler::{
    BackendError, BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter_all_threads,
};

/// The bit that numbers of x32 have, an interface for 32 bits that passes for x86_64 where a kernel has it.
#[cfg(target_arch = "x86_64")]
const X32: i64 = 0x4000_0000;
/// x32's own numbers of `execve`, `ptrace`, the calls for messages of sockets, reading and writing of other processes' memory,
/// `kexec_load`, `execveat` and timers; 512 to 547 are all that it has.
#[cfg(target_arch = "x86_64")]
const ONLY_X32: std::ops::Range<i64> = 512..548;

/// The calls that are refused whatever their arguments.
const REFUSED: &[c_long] = &[
    // The network, and sockets of any kind.
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_recvmmsg,
    // Calls by a ring pass no filter.
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    // Other programs.
    libc::SYS_execve,
    libc::SYS_execveat,
    // Other processes: their memory, files, signals and limits.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_process_madvise,
    libc::SYS_kcmp,
    libc::SYS_tkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    // Memory and queues that the containers of a pod share.
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_msgget,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
    libc::SYS_msgctl,
    libc::SYS_semget,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_semctl,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
    // Namespaces, and what is mounted where.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    // Files by handles, past the folders that they lie in.
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    // Parts of the kernel that have had more faults than others, and what only administrators do.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_personality,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
];

/// Starts of processes that have a call of their own, which newer architectures do not have.
#[cfg(target_arch = "x86_64")]
const PROCESS_STARTS: &[c_long] = &[libc::SYS_fork, libc::SYS_vfork];
#[cfg(not(target_arch = "x86_64"))]
const PROCESS_STARTS: &[c_long] = &[];

/// Puts the filter on this process, all threads of it at once (`SECCOMP_FILTER_FLAG_TSYNC`). Nothing takes it off.
pub(super) fn filter() -> Result<(), Error> {
    for program in programs(std::process::id())? {
        apply_filter_all_threads(&program)?;
    }
    Ok(())
}

/// Two filters: of a call, the stricter answer of both counts.
fn programs(process: u32) -> Result<Vec<BpfProgram>, BackendError> {
    let refused = REFUSED.iter().chain(PROCESS_STARTS).map(|call| (*call, vec![]));
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = refused.collect();
    let only_if = |argument: u8, operator: SeccompCmpOp, value: u64| {
        let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Qword, operator, value)?;
        SeccompRule::new(vec![condition]).map(|rule| vec![rule])
    };
    // Threads may be started, processes not.
    let thread = u64::from(libc::CLONE_THREAD.cast_unsigned());
    rules.insert(libc::SYS_clone, only_if(0, SeccompCmpOp::MaskedEq(thread), 0)?);
    // Signals and limits are for oneself: `abort` sends the one, the standard library asks for the others.
    for call in [libc::SYS_kill, libc::SYS_tgkill] {
        rules.insert(call, only_if(0, SeccompCmpOp::Ne, u64::from(process))?);
    }
    rules.insert(libc::SYS_prlimit64, only_if(0, SeccompCmpOp::Ne, 0)?);
    #[cfg(target_arch = "x86_64")]
    {
        let known: Vec<i64> = rules.keys().copied().collect();
        rules.extend(known.into_iter().map(|call| (call | X32, vec![])));
        rules.extend(ONLY_X32.map(|call| (call | X32, vec![])));
    }
    // The flags of this call lie in memory, where a filter does not look. C libraries fall back on `clone` where it is not there.
    let rules_of_clone = BTreeMap::from([(libc::SYS_clone3, vec![])]);
    let compile = |rules, refusal: i32| -> Result<BpfProgram, BackendError> {
        let action = SeccompAction::Errno(refusal.cast_unsigned());
        SeccompFilter::new(rules, SeccompAction::Allow, action, std::env::consts::ARCH.try_into()?)?.try_into()
    };
    Ok(vec![compile(rules, libc::EPERM)?, compile(rules_of_clone, libc::ENOSYS)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_compile_within_the_kernels_bound() {
        let programs = programs(1).unwrap();
        assert_eq!(programs.len(), 2);
        assert!(programs.iter().all(|program| !program.is_empty() && program.len() <= 4096));
    }
}

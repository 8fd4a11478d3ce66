//! How memory is given back.

/// Lets the allocator give large blocks back as soon as they are free. Call it once, at the
/// start of a program, before its threads.
///
/// glibc would learn from the first index that is read and freed to keep blocks of that size
/// (up to 32 MiB) in a heap for each thread (`M_MMAP_THRESHOLD`, mallopt(3)): what a process
/// holds then grows with the longest source that it has seen. Other C libraries have no such
/// habit, and nothing is done.
pub fn give_back_large_blocks() {
    #[cfg(target_env = "gnu")]
    set_threshold();
}

#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "a setting of the allocator, which has no safe name")]
fn set_threshold() {
    /// Blocks from here on are asked of the kernel one by one, and given back one by one. It is glibc's
    /// first threshold; a speech decoder keeps a list of 200 kB for each of its hypotheses, and from 512 kB
    /// on the heaps of a transcript grew by 30 MB in ten minutes.
    const LARGE_BYTES: i32 = 128 << 10;
    // SAFETY: sets a number; the allocator guards itself. A refusal changes nothing.
    unsafe { nix::libc::mallopt(nix::libc::M_MMAP_THRESHOLD, LARGE_BYTES) };
}

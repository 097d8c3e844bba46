//! A pool of threads, small and our own.

pub const small = brk: {
    const default = 4 * 1024 * 1024;
    break :brk default;
};

pub const default_thread_stack_size = brk: {
    const default = 4 * 1024 * 1024;
    break :brk default;
};

pub fn spawn() void {
    start(default_thread_stack_size);
}

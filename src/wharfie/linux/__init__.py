"""The only package that talks to the kernel: one wrapper per system call, named after it."""

// Package memcall stands in for the module of that name where there is no memory to lock and no
// protection to change: in WebAssembly. What it hands out is plain memory, and is wiped when freed.
package memcall

// MemoryProtectionFlag says what memory may be used for; nothing enforces it here.
type MemoryProtectionFlag struct{ allowed byte }

// NoAccess is for memory that is not to be used.
func NoAccess() MemoryProtectionFlag { return MemoryProtectionFlag{0} }

// ReadOnly is for memory that is not to be changed.
func ReadOnly() MemoryProtectionFlag { return MemoryProtectionFlag{1} }

// ReadWrite is for any other.
func ReadWrite() MemoryProtectionFlag { return MemoryProtectionFlag{2} }

// Alloc returns memory.
func Alloc(n int) ([]byte, error) { return make([]byte, n), nil }

// Free wipes memory.
func Free(memory []byte) error {
	clear(memory)
	return nil
}

// Lock does nothing.
func Lock([]byte) error { return nil }

// Unlock does nothing.
func Unlock([]byte) error { return nil }

// Protect does nothing.
func Protect([]byte, MemoryProtectionFlag) error { return nil }

// DisableCoreDumps does nothing.
func DisableCoreDumps() error { return nil }
